//! A block of a message while it grows.

use serde_json::json;
use serde_json::value::RawValue;
use shared::model::chat_chunk::{ChunkText, Halves, Progress};
use shared::model::object::Object;
use shared::model::reasoning::ReasoningDetails;

/// A block, with its whole text so far.
pub(super) struct Block {
    pub kind: Kind,
    /// Thoughts, text, or the arguments of a call.
    text: String,
    halves: Halves,
    /// The bytes of `text` that were sent.
    sent: usize,
    pub has_started: bool,
}

pub(super) enum Kind {
    /// Thoughts. Their signature carries what the model wants back.
    Thinking(ReasoningDetails),
    /// What the model wants back without thoughts that can be shown.
    RedactedThinking(ReasoningDetails),
    Text,
    ToolUse {
        id: String,
        name: String,
        progress: Progress,
    },
}

impl Block {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, text: String::new(), halves: Halves::default(), sent: 0, has_started: false }
    }

    pub(super) fn is_call(&self) -> bool {
        matches!(self.kind, Kind::ToolUse { .. })
    }

    /// Adds a piece.
    pub(super) fn push(&mut self, piece: &ChunkText) {
        let piece = self.halves.join(piece).into_owned();
        self.push_text(&piece);
    }

    fn push_text(&mut self, piece: &str) {
        self.text.push_str(piece);
        if let Kind::ToolUse { progress, .. } = &mut self.kind {
            progress.see(piece, &self.text);
        }
    }

    /// Adds what only the end decides: half of a character that stays alone, and arguments that were not sent, which are an empty object.
    pub(super) fn close(&mut self) {
        let rest = self.halves.end();
        self.push_text(rest);
        if self.is_call() && self.text.trim().is_empty() {
            self.push_text("{}");
        }
    }

    /// Whether nothing can follow once another block has begun.
    pub(super) fn is_whole(&self) -> bool {
        match &self.kind {
            Kind::Thinking(_) | Kind::RedactedThinking(_) | Kind::Text => true,
            Kind::ToolUse { progress, .. } => progress.is_whole(),
        }
    }

    /// Whether the arguments of a call can be read. The text of other blocks always can.
    pub(super) fn is_readable(&self) -> bool {
        !self.is_call() || input(&self.text).is_some()
    }

    /// The block without text, as a stream begins it.
    pub(super) fn empty(&self) -> Object {
        let block = Object::default();
        match &self.kind {
            Kind::Thinking(_) => block.with("type", "thinking").with("thinking", "").with("signature", ""),
            Kind::RedactedThinking(details) => block.with("type", "redacted_thinking").with("data", &details.carrier()),
            Kind::Text => block.with("type", "text").with("text", ""),
            Kind::ToolUse { id, name, .. } => {
                block.with("type", "tool_use").with("id", id).with("name", name).with("input", &json!({}))
            }
        }
    }

    /// The whole block. Arguments that were cut off are kept as a text in the member `incomplete_json`.
    pub(super) fn whole(&self) -> Object {
        let mut block = self.empty();
        match &self.kind {
            Kind::Thinking(details) => {
                block.set("thinking", &self.text);
                block.set("signature", &details.carrier());
            }
            Kind::RedactedThinking(_) => {}
            Kind::Text => block.set("text", &self.text),
            Kind::ToolUse { .. } => match input(&self.text) {
                Some(input) => block.set_raw("input", input),
                None => block.set("input", &json!({"incomplete_json": self.text})),
            },
        }
        block
    }

    /// The delta with what was not sent yet.
    pub(super) fn delta(&mut self) -> Option<Object> {
        let piece = &self.text[self.sent..];
        if piece.is_empty() {
            return None;
        }
        let (kind, member) = match self.kind {
            Kind::Thinking(_) => ("thinking_delta", "thinking"),
            Kind::RedactedThinking(_) | Kind::Text => ("text_delta", "text"),
            Kind::ToolUse { .. } => ("input_json_delta", "partial_json"),
        };
        let delta = Object::default().with("type", kind).with(member, piece);
        self.sent = self.text.len();
        Some(delta)
    }

    /// The delta in front of the end.
    pub(super) fn last_delta(&self) -> Option<Object> {
        let Kind::Thinking(details) = &self.kind else { return None };
        Some(Object::default().with("type", "signature_delta").with("signature", &details.carrier()))
    }
}

/// The arguments as a JSON object, to the last digit of a number.
fn input(arguments: &str) -> Option<Box<RawValue>> {
    serde_json::from_str::<Box<RawValue>>(arguments.trim()).ok().filter(|input| input.get().starts_with('{'))
}
