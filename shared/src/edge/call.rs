//! The handler that all routes of model calls share: it parses the request, makes the call, and writes the answer.

use std::sync::Arc;

use axum::http::{HeaderMap, request::Parts};
use axum::response::Response;

use super::answer::respond_to;
use super::anthropic;
use super::cache_control::cache_control;
use super::form::SentForm;
use super::input::{SentBody, read_body};
use super::keep_alive::KeepAlive;
use super::lambda::ends_at;
use super::reject::{Rejection, render};
use crate::app::{CallOptions, CallRequest, Calls, RunOptions};
use crate::dialects::openai_chat::Body;
use crate::model::clock::{Clock, Timestamp};
use crate::model::invalid::Invalid;
use crate::model::long_work::long_work;
use crate::model::meter::RunName;
use crate::model::money::MicroUsd;
use crate::model::project::{Caller, Policy};
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
    let body = read_body(body, |json| Body::parse(endpoint, json))?;
    make(calls, endpoint, caller, parts, body).await
}

/// Serves a model call whose request is a form with files.
///
/// # Errors
/// As [`serve`].
pub async fn serve_form(
    calls: Arc<Calls>,
    endpoint: Endpoint,
    caller: Caller,
    parts: Parts,
    form: SentForm,
) -> Result<Response, Rejection> {
    let form = form.whole().await?;
    let body = long_work(form.bytes(), || Body::of_form(endpoint, form))?;
    make(calls, endpoint, caller, parts, body).await
}

async fn make(
    calls: Arc<Calls>,
    endpoint: Endpoint,
    caller: Caller,
    parts: Parts,
    body: Body,
) -> Result<Response, Rejection> {
    let headers = if endpoint == Endpoint::Messages { passed_on(&parts.headers) } else { Vec::new() };
    let options = CallOptions { headers, ..call_options(&parts, &caller)? };
    let request = CallRequest { endpoint, body, cache_control: cache_control(&parts.headers), options };
    drop(parts); // Its headers would keep the connection's read buffer in memory until the answer ends.
    let requested_model = request.body.model.clone();
    let answer = calls.run(caller, request).await;
    let keep_alive = if endpoint == Endpoint::Messages { KeepAlive::Ping } else { KeepAlive::Comment };
    Ok(respond_to(&calls.models().known().catalog, &requested_model, answer, keep_alive))
}

/// The headers that decide how Anthropic reads a request and writes its answer.
fn passed_on(headers: &HeaderMap) -> Vec<(&'static str, String)> {
    let of = |name: &'static str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let value = values.collect::<Vec<_>>().join(",");
        (!value.is_empty()).then_some((name, value))
    };
    [anthropic::VERSION, "anthropic-beta"].into_iter().filter_map(of).collect()
}

/// The options of a call, from the headers of its request.
///
/// # Errors
/// `Invalid` if a header has another form than it should.
pub fn call_options(parts: &Parts, caller: &Caller) -> Result<CallOptions, Rejection> {
    let retry_count = parts.headers.get("x-stainless-retry-count").and_then(|count| count.to_str().ok()?.parse().ok());
    Ok(CallOptions {
        idempotency_key: idempotency_key(&parts.headers)?,
        retry_count: retry_count.unwrap_or(0),
        deadline: function_ends(parts),
        run: run_options(&parts.headers, &caller.project.policy)?,
        headers: Vec::new(),
        render_error: render,
    })
}

/// The time at which Lambda stops the function that serves a request; `None` outside of Lambda.
#[must_use]
pub fn function_ends(parts: &Parts) -> Option<Timestamp> {
    let context = parts.extensions.get::<lambda_http::Context>()?;
    Some(ends_at(context.deadline, Clock::system().now()))
}

const RUN: &str = "x-weir-run";
const RUN_BUDGET: &str = "x-weir-run-budget-usd";

/// The run that the headers name: in our own header, else in the one that the project's policy names.
fn run_options(headers: &HeaderMap, policy: &Policy) -> Result<RunOptions, Invalid> {
    let named = |header: &str| headers.get(header).map(|value| (header.to_owned(), value));
    let name = match named(RUN).or_else(|| policy.run_header.as_deref().and_then(named)) {
        Some((header, value)) => Some(RunName::parse(value.to_str().unwrap_or_default(), &header)?),
        None => None,
    };
    let wrong = || {
        Invalid::field(
            RUN_BUDGET,
            format!("`{RUN_BUDGET}` is no amount of dollars; expected 0 to 1000000000, as 0.50."),
        )
    };
    let budget = headers.get(RUN_BUDGET).map(|value| {
        let dollars = value.to_str().ok().and_then(|text| text.trim().parse().ok());
        dollars.and_then(MicroUsd::from_dollars).ok_or_else(wrong)
    });
    let budget = budget.transpose()?;
    if budget.is_some() && name.is_none() {
        return Err(Invalid::field(
            RUN_BUDGET,
            format!("`{RUN_BUDGET}` needs the name of a run: send the header `{RUN}`."),
        ));
    }
    Ok(RunOptions { name, budget })
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

    #[track_caller]
    fn run(headers: &[(&str, &str)], policy: &Policy) -> Result<(Option<String>, Option<u64>), String> {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let found = run_options(&HeaderMap::from_iter(headers), policy).map_err(|wrong| wrong.param.unwrap())?;
        Ok((found.name.map(|name| name.as_str().to_owned()), found.budget.map(|budget| budget.0)))
    }

    #[test]
    fn a_run_is_named_by_our_header_or_by_that_of_the_policy() {
        let (none, agents) = (Policy::default(), Policy { run_header: Some("x-session".into()), ..Policy::default() });
        assert_eq!(run(&[("x-session", "s-1")], &none), Ok((None, None)));
        assert_eq!(run(&[("x-session", "s-1")], &agents), Ok((Some("s-1".into()), None)));
        let both = [("x-weir-run", "r-1"), ("x-session", "s-1"), ("x-weir-run-budget-usd", "0.25")];
        assert_eq!(run(&both, &agents), Ok((Some("r-1".into()), Some(250_000))));
        assert_eq!(run(&[("x-session", "a b")], &agents), Err("x-session".into()));
        for wrong in ["-1", "NaN", "inf", "a", "2e9", ""] {
            assert_eq!(run(&[("x-weir-run-budget-usd", wrong)], &none), Err("x-weir-run-budget-usd".into()), "{wrong}");
        }
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
