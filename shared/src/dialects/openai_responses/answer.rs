//! The ends of a response object: usage, failure, cancellation.

use serde_json::value::RawValue;

use crate::model::clock::Timestamp;
use crate::model::object::Object;
use crate::model::response::Status;
use crate::model::tokens::{Charge, Usage};

/// OpenAI's `ResponseUsage`, with weir's `cost` in dollars.
pub(super) fn usage(charge: &Charge) -> Object {
    let Usage { input, cached_input, cache_write, cache_write_30m, cache_write_12h, output, reasoning, .. } =
        charge.usage;
    let mut cached = Object::default().with("cached_tokens", &cached_input).with("cache_write_tokens", &cache_write);
    if let (1.., _) | (_, 1..) = (cache_write_30m, cache_write_12h) {
        let by_time =
            Object::default().with("ttl_30m_tokens", &cache_write_30m).with("ttl_12h_tokens", &cache_write_12h);
        cached = cached.with("cache_write_tokens_details", &by_time);
    }
    let mut usage = Object::default()
        .with("input_tokens", &input)
        .with("input_tokens_details", &cached)
        .with("output_tokens", &output)
        .with("output_tokens_details", &Object::default().with("reasoning_tokens", &reasoning))
        .with("total_tokens", &input.saturating_add(output));
    if let Ok(cost) = RawValue::from_string(charge.cost.to_string()) {
        usage.set_raw("cost", cost);
    }
    usage
}

/// The response `skeleton`, failed without any output. `code` is one of OpenAI's: `server_error` or
/// `rate_limit_exceeded`.
#[must_use]
pub fn failed_response(skeleton: &Object, code: &str, message: &str) -> Object {
    let error = Object::default().with("code", code).with("message", message);
    with_status(skeleton, Status::Failed).with("error", &error)
}

/// The response `skeleton`, cancelled without any output.
#[must_use]
pub fn cancelled_response(skeleton: &Object) -> Object {
    with_status(skeleton, Status::Cancelled)
}

/// The response with another status.
pub(super) fn with_status(response: &Object, status: Status) -> Object {
    response.clone().with("status", status.name())
}

/// The response, completed at `now`.
pub(super) fn complete(response: &Object, now: Timestamp) -> Object {
    with_status(response, Status::Completed).with("completed_at", &now.seconds())
}

/// The answer to the deletion of a response.
#[must_use]
pub fn deleted_response(id: &str) -> Object {
    Object::default().with("id", id).with("object", "response").with("deleted", &true)
}
