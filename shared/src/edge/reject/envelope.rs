//! OpenAI's envelope of an error: `{"error": {"message", "type", "param", "code"}}`.

use axum::http::StatusCode;
use bytes::Bytes;
use serde::Serialize;

use super::Rejection;
use super::status::{REQUEST, classify, classify_app};
use crate::app::Error;
use crate::model::provider::Failure;

/// An error in the form in which the client sees it. The causes of an internal error stay in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PublicError {
    pub(super) status: StatusCode,
    kind: &'static str,
    code: Option<String>,
    param: Option<String>,
    message: String,
}

const TOO_SLOW: &str =
    "The request body did not arrive within a minute. Send the request again over a better connection.";
const NO_WEBSOCKET: &str =
    "This server does not speak over WebSockets. Send the request over HTTP: POST, with `stream` for events.";
const INTERNAL: &str = "The server had an error while processing your request. Try again; if it persists, give the operator the x-request-id.";
const STORE_UNAVAILABLE: &str = "The server could not reach its storage for the moment. Try again after the time in the \
                                 `retry-after` header.";

impl PublicError {
    pub(super) fn of(rejection: &Rejection) -> Self {
        let message = match rejection {
            Rejection::App(error) => return Self::of_app(error),
            Rejection::TooLarge(most_bytes) => format!(
                "The request body is larger than {} MB, the most that this request can carry. Send images by URL, split lists of \
                 inputs, or shorten the conversation. Send a large file in parts: POST /v1/uploads.",
                most_bytes >> 20
            ),
            Rejection::TooSlow => TOO_SLOW.to_owned(),
            Rejection::UnknownRoute { method, path } => {
                format!("Unknown request URL: {method} {path}. Check the URL for typos; paths begin with /v1.")
            }
            Rejection::WrongMethod { method, path } => {
                format!("{path} has no method {method}; see the `allow` header.")
            }
            Rejection::WebSocket => NO_WEBSOCKET.to_owned(),
            Rejection::Panicked => INTERNAL.to_owned(),
        };
        let (status, kind, code) = classify(rejection);
        Self { status, kind, code: code.map(str::to_owned), param: None, message }
    }

    pub(super) fn of_app(error: &Error) -> Self {
        let (message, param) = message_and_param(error);
        let (status, kind, code) = classify_app(error);
        let kind = provider_kind(error).unwrap_or(kind);
        Self { status, kind, code: code.map(str::to_owned), param, message }
    }
}

fn message_and_param(error: &Error) -> (String, Option<String>) {
    match error {
        Error::Invalid(invalid) => (invalid.message.clone(), invalid.param.clone()),
        Error::UnknownModel(_) | Error::Unpriced(_) | Error::WrongModel { .. } => {
            (error.to_string(), Some("model".to_owned()))
        }
        Error::Forbidden(forbidden) => (forbidden.to_string(), forbidden.param().map(str::to_owned)),
        Error::Provider { source: Failure::Refused { refusal, .. }, .. } => {
            (refusal.message.clone(), refusal.param.clone())
        }
        Error::Provider { source: Failure::Unsupported { what, param }, .. } => (what.clone(), param.clone()),
        Error::Provider { .. } => (error.no_answer().unwrap_or_default(), None),
        Error::Unavailable { .. } => (STORE_UNAVAILABLE.to_owned(), None),
        Error::Internal { .. } | Error::Repeated(_) => (INTERNAL.to_owned(), None),
        other => (other.to_string(), None),
    }
}

/// The `type` that the provider gave, if it is one of OpenAI's.
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

pub(super) fn write_envelope(public: &PublicError) -> Bytes {
    let error = Fields {
        message: &public.message,
        r#type: public.kind,
        param: public.param.as_deref(),
        code: public.code.as_deref(),
    };
    serde_json::to_vec(&Envelope { error }).unwrap_or_default().into()
}
