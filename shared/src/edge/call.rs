//! The handler that all routes of model calls share: it parses the request, makes the call, and writes the answer.

use std::sync::Arc;

use axum::http::{HeaderMap, request::Parts};
use axum::response::Response;

use super::answer::respond_to;
use super::cache_control::cache_control;
use super::input::{SentBody, read_body};
use super::reject::{Rejection, render};
use crate::app::{CallOptions, CallRequest, Calls};
use crate::dialects::openai_chat::Body;
use crate::model::clock::Timestamp;
use crate::model::invalid::Invalid;
use crate::model::project::Caller;
use crate::model::provider::Endpoint;

/// Serves a model call.
///
/// # Errors
/// If the request cannot be parsed. An error of [`Calls::run`] is returned as a response, which also knows the model.
pub async fn serve(
    calls: Arc<Calls>,
    endpoint: Endpoint,
    caller: Caller,
    parts: Parts,
    body: SentBody,
) -> Result<Response, Rejection> {
    let request = CallRequest {
        endpoint,
        body: Body::parse(endpoint, &read_body(body)?)?,
        cache_control: cache_control(&parts.headers),
        options: call_options(&parts)?,
    };
    drop(parts); // Its headers would keep the connection's read buffer in memory until the answer ends.
    let requested_model = request.body.model.clone();
    let answer = calls.run(caller, request).await;
    Ok(respond_to(&calls.models().known().catalog, &requested_model, answer))
}

/// The options of a call, from the headers of its request.
///
/// # Errors
/// `Invalid` if the `Idempotency-Key` is not visible ASCII or does not have 1 to 255 characters.
pub fn call_options(parts: &Parts) -> Result<CallOptions, Rejection> {
    let retry_count = parts.headers.get("x-stainless-retry-count").and_then(|count| count.to_str().ok()?.parse().ok());
    Ok(CallOptions {
        idempotency_key: idempotency_key(&parts.headers)?,
        retry_count: retry_count.unwrap_or(0),
        deadline: function_ends(parts),
        render_error: render,
    })
}

/// The time at which Lambda stops the function that serves a request; `None` outside of Lambda.
#[must_use]
pub fn function_ends(parts: &Parts) -> Option<Timestamp> {
    parts.extensions.get::<lambda_http::Context>().map(|context| Timestamp(context.deadline))
}

/// The key, without the quotes that the draft of the IETF puts around it and most clients leave out.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Invalid> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let wrong = |message: &str| Invalid::field("Idempotency-Key", message);
    let key = value
        .to_str()
        .map_err(|_| wrong("The Idempotency-Key header has characters that are not visible ASCII."))?
        .trim();
    let key = key.strip_prefix('"').and_then(|key| key.strip_suffix('"')).unwrap_or(key);
    match key.len() {
        1..=255 => Ok(Some(key.to_owned())),
        length => Err(wrong(&format!("The Idempotency-Key header has {length} characters, expected 1 to 255."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn key(value: &str) -> Result<Option<String>, Invalid> {
        idempotency_key(&HeaderMap::from_iter([("idempotency-key".parse().unwrap(), value.parse().unwrap())]))
    }

    #[test]
    fn a_key_may_be_quoted() {
        assert_eq!(key("\"k 1\""), key("k 1"));
        assert_eq!(idempotency_key(&HeaderMap::new()), Ok(None));
    }

    #[test]
    fn a_key_has_1_to_255_characters() {
        assert!(key(&"k".repeat(255)).is_ok());
        for wrong in ["", "\"\"", &"k".repeat(256)] {
            assert_eq!(key(wrong).unwrap_err().param.as_deref(), Some("Idempotency-Key"));
        }
    }
}
