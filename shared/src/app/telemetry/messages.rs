//! Prompts and answers as span attributes, for those who opted in: who said what, cut off where it gets long.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::object::Object;

/// Bytes of text that one attribute holds at most; what is longer is cut off, and what comes after it is left out.
const MAX_TEXT_BYTES: usize = 16 * 1024;
/// Parts of an attribute; each has a frame of some 50 bytes around its text.
const MAX_PARTS: usize = 256;

/// What is left of an attribute.
struct Room {
    bytes: usize,
    parts: usize,
}

impl Room {
    fn new() -> Self {
        Self { bytes: MAX_TEXT_BYTES, parts: MAX_PARTS }
    }

    /// The text as far as there is room for it; `None` if there is none.
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

/// The messages of a chat call.
pub(super) fn input(body: &Object) -> Option<String> {
    let said: Vec<Said> = body.get("messages")?;
    let mut room = Room::new();
    let messages: Vec<Value> = said.iter().map_while(|said| message(said, &mut room)).collect();
    Some(Value::from(messages).to_string())
}

/// A message of a chat, or a piece of one.
#[derive(Deserialize)]
pub(super) struct Said {
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

fn message(said: &Said, room: &mut Room) -> Option<Value> {
    let mut parts = Vec::new();
    let text = |room: &mut Room, text: &str| match &said.tool_call_id {
        Some(id) => {
            let response = room.take(text)?;
            Some(json!({ "type": "tool_call_response", "id": room.take(id)?, "response": response }))
        }
        None => room.part("text", "content", text),
    };
    match &said.content {
        Content::Text(content) => parts.extend(text(room, content)),
        Content::Parts(content) => parts.extend(content.iter().map_while(|part| match &part.text {
            Some(content) => text(room, content),
            // Images, sounds and files are named, not copied.
            None => room.part(&part.r#type, "content", ""),
        })),
        Content::None => {}
    }
    parts.extend(said.tool_calls.iter().flatten().map_while(|call| room.call(call)));
    let role = said.role.as_deref().unwrap_or("assistant");
    // A message without a part was empty, or there was no room for it.
    (room.bytes > 0 || !parts.is_empty()).then(|| json!({ "role": role, "parts": parts }))
}

/// The messages of an answer, gathered from its chunks.
#[derive(Default)]
pub(super) struct Output {
    choices: BTreeMap<usize, Gathered>,
    bytes: usize,
}

#[derive(Default)]
struct Gathered {
    text: String,
    calls: BTreeMap<usize, ToolCall>,
}

impl Output {
    /// Adds what a choice says. What there is no room for is not kept.
    pub(super) fn add(&mut self, choice: usize, said: Said) {
        if self.bytes > MAX_TEXT_BYTES {
            return;
        }
        let gathered = self.choices.entry(choice).or_default();
        if let Content::Text(text) = &said.content {
            gathered.text.push_str(text);
            self.bytes += text.len();
        }
        for (at, call) in said.tool_calls.into_iter().flatten().enumerate() {
            // A whole answer numbers its calls by their place.
            let known = gathered.calls.entry(call.index.max(at)).or_default();
            known.id.push_str(&call.id);
            known.function.name.push_str(&call.function.name);
            known.function.arguments.push_str(&call.function.arguments);
            self.bytes += call.id.len() + call.function.name.len() + call.function.arguments.len();
        }
    }

    pub(super) fn to_json(&self, finish_reasons: &[Option<String>]) -> Option<String> {
        let mut room = Room::new();
        let messages = self.choices.iter().map(|(index, gathered)| {
            let text = Some(&gathered.text).filter(|text| !text.is_empty());
            let mut parts: Vec<Value> = text.and_then(|text| room.part("text", "content", text)).into_iter().collect();
            parts.extend(gathered.calls.values().map_while(|call| room.call(call)));
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
    fn who_said_what_is_recorded_and_files_are_named_only() {
        let body = json!({"messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": "data:secret"}}]},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "a cat"}
        ]});
        let recorded = input(&Object::parse(body.to_string().as_bytes()).unwrap()).unwrap();
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
    fn what_is_long_is_cut_off_between_characters() {
        let long = "é".repeat(MAX_TEXT_BYTES);
        let body =
            json!({"messages": [{"role": "user", "content": format!("x{long}")}, {"role": "user", "content": "more"}]});
        let recorded = input(&Object::parse(body.to_string().as_bytes()).unwrap()).unwrap();
        let recorded: Value = serde_json::from_str(&recorded).unwrap();
        assert_eq!(recorded.as_array().unwrap().len(), 1);
        assert_eq!(recorded[0]["parts"][0]["content"].as_str().unwrap().len(), MAX_TEXT_BYTES - 1);
    }

    #[test]
    fn an_answer_is_put_together_from_its_chunks() {
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
