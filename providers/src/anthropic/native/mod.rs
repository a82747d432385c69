//! The Messages API for clients that speak it: bodies, answers and events pass as they came.

mod events;
mod history;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use shared::model::object::Object;
use shared::model::provider::{Failure, ProviderRequest, Whole};

pub(crate) use events::Events;

use super::wire::Counts;
use crate::http::{ErrorBody, failure_of_event};

/// The client's body with the provider's name of the model.
pub(super) fn body(call: &ProviderRequest) -> Bytes {
    let mut body = own(call);
    body.set("model", &call.model);
    body.set("stream", &call.stream);
    body.to_bytes()
}

/// The client's body without the thoughts that weir wrote for other providers: Anthropic refuses them, because it did not sign them.
pub(crate) fn own(call: &ProviderRequest) -> Object {
    let mut body = call.body.clone();
    if let Some(messages) = history::without_own_thoughts(&body) {
        body.set("messages", &messages);
    }
    body
}

/// A whole answer as it came.
///
/// # Errors
/// `Malformed` if this is no message. The failure for its error if it is an error with status 200.
pub(crate) fn whole(body: Bytes) -> Result<Whole, Failure> {
    #[derive(Deserialize)]
    struct Message {
        #[serde(rename = "type")]
        kind: String,
        usage: Option<Counts>,
        #[serde(default)]
        error: Value,
    }
    let message: Message = serde_json::from_slice(&body)
        .map_err(|error| Failure::Malformed(format!("the answer is not Anthropic's: {error}")))?;
    match message.kind.as_str() {
        "message" => Ok(Whole::json(body, message.usage.map(|counts| counts.usage()))),
        "error" => Err(failure_of_event(&ErrorBody::of(&message.error).unwrap_or_default())),
        kind => Err(Failure::Malformed(format!("the answer is a `{kind}`, not a message"))),
    }
}
