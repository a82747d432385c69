//! A whole response as a chat completion.

use serde_json::{Value, json};
use shared::model::object::Object;
use shared::model::provider::{Event, Failure, Whole};
use shared::model::reasoning::ReasoningDetails;
use shared::model::tokens::Usage;

use super::reader::Reader;
use super::shapes::read_response;

/// # Errors
/// If the response failed, has not ended, or is none.
pub(super) fn answer(body: &[u8], model: &str) -> Result<Whole, Failure> {
    let response = read_response(body)?;
    if !response.has_output() {
        return Err(response.failure().unwrap_or_else(|| Failure::Malformed("the response has no output".to_owned())));
    }
    let events = Reader::new(model).last(response)?;
    let mut message = Message::default();
    events.iter().for_each(|event| message.add(event));
    Ok(message.whole())
}

/// A message whose pieces are in chunks.
#[derive(Default)]
struct Message {
    /// The members that all chunks share.
    head: Object,
    content: Option<String>,
    refusal: Option<String>,
    thoughts: String,
    details: ReasoningDetails,
    annotations: Vec<Value>,
    logprobs: Vec<Value>,
    calls: Vec<Value>,
    finish: Value,
    usage: Option<Usage>,
}

impl Message {
    fn add(&mut self, event: &Event) {
        let Ok(chunk) = Object::parse(&event.data) else { return };
        for choice in chunk.get::<Vec<Value>>("choices").unwrap_or_default() {
            self.add_choice(choice);
        }
        self.head = chunk;
        self.usage = event.usage.or(self.usage);
    }

    fn add_choice(&mut self, mut choice: Value) {
        let (mut delta, mut logprobs) = (choice["delta"].take(), choice["logprobs"]["content"].take());
        let text = |name: &str| delta[name].as_str().filter(|text| !text.is_empty());
        for (name, whole) in [("content", &mut self.content), ("refusal", &mut self.refusal)] {
            if let Some(text) = text(name) {
                whole.get_or_insert_default().push_str(text);
            }
        }
        self.thoughts.push_str(text("reasoning_content").unwrap_or_default());
        self.details.extend(serde_json::from_value(delta["reasoning_details"].take()).unwrap_or_default());
        self.annotations.append(delta["annotations"].as_array_mut().unwrap_or(&mut Vec::new()));
        self.logprobs.append(logprobs.as_array_mut().unwrap_or(&mut Vec::new()));
        for piece in delta["tool_calls"].as_array_mut().into_iter().flatten() {
            self.add_call(piece.take());
        }
        if choice["finish_reason"].is_string() {
            self.finish = choice["finish_reason"].take();
        }
    }

    /// Adds a call, or a piece of the last one.
    fn add_call(&mut self, mut piece: Value) {
        if let Some(members) = piece.as_object_mut() {
            members.remove("index");
        }
        if piece["id"].is_string() {
            return self.calls.push(piece);
        }
        let Some(call) = self.calls.last_mut() else { return };
        for (kind, member) in [("function", "arguments"), ("custom", "input")] {
            let more = piece[kind][member].as_str();
            let whole = call.get_mut(kind).and_then(|called| called.get_mut(member));
            if let (Some(Value::String(whole)), Some(more)) = (whole, more) {
                whole.push_str(more);
            }
        }
    }

    fn whole(self) -> Whole {
        let mut message = json!({"role": "assistant", "content": self.content, "refusal": self.refusal});
        if !self.thoughts.is_empty() {
            message["reasoning_content"] = self.thoughts.into();
        }
        if !self.details.is_empty() {
            message["reasoning_details"] = json!(self.details);
        }
        if !self.annotations.is_empty() {
            message["annotations"] = self.annotations.into();
        }
        if !self.calls.is_empty() {
            message["tool_calls"] = self.calls.into();
        }
        let logprobs = if self.logprobs.is_empty() { Value::Null } else { json!({"content": self.logprobs}) };
        let choice = json!({"index": 0, "message": message, "logprobs": logprobs, "finish_reason": self.finish});
        let body = self.head.with("object", "chat.completion").with("choices", &[choice]);
        Whole::json(body.to_bytes(), self.usage)
    }
}
