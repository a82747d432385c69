//! Reads the reasoning of Claude models in a message of the assistant.

use serde_json::value::RawValue;
use shared::model::object::Object;
use shared::model::reasoning::ReasoningDetails;

use super::{Part, PartKind};
use crate::thought::CLAUDE;

/// The thoughts that a Claude model signed. Others are not sent: it refuses thoughts without its signature.
pub(super) fn thoughts(details: Option<&RawValue>) -> Vec<Part> {
    let details = details.map(ReasoningDetails::read).unwrap_or_default();
    details.entries().filter_map(|entry| kind(&entry)).map(|kind| Part { kind, cache: None }).collect()
}

fn kind(entry: &Object) -> Option<PartKind> {
    if entry.get::<String>("format").as_deref() != Some(CLAUDE) {
        return None;
    }
    match entry.get::<String>("type")?.as_str() {
        "reasoning.text" => {
            let text = entry.get("text").unwrap_or_default();
            Some(PartKind::Thinking { text, signature: entry.get("signature")? })
        }
        "reasoning.encrypted" => Some(PartKind::RedactedThinking(entry.get("data")?)),
        _ => None,
    }
}
