//! Prompts and answers as span attributes. They are recorded only if the operator opted in, and long ones are truncated.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::object::Object;

/// The most bytes of text in one attribute. Longer text is truncated, and all text after it is omitted.
const MAX_TEXT_BYTES: usize = 16 * 1024;
/// The most parts in one attribute. Each part adds some 50 bytes of JSON to its text.
const MAX_PARTS: usize = 256;

/// The space that an attribute has left.
struct Space {
    bytes: usize,
    parts: usize,
}

impl Space {
    fn new() -> Self {
        Self { bytes: MAX_TEXT_BYTES, parts: MAX_PARTS }
    }

    /// Takes the space for `text` and returns the part of it that fits. Returns `None` if no space is left.
    fn take<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        if self.bytes == 0 || self.parts == 0 {
            return None;
        }
        let cut = &text[..text.floor_char_boundary(self.bytes)];
        self.parts -= 1;
        self.bytes = if cut.len() < text.len() { 0 } else { self.bytes - cut.len() };
        Some(cut)
    }

    fn part(&mut self, kind: &str, name: &str, text: &str) -> Option<Value> {
        let text = self.take(text)?;
        Some(json!({ "type": kind, name: text }))
    }

    fn call(&mut self, call: &ToolCall) -> Option<Value> {
        let arguments = self.take(&call.function.arguments)?;
        let (id, name) = (self.take(&call.id)?, self.take(&call.function.name)?);
        Some(json!({ "type": "tool_call", "id": id, "name": name, "arguments": arguments }))
    }
}

/// Returns the messages of a chat request as a JSON array. Returns `None` if the request has no readable messages.
#[must_use]
pub fn input_messages(body: &Object) -> Option<String> {
    let messages: Vec<ChatMessage> = body.get("messages")?;
    let mut space = Space::new();
    let shown: Vec<Value> = messages.iter().map_while(|message| to_attribute(message, &mut space)).collect();
    Some(Value::from(shown).to_string())
}

/// A message of a chat, or the part of one that a chunk contains.
#[derive(Deserialize)]
pub struct ChatMessage {
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    content: Content,
    #[serde(default)]
    tool_calls: Option<Vec<ToolCall>>,
    #[serde(default)]
    tool_call_id: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
    #[default]
    None,
}

#[derive(Deserialize)]
struct Part {
    r#type: String,
    #[serde(default)]
    text: Option<String>,
}

#[derive(Deserialize, Default)]
struct ToolCall {
    #[serde(default)]
    index: usize,
    #[serde(default)]
    id: String,
    #[serde(default)]
    function: Function,
}

#[derive(Deserialize, Default)]
struct Function {
    #[serde(default)]
    name: String,
    #[serde(default)]
    arguments: String,
}

/// Returns a message in the form of the semantic conventions. Returns `None` if no space is left for it.
fn to_attribute(message: &ChatMessage, space: &mut Space) -> Option<Value> {
    let mut parts = Vec::new();
    let text = |space: &mut Space, text: &str| match &message.tool_call_id {
        Some(id) => {
            let response = space.take(text)?;
            Some(json!({ "type": "tool_call_response", "id": space.take(id)?, "response": response }))
        }
        None => space.part("text", "content", text),
    };
    match &message.content {
        Content::Text(content) => parts.extend(text(space, content)),
        Content::Parts(content) => parts.extend(content.iter().map_while(|part| match &part.text {
            Some(content) => text(space, content),
            // Of images, sounds and files only the type is recorded.
            None => space.part(&part.r#type, "content", ""),
        })),
        Content::None => {}
    }
    parts.extend(message.tool_calls.iter().flatten().map_while(|call| space.call(call)));
    let role = message.role.as_deref().unwrap_or("assistant");
    // A message without parts is recorded only if it is empty, not if the space ran out.
    (space.bytes > 0 || !parts.is_empty()).then(|| json!({ "role": role, "parts": parts }))
}

/// The messages of an answer, assembled from its chunks.
#[derive(Default)]
pub struct Output {
    choices: BTreeMap<usize, Choice>,
    /// Bytes of text in all choices.
    bytes: usize,
}

#[derive(Default)]
struct Choice {
    text: String,
    calls: BTreeMap<usize, ToolCall>,
}

impl Output {
    /// Adds a message, or a chunk of one, to the choice with the given index. Text beyond the limit is discarded.
    pub fn add(&mut self, index: usize, message: ChatMessage) {
        if self.bytes > MAX_TEXT_BYTES {
            return;
        }
        let choice = self.choices.entry(index).or_default();
        if let Content::Text(text) = &message.content {
            choice.text.push_str(text);
            self.bytes += text.len();
        }
        for (position, call) in message.tool_calls.into_iter().flatten().enumerate() {
            // The calls of an answer that is not a stream have no index, only a position.
            let known = choice.calls.entry(call.index.max(position)).or_default();
            known.id.push_str(&call.id);
            known.function.name.push_str(&call.function.name);
            known.function.arguments.push_str(&call.function.arguments);
            self.bytes += call.id.len() + call.function.name.len() + call.function.arguments.len();
        }
    }

    /// Returns the messages as a JSON array, or `None` if there are none. `finish_reasons` are by the index of the choice.
    #[must_use]
    pub fn to_json(&self, finish_reasons: &[Option<String>]) -> Option<String> {
        let mut space = Space::new();
        let messages = self.choices.iter().map(|(index, choice)| {
            let text = Some(&choice.text).filter(|text| !text.is_empty());
            let mut parts: Vec<Value> = text.and_then(|text| space.part("text", "content", text)).into_iter().collect();
            parts.extend(choice.calls.values().map_while(|call| space.call(call)));
            let reason = finish_reasons.get(*index).cloned().flatten();
            json!({ "role": "assistant", "parts": parts, "finish_reason": reason.unwrap_or_default() })
        });
        let messages: Vec<Value> = messages.collect();
        (!messages.is_empty()).then(|| Value::from(messages).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_roles_and_texts_but_only_the_type_of_files() {
        let body = json!({"messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": "data:secret"}}]},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "a cat"}
        ]});
        let recorded = input_messages(&Object::parse(body.to_string().as_bytes()).unwrap()).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&recorded).unwrap(),
            json!([
                {"role": "system", "parts": [{"type": "text", "content": "Be short."}]},
                {"role": "user", "parts": [{"type": "text", "content": "What is it?"}, {"type": "image_url", "content": ""}]},
                {"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "look", "arguments": "{}"}]},
                {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "a cat"}]}
            ])
        );
    }

    #[test]
    fn truncates_long_text_between_characters() {
        let long = "é".repeat(MAX_TEXT_BYTES);
        let body =
            json!({"messages": [{"role": "user", "content": format!("x{long}")}, {"role": "user", "content": "more"}]});
        let recorded = input_messages(&Object::parse(body.to_string().as_bytes()).unwrap()).unwrap();
        let recorded: Value = serde_json::from_str(&recorded).unwrap();
        assert_eq!(recorded.as_array().unwrap().len(), 1);
        assert_eq!(recorded[0]["parts"][0]["content"].as_str().unwrap().len(), MAX_TEXT_BYTES - 1);
    }

    #[test]
    fn assembles_an_answer_from_its_chunks() {
        let mut output = Output::default();
        let chunks = [
            json!({"role": "assistant", "content": "Let me "}),
            json!({"content": "look."}),
            json!({"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "look", "arguments": ""}}]}),
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
        ];
        for chunk in chunks {
            output.add(0, serde_json::from_value(chunk).unwrap());
        }
        let recorded = output.to_json(&[Some("tool_calls".to_owned())]).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&recorded).unwrap(),
            json!([{
                "role": "assistant",
                "parts": [
                    {"type": "text", "content": "Let me look."},
                    {"type": "tool_call", "id": "c1", "name": "look", "arguments": "{}"}
                ],
                "finish_reason": "tool_calls"
            }])
        );
    }
}
