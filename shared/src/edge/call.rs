//! The one handler of all model calls: headers and body in, the operation, its answer out.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, request::Parts};
use axum::response::Response;

use super::Deps;
use super::answer::respond_to;
use super::input::body;
use super::reject::{Rejection, render};
use crate::app::{CacheControl, CallOptions, Request};
use crate::dialects::openai_chat::Body;
use crate::model::clock::Timestamp;
use crate::model::invalid::Invalid;
use crate::model::project::Caller;
use crate::model::provider::Endpoint;

/// Serves a model call.
///
/// # Errors
/// Everything that `Body::parse` refuses. What `Gateway::run` refuses is an answer.
pub async fn serve(
    gateway: Deps,
    endpoint: Endpoint,
    caller: Caller,
    parts: Parts,
    sent: Result<Bytes, BytesRejection>,
) -> Result<Response, Rejection> {
    let request = Request {
        endpoint,
        body: Body::parse(endpoint, &body(sent)?).map_err(crate::app::Error::from)?,
        cache_control: text(&parts.headers, "cache-control").map(CacheControl::parse).unwrap_or_default(),
        terms: CallOptions::read(&parts)?,
    };
    drop(parts); // They would keep the connection's read buffer until the answer.
    let asked = request.body.model.clone();
    Ok(respond_to(&gateway, &asked, gateway.run(caller, request).await))
}

impl CallOptions {
    /// What the headers of a request say about how it is to be run.
    ///
    /// # Errors
    /// If its `Idempotency-Key` cannot be one.
    pub fn read(parts: &Parts) -> Result<Self, Rejection> {
        let headers = &parts.headers;
        Ok(Self {
            idempotency_key: idempotency_key(headers).map_err(crate::app::Error::from)?,
            retry_count: text(headers, "x-stainless-retry-count").and_then(|count| count.parse().ok()).unwrap_or(0),
            deadline: function_ends(parts),
            render_error: render,
        })
    }
}

/// When the function that serves a request is stopped; `None`: never.
#[must_use]
pub fn function_ends(parts: &Parts) -> Option<Timestamp> {
    parts.extensions.get::<lambda_http::Context>().map(|context| Timestamp(context.deadline))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The key, with or without the quotes that the IETF draft wants.
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
