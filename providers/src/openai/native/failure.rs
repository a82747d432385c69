//! The failures that the Responses API reports within an answer.

use serde_json::Value;
use shared::model::provider::Failure;

use super::request;
use crate::http::{ErrorBody, failure_of_event};

/// The failure of an event with the name `error`: the error itself, or an object that has it.
pub(super) fn error_of(data: &str) -> Failure {
    let value: Value = serde_json::from_str(data).unwrap_or_else(|_| data.into());
    let mut error = match value.get("error") {
        Some(error) if !error.is_null() => error.clone(),
        _ => value,
    };
    // The type of the event says nothing about the error.
    if let Some(kind) = error.get_mut("type").filter(|kind| *kind == "error") {
        kind.take();
    }
    failure(&error).unwrap_or_else(|| failure_of_event(&ErrorBody::default()))
}

/// Codes of errors that the request caused.
const OF_REQUEST: [&str; 4] = ["invalid_", "image_", "unsupported_", "empty_image"];

/// The failure for an error of a response; `None` if there is none.
pub(super) fn failure(error: &Value) -> Option<Failure> {
    let mut error = error.clone();
    let code = error.get("code").and_then(Value::as_str).unwrap_or_default();
    let kind = match code {
        "server_is_overloaded" | "slow_down" => Some("overloaded_error"),
        "invalid_api_key" => None,
        "failed_to_download_image" => Some("invalid_request_error"),
        code if OF_REQUEST.iter().any(|start| code.starts_with(start)) => Some("invalid_request_error"),
        _ => None,
    };
    if let (Some(kind), Some(members)) = (kind, error.as_object_mut()) {
        members.insert("type".to_owned(), kind.into());
    }
    ErrorBody::of(&error).map(|body| request::in_chat(failure_of_event(&body)))
}
