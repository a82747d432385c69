//! Writes items as the messages of a chat call.

use crate::dialects::openai_responses::item::Item;
use crate::dialects::openai_responses::part::{Part, Source};
use crate::dialects::openai_responses::view::View;
use crate::model::invalid::Invalid;
use crate::model::object::Object;

/// The messages so far.
#[derive(Default)]
pub(super) struct Messages(Vec<Turn>);

/// One message. A message of the assistant has the functions that it calls, with their outputs.
struct Turn {
    role: String,
    content: Vec<Part>,
    calls: Vec<Call>,
}

struct Call {
    id: String,
    name: String,
    arguments: String,
    output: Option<Vec<Part>>,
}

impl Messages {
    pub(super) fn instruct(&mut self, text: &str) {
        self.say("system", vec![Part::Text(text.to_owned())]);
    }

    /// Adds the item at the path `at`.
    ///
    /// # Errors
    /// If the item is invalid, or it is the output of a function that was not called.
    pub(super) fn add(&mut self, item: &Item, at: &str) -> Result<(), Invalid> {
        match View::read(&item.0, at)? {
            View::Message { role, source: Source::Assistant, content } => match self.awaiting() {
                // A chat call requires the outputs directly after the calls.
                Some(turn) => turn.content.extend(content),
                None => self.say(&role, content),
            },
            View::Message { role, content, .. } => self.say(&role, content),
            View::Call { call_id: id, name, arguments } => {
                self.calling().calls.push(Call { id, name, arguments, output: None });
            }
            View::Output { call_id, content } => self.answer(&call_id, content, at)?,
            View::Reasoning | View::Reference { .. } => {}
        }
        Ok(())
    }

    fn say(&mut self, role: &str, content: Vec<Part>) {
        self.0.push(Turn { role: role.to_owned(), content, calls: Vec::new() });
    }

    /// The last message if it calls functions and none has an output yet.
    fn awaiting(&mut self) -> Option<&mut Turn> {
        self.0.last_mut().filter(|turn| !turn.calls.is_empty() && turn.is_unanswered())
    }

    /// The assistant's message for the next function call.
    fn calling(&mut self) -> &mut Turn {
        let last = self.0.len().checked_sub(1);
        let open = last.filter(|&last| self.0[last].role == "assistant" && self.0[last].is_unanswered());
        let index = open.unwrap_or_else(|| {
            self.say("assistant", Vec::new());
            self.0.len() - 1
        });
        &mut self.0[index]
    }

    /// Adds an output to the latest call with this id that has none. Providers may reuse an id in a later turn.
    fn answer(&mut self, call_id: &str, content: Vec<Part>, at: &str) -> Result<(), Invalid> {
        let mut calls = self.0.iter_mut().rev().flat_map(|turn| &mut turn.calls);
        match calls.find(|call| call.id == call_id && call.output.is_none()) {
            Some(call) => {
                call.output = Some(content);
                Ok(())
            }
            None => Err(Invalid {
                message: format!("No tool call found for function call output with call_id '{call_id}'."),
                param: Some(format!("{at}.call_id")),
                code: Some("invalid_value"),
            }),
        }
    }

    /// # Errors
    /// If a function call has no output. No provider continues from there.
    pub(super) fn finish(self) -> Result<Vec<Object>, Invalid> {
        let mut messages = Vec::with_capacity(self.0.len());
        for turn in self.0 {
            messages.push(turn.message());
            for call in turn.calls {
                let Some(output) = call.output else {
                    let message = format!("No tool output found for function call '{}'.", call.id);
                    return Err(Invalid { message, param: Some("input".to_owned()), code: Some("invalid_value") });
                };
                let message = Object::default().with("role", "tool").with("tool_call_id", &call.id);
                messages.push(with_content(message, &output));
            }
        }
        Ok(messages)
    }
}

impl Turn {
    fn is_unanswered(&self) -> bool {
        self.calls.iter().all(|call| call.output.is_none())
    }

    fn message(&self) -> Object {
        let message = Object::default().with("role", &self.role);
        if self.calls.is_empty() {
            return with_content(message, &self.content);
        }
        let message =
            if self.content.is_empty() { message.with("content", &()) } else { with_content(message, &self.content) };
        message.with("tool_calls", &self.calls.iter().map(Call::json).collect::<Vec<_>>())
    }
}

impl Call {
    fn json(&self) -> Object {
        let function = Object::default().with("name", &self.name).with("arguments", &self.arguments);
        Object::default().with("id", &self.id).with("type", "function").with("function", &function)
    }
}

/// A single text is written as a plain string, because all imitators of OpenAI understand it.
fn with_content(message: Object, parts: &[Part]) -> Object {
    match parts {
        [] => message.with("content", ""),
        [Part::Text(text)] => message.with("content", text),
        parts => message.with("content", &parts.iter().map(part).collect::<Vec<_>>()),
    }
}

fn part(part: &Part) -> Object {
    match part {
        Part::Text(text) => Object::default().with("type", "text").with("text", text),
        Part::Refusal(text) => Object::default().with("type", "refusal").with("refusal", text),
        Part::Image { url, detail } => {
            let image = Object::default().with("url", url);
            // A chat call has no `original`. `auto` is its default.
            let image = match detail.as_deref() {
                None | Some("auto") => image,
                Some("original") => image.with("detail", "high"),
                Some(detail) => image.with("detail", detail),
            };
            Object::default().with("type", "image_url").with("image_url", &image)
        }
        Part::File { name, data } => {
            let file = Object::default().with("filename", name).with("file_data", data);
            Object::default().with("type", "file").with("file", &file)
        }
    }
}
