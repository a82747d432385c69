//! The signatures of thoughts: opaque texts that Gemini writes beside its parts and wants back on the same parts.
//!
//! A chat completion carries them in `reasoning_details`, in the shape of `OpenRouter`: an entry names its tool call by id, or none for a
//! text.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Value, json};
use shared::model::object::Object;

use crate::conversation::accepted_id;

/// The format of entries with Gemini's signatures.
const FORMAT: &str = "google-gemini-v1";

/// Google's placeholder for a call that another model made, which has no signature. Gemini 3 and later refuse a call of the current turn
/// without a signature.
pub(super) const UNKNOWN: &str = "skip_thought_signature_validator";

/// An entry of `reasoning_details`: number `index` among those of its message.
pub(super) fn detail(signature: &str, call: Option<&str>, index: usize) -> Value {
    json!({"type": "reasoning.encrypted", "data": signature, "id": call, "format": FORMAT, "index": index})
}

/// The signatures that the assistant's messages of a request carry.
#[derive(Debug, Default)]
pub(super) struct Signatures {
    /// By the ids of their tool calls, as the provider is told of them.
    calls: HashMap<String, String>,
    /// By their texts. The same text twice has the later signature.
    texts: HashMap<String, String>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    reasoning_details: Value,
    #[serde(default)]
    content: Value,
}

impl Signatures {
    pub(super) fn of(body: &Object) -> Self {
        let mut signatures = Self::default();
        // Most requests need not be read.
        if body.text("messages").is_some_and(|text| text.contains(FORMAT)) {
            for message in body.get::<Vec<Message>>("messages").unwrap_or_default() {
                signatures.add(message);
            }
        }
        signatures
    }

    fn add(&mut self, message: Message) {
        let entries = message.reasoning_details.as_array().into_iter().flatten();
        for entry in entries.filter(|entry| entry["format"] == FORMAT) {
            let Some(signature) = entry["data"].as_str() else { continue };
            match entry["id"].as_str() {
                Some(id) => drop(self.calls.insert(accepted_id(id.to_owned()), signature.to_owned())),
                None => {
                    let text =
                        last_text(&message.content).map(|text| (text.trim_end().to_owned(), signature.to_owned()));
                    self.texts.extend(text);
                }
            }
        }
    }

    pub(super) fn of_call(&self, id: &str) -> Option<&str> {
        self.calls.get(id).map(String::as_str)
    }

    pub(super) fn of_text(&self, text: &str) -> Option<&str> {
        self.texts.get(text.trim_end()).map(String::as_str)
    }
}

/// The last text of a message's content.
fn last_text(content: &Value) -> Option<&str> {
    match content {
        Value::String(text) => Some(text),
        Value::Array(parts) => parts.iter().rev().find_map(|part| part["text"].as_str()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(messages: &Value) -> Signatures {
        Signatures::of(&Object::default().with("messages", messages))
    }

    #[test]
    fn signatures_are_found_by_calls_and_texts() {
        let details =
            json!([detail("s1", Some("call_1"), 0), detail("s2", Some("functions.f:0"), 1), detail("s3", None, 2)]);
        let content = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b\n"}]);
        let found = read(&json!([{"role": "assistant", "content": content, "reasoning_details": details}]));
        assert_eq!(found.of_call("call_1"), Some("s1"));
        assert_eq!(found.of_call(&accepted_id("functions.f:0".to_owned())), Some("s2"));
        assert_eq!((found.of_text("b"), found.of_text("a"), found.of_call("call_2")), (Some("s3"), None, None));
    }

    #[test]
    fn other_entries_are_ignored() {
        let foreign = json!({"type": "reasoning.text", "text": "t", "signature": "s", "format": "anthropic-claude-v1", "id": "1"});
        let broken = json!({"format": FORMAT, "id": "1", "data": 7});
        let found = read(&json!([
            {"content": "a", "reasoning_details": [foreign, broken, "x", null]},
            {"content": {"a": 1}, "reasoning_details": [detail("s", None, 0)]},
            {"reasoning_details": "google-gemini-v1"},
        ]));
        assert!(found.calls.is_empty() && found.texts.is_empty(), "{found:?}");
    }
}
