//! Writes items as the messages of a chat call.

use std::collections::HashMap;

use crate::dialects::openai_responses::item::Item;
use crate::dialects::openai_responses::part::{Part, Source};
use crate::dialects::openai_responses::tools::{ToolKind, Tools};
use crate::dialects::openai_responses::view::View;
use crate::model::invalid::Invalid;
use crate::model::object::Object;
use crate::model::reasoning::ReasoningDetails;

/// The messages so far.
pub(super) struct Messages<'a> {
    tools: &'a Tools,
    turns: Vec<Turn>,
    /// What the model thought before the message that comes next.
    thoughts: Thoughts,
    /// The calls without an output by their ids, oldest first: the index of the turn, and of the call within it.
    open: HashMap<String, Vec<(usize, usize)>>,
}

/// One message. A message of the assistant has the functions that it calls, with their outputs.
struct Turn {
    role: String,
    content: Vec<Part>,
    /// What the model thought. Some providers refuse a message that they wrote without its thoughts.
    thoughts: Thoughts,
    calls: Vec<Call>,
    /// Whether a call has an output. No further call belongs to this message then.
    answered: bool,
}

#[derive(Default)]
struct Thoughts {
    text: String,
    /// What the model wants back.
    details: ReasoningDetails,
}

struct Call {
    id: String,
    /// The name that the tool has in the chat call.
    name: String,
    kind: ToolKind,
    arguments: String,
    output: Option<Vec<Part>>,
}

impl<'a> Messages<'a> {
    pub(super) fn new(tools: &'a Tools) -> Self {
        Self { tools, turns: Vec::new(), thoughts: Thoughts::default(), open: HashMap::new() }
    }

    pub(super) fn instruct(&mut self, text: &str) {
        self.say("system", vec![Part::Text(text.to_owned())]);
    }

    /// Adds a message of the user.
    pub(super) fn ask(&mut self, text: &str) {
        self.say("user", vec![Part::Text(text.to_owned())]);
    }

    /// Adds the item at the path `at`.
    ///
    /// # Errors
    /// If the item is invalid, or it is the output of a tool that was not called.
    pub(super) fn add(&mut self, item: &Item, at: &str) -> Result<(), Invalid> {
        match View::read(&item.0, at)? {
            View::Message { role, source: Source::Assistant, content } => match self.awaiting() {
                // A chat call requires the outputs directly after the calls.
                Some(turn) => {
                    turn.content.extend(content);
                    self.note_thoughts();
                }
                None => self.say(&role, content),
            },
            View::Message { role, content, .. } => self.say(&role, content),
            View::Call { call_id: id, name, kind, arguments } => {
                self.call(Call { id, name: self.tools.chat_name(&name), kind, arguments, output: None });
            }
            View::Output { call_id, content } => self.answer(&call_id, content, at)?,
            View::Loaded { call_id: Some(call_id), tools } => {
                let found = Tools::read(&tools, "tools")?.names_in(self.tools);
                self.answer(&call_id, vec![Part::Text(found)], at)?;
            }
            View::Reasoning { text, details } => self.thoughts.extend(Thoughts { text, details }),
            View::Compaction { message } => self.ask(&message),
            View::Loaded { call_id: None, .. }
            | View::Hosted { .. }
            | View::Reference { .. }
            | View::CompactionTrigger => {}
        }
        Ok(())
    }

    fn say(&mut self, role: &str, content: Vec<Part>) {
        if role != "assistant" {
            // Reasoning at the end of an answer belongs to the message before it.
            self.note_thoughts();
        }
        let (thoughts, calls) = (Thoughts::default(), Vec::new());
        self.turns.push(Turn { role: role.to_owned(), content, thoughts, calls, answered: false });
        self.note_thoughts();
    }

    /// Adds the thoughts so far to the last message. Only the assistant has thoughts: others forget them.
    fn note_thoughts(&mut self) {
        let thoughts = std::mem::take(&mut self.thoughts);
        if let Some(turn) = self.turns.last_mut().filter(|turn| turn.role == "assistant") {
            turn.thoughts.extend(thoughts);
        }
    }

    /// The last message if it calls functions and none has an output yet.
    fn awaiting(&mut self) -> Option<&mut Turn> {
        self.turns.last_mut().filter(|turn| !turn.calls.is_empty() && !turn.answered)
    }

    /// Adds a function call to the assistant's message that it belongs to.
    fn call(&mut self, call: Call) {
        if self.turns.last().is_none_or(|turn| turn.role != "assistant" || turn.answered) {
            self.say("assistant", Vec::new());
        }
        self.note_thoughts();
        let last = self.turns.len() - 1;
        let calls = &mut self.turns[last].calls;
        self.open.entry(call.id.clone()).or_default().push((last, calls.len()));
        calls.push(call);
    }

    /// Adds an output to the latest call with this id that has none. Providers may reuse an id in a later turn.
    fn answer(&mut self, call_id: &str, content: Vec<Part>, at: &str) -> Result<(), Invalid> {
        let Some((turn, call)) = self.open.get_mut(call_id).and_then(Vec::pop) else {
            return Err(Invalid {
                message: format!("No tool call found for function call output with call_id '{call_id}'."),
                param: Some(format!("{at}.call_id")),
                code: Some("invalid_value"),
            });
        };
        let turn = &mut self.turns[turn];
        turn.calls[call].output = Some(content);
        turn.answered = true;
        Ok(())
    }

    /// # Errors
    /// If a function call has no output. No provider continues from there.
    pub(super) fn finish(self) -> Result<Vec<Object>, Invalid> {
        let mut messages = Vec::with_capacity(self.turns.len());
        for turn in self.turns {
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
    fn message(&self) -> Object {
        let mut message = Object::default().with("role", &self.role);
        let Thoughts { text, details } = &self.thoughts;
        if !text.is_empty() {
            message.set("reasoning_content", text);
        }
        if !details.is_empty() {
            message.set("reasoning_details", details);
        }
        if self.calls.is_empty() {
            return with_content(message, &self.content);
        }
        let message =
            if self.content.is_empty() { message.with("content", &()) } else { with_content(message, &self.content) };
        message.with("tool_calls", &self.calls.iter().map(Call::json).collect::<Vec<_>>())
    }
}

impl Thoughts {
    fn extend(&mut self, later: Self) {
        self.text.push_str(&later.text);
        self.details.extend(later.details);
    }
}

impl Call {
    fn json(&self) -> Object {
        let (kind, input) = (self.kind.in_chat(), if self.kind == ToolKind::Custom { "input" } else { "arguments" });
        let called = Object::default().with("name", &self.name).with(input, &self.arguments);
        Object::default().with("id", &self.id).with("type", kind).with(kind, &called)
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
            let image = with_detail(Object::default().with("url", url), detail.as_deref());
            Object::default().with("type", "image_url").with("image_url", &image)
        }
        Part::UploadedImage { id, detail } => {
            let image = with_detail(Object::default().with("file_id", id), detail.as_deref());
            Object::default().with("type", "image_url").with("image_url", &image)
        }
        Part::UploadedFile { id, name } => {
            let file = Object::default().with("file_id", id);
            let file = name.iter().fold(file, |file, name| file.with("filename", name));
            Object::default().with("type", "file").with("file", &file)
        }
        Part::File { name, data } => {
            let file = Object::default().with("filename", name).with("file_data", data);
            Object::default().with("type", "file").with("file", &file)
        }
    }
}

/// A chat call has no `original`. `auto` is its default.
fn with_detail(image: Object, detail: Option<&str>) -> Object {
    match detail {
        None | Some("auto") => image,
        Some("original") => image.with("detail", "high"),
        Some(detail) => image.with("detail", detail),
    }
}
