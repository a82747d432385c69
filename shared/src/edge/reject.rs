//! Errors as answers: OpenAI's envelope with all four keys, the status, and whether repeating helps.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;

use super::answer::rate_headers;
use crate::app::{Error, ErrorChain, Limit, RenderedError};
use crate::model::provider::Failure;

/// Why a request gets no answer.
#[derive(Debug)]
pub enum Rejection {
    App(Box<Error>),
    TooLarge,
    UnknownRoute { method: String, path: String },
    WrongMethod { method: String, path: String },
    Panicked,
}

impl<E: Into<Error>> From<E> for Rejection {
    fn from(error: E) -> Self {
        Self::App(Box::new(error.into()))
    }
}

/// What an error is to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Public {
    status: StatusCode,
    kind: &'static str,
    code: Option<String>,
    param: Option<String>,
    message: String,
}

const REQUEST: &str = "invalid_request_error";
const SERVER: &str = "server_error";

/// The whole public error contract, on one screen. `README.md` lists the same rows.
fn classify(rejection: &Rejection) -> (StatusCode, &'static str, Option<&str>) {
    use StatusCode as S;
    match rejection {
        Rejection::TooLarge => (S::PAYLOAD_TOO_LARGE, REQUEST, Some("request_too_large")),
        Rejection::UnknownRoute { .. } => (S::NOT_FOUND, REQUEST, Some("unknown_url")),
        Rejection::WrongMethod { .. } => (S::METHOD_NOT_ALLOWED, REQUEST, Some("method_not_allowed")),
        Rejection::Panicked => (S::INTERNAL_SERVER_ERROR, SERVER, Some("internal_error")),
        Rejection::App(error) => classify_app(error),
    }
}

fn classify_app(error: &Error) -> (StatusCode, &'static str, Option<&str>) {
    use StatusCode as S;
    match error {
        Error::Unauthenticated(_) => (S::UNAUTHORIZED, REQUEST, Some("invalid_api_key")),
        Error::Invalid(invalid) => (S::BAD_REQUEST, REQUEST, invalid.code),
        Error::UnknownModel(_) => (S::NOT_FOUND, REQUEST, Some("model_not_found")),
        Error::Unpriced(_) => (S::BAD_REQUEST, REQUEST, Some("model_not_priced")),
        Error::NotFound { .. } => (S::NOT_FOUND, REQUEST, Some("not_found")),
        Error::Conflict { .. } => (S::CONFLICT, REQUEST, Some("conflict")),
        Error::Refused(refusal) => match refusal.limit {
            Limit::Requests { .. } => (S::TOO_MANY_REQUESTS, "requests", Some("rate_limit_exceeded")),
            Limit::Tokens { .. } => (S::TOO_MANY_REQUESTS, "tokens", Some("rate_limit_exceeded")),
            Limit::Budget { .. } => (S::TOO_MANY_REQUESTS, "insufficient_quota", Some("budget_exceeded")),
        },
        Error::KeyReused => (S::UNPROCESSABLE_ENTITY, REQUEST, Some("idempotency_key_reused")),
        Error::Provider { source, .. } => classify_provider(source),
        Error::Contended(_) => (S::SERVICE_UNAVAILABLE, SERVER, Some("contended")),
        Error::Repeated(_) | Error::Internal { .. } => (S::INTERNAL_SERVER_ERROR, SERVER, Some("internal_error")),
    }
}

fn classify_provider(failure: &Failure) -> (StatusCode, &'static str, Option<&str>) {
    use StatusCode as S;
    match failure {
        Failure::Refused { status, refusal } => {
            (S::from_u16(*status).unwrap_or(S::BAD_REQUEST), REQUEST, refusal.code.as_deref())
        }
        Failure::Unsupported { .. } => (S::BAD_REQUEST, REQUEST, Some("unsupported_by_provider")),
        Failure::Throttled { .. } => (S::TOO_MANY_REQUESTS, "requests", Some("provider_rate_limited")),
        Failure::Unreachable(_) | Failure::Unavailable { .. } | Failure::CircuitOpen { .. } => {
            (S::SERVICE_UNAVAILABLE, SERVER, Some("provider_unavailable"))
        }
        Failure::TimedOut { .. } => (S::GATEWAY_TIMEOUT, SERVER, Some("provider_timeout")),
        Failure::Unauthorized { .. } => (S::BAD_GATEWAY, SERVER, Some("provider_unauthorized")),
        Failure::Malformed(_) => (S::BAD_GATEWAY, SERVER, Some("provider_error")),
    }
}

fn public(rejection: &Rejection) -> Public {
    let message = match rejection {
        Rejection::App(error) => return public_of(error),
        Rejection::TooLarge => TOO_LARGE.to_owned(),
        Rejection::UnknownRoute { method, path } => {
            format!("Unknown request URL: {method} {path}. Check the URL for typos; paths begin with /v1.")
        }
        Rejection::WrongMethod { method, path } => format!("{path} has no method {method}; see the `allow` header."),
        Rejection::Panicked => INTERNAL.to_owned(),
    };
    let (status, kind, code) = classify(rejection);
    Public { status, kind, code: code.map(str::to_owned), param: None, message }
}

fn public_of(error: &Error) -> Public {
    let (message, param) = words(error);
    let (status, kind, code) = classify_app(error);
    Public { status, kind: provider_kind(error).unwrap_or(kind), code: code.map(str::to_owned), param, message }
}

const TOO_LARGE: &str = "The request body is larger than 6 MB, the most that one request can carry. \
                         Send images by URL, split lists of inputs, or shorten the conversation.";
const INTERNAL: &str = "The server had an error while processing your request. Try again; if it persists, give the operator the x-request-id.";

/// Message and param; what happened inside stays in the log.
fn words(error: &Error) -> (String, Option<String>) {
    match error {
        Error::Invalid(invalid) => (invalid.message.clone(), invalid.param.clone()),
        Error::UnknownModel(_) | Error::Unpriced(_) => (error.to_string(), Some("model".to_owned())),
        Error::Provider { source: Failure::Refused { refusal, .. }, .. } => {
            (refusal.message.clone(), refusal.param.clone())
        }
        Error::Provider { source: Failure::Unsupported { what, param }, .. } => (what.clone(), param.clone()),
        Error::Provider { provider, attempts, source } => {
            (format!("The provider `{provider}` gave no answer after {attempts} attempts: {source}."), None)
        }
        Error::Internal { .. } | Error::Repeated(_) => (INTERNAL.to_owned(), None),
        other => (other.to_string(), None),
    }
}

/// The provider's own error type is passed on where it is one of OpenAI's.
fn provider_kind(error: &Error) -> Option<&'static str> {
    let Error::Provider { source: Failure::Refused { refusal, .. }, .. } = error else { return None };
    const KNOWN: [&str; 5] = [REQUEST, "not_found_error", "permission_error", "tokens", "requests"];
    KNOWN.into_iter().find(|known| refusal.kind.as_deref() == Some(known))
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Fields<'a>,
}

#[derive(Serialize)]
struct Fields<'a> {
    message: &'a str,
    r#type: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

fn envelope(public: &Public) -> Bytes {
    let error = Fields {
        message: &public.message,
        r#type: public.kind,
        param: public.param.as_deref(),
        code: public.code.as_deref(),
    };
    serde_json::to_vec(&Envelope { error }).unwrap_or_default().into()
}

/// An error as its caller sees it.
#[must_use]
pub fn render(error: &Error) -> RenderedError {
    if let Error::Repeated(rendered) = error {
        return rendered.clone();
    }
    let public = public_of(error);
    let (retry_after, should_retry) = retry_app(error);
    RenderedError { status: public.status.as_u16(), body: envelope(&public), retry_after, should_retry }
}

/// Whether and when to try again: `retry-after`, and `x-should-retry: false` for what repeating does not mend.
fn retry(rejection: &Rejection) -> (Option<Duration>, bool) {
    match rejection {
        Rejection::App(error) => retry_app(error),
        _ => (None, true),
    }
}

fn retry_app(error: &Error) -> (Option<Duration>, bool) {
    match error {
        Error::Repeated(rendered) => (rendered.retry_after, rendered.should_retry),
        Error::Refused(refusal) => match (refusal.limit, refusal.retry_after) {
            (Limit::Budget { .. }, _) | (_, None) => (None, false),
            (_, wait) => (wait, true),
        },
        Error::KeyReused | Error::Conflict { .. } => (None, false),
        Error::Provider { source, .. } if source.is_retryable() || matches!(source, Failure::CircuitOpen { .. }) => {
            (Some(source.retry_after().unwrap_or(Duration::from_secs(1))), true)
        }
        Error::Provider { source: Failure::Unauthorized { .. }, .. } => (None, false),
        Error::Contended(_) => (Some(Duration::from_millis(500)), true),
        _ => (None, true),
    }
}

/// Python's SDK stops retrying when `retry-after` is larger than this.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let (status, body) = match &self {
            Self::App(error) => {
                let rendered = render(error);
                (StatusCode::from_u16(rendered.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), rendered.body)
            }
            other => {
                let public = public(other);
                (public.status, envelope(&public))
            }
        };
        let mut response = (status, [json], body).into_response();
        let headers = response.headers_mut();
        let (wait, may_help) = retry(&self);
        if let Some(wait) = wait {
            let wait = wait.clamp(Duration::from_millis(1), LONGEST_WAIT);
            headers.insert(
                header::RETRY_AFTER,
                HeaderValue::from(u64::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(1)),
            );
            headers.insert(RETRY_AFTER_MS, HeaderValue::from(u64::try_from(wait.as_millis()).unwrap_or(1)));
        }
        if !may_help {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        if let Self::App(error) = &self
            && let Error::Refused(refusal) = &**error
        {
            rate_headers(headers, &refusal.rates);
        }
        response.extensions_mut().insert(Logged(Arc::new(self)));
        response
    }
}

/// The rejection of a response, for the log: one line per failure, at the boundary.
#[derive(Clone)]
pub(super) struct Logged(Arc<Rejection>);

impl Logged {
    /// Whether the project's budget did not cover the call.
    pub(super) fn is_for_money(&self) -> bool {
        let Rejection::App(error) = &*self.0 else { return false };
        matches!(&**error, Error::Refused(refusal) if matches!(refusal.limit, Limit::Budget { .. }))
    }

    /// The error with all its causes, without the words of the request or of the provider, which may quote a prompt.
    pub(super) fn describe(&self) -> String {
        match &*self.0 {
            Rejection::App(error) => match &**error {
                Error::Invalid(invalid) => format!("invalid request: {}", invalid.param.as_deref().unwrap_or("body")),
                Error::UnknownModel(_) => "unknown model".to_owned(),
                Error::NotFound { kind, .. } => format!("no such {kind}"),
                Error::Provider { provider, source, .. } => format!("provider `{provider}`: {}", source.summary()),
                other => ErrorChain(other).to_string(),
            },
            Rejection::TooLarge => "request body too large".to_owned(),
            Rejection::UnknownRoute { .. } => "unknown route".to_owned(),
            Rejection::WrongMethod { .. } => "wrong method".to_owned(),
            Rejection::Panicked => "handler panicked".to_owned(),
        }
    }
}
