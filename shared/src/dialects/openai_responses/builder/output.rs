//! Output items that grow with the stream.

use super::calls::Call;
use crate::dialects::openai_responses::{compaction, view};
use crate::model::chat_chunk::{Halves, Logprob};
use crate::model::object::Object;
use crate::model::reasoning::ReasoningDetails;

/// An output item. Its index in the list is its `output_index`.
pub(super) struct Output {
    pub id: String,
    pub content: Content,
    /// The complete item; `None` while it grows.
    pub done: Option<Object>,
}

pub(super) enum Content {
    Message(Vec<Text>),
    /// Thoughts, and what the model wants back of them.
    Reasoning(Vec<Text>, ReasoningDetails),
    Call(Call),
    /// The summary of a conversation.
    Compaction(String),
}

/// A content part that grows with the stream.
pub(super) struct Text {
    pub kind: TextKind,
    pub text: String,
    pub halves: Halves,
    pub logprobs: Vec<Logprob>,
    /// The pages that the text cites.
    pub annotations: Vec<Object>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextKind {
    Output,
    Refusal,
    Reasoning,
    /// The summary of reasoning that only the model can read.
    Summary,
}

impl TextKind {
    pub(super) fn delta_event(self) -> &'static str {
        match self {
            Self::Output => "response.output_text.delta",
            Self::Refusal => "response.refusal.delta",
            Self::Reasoning => "response.reasoning_text.delta",
            Self::Summary => "response.reasoning_summary_text.delta",
        }
    }

    pub(super) fn done_event(self) -> &'static str {
        match self {
            Self::Output => "response.output_text.done",
            Self::Refusal => "response.refusal.done",
            Self::Reasoning => "response.reasoning_text.done",
            Self::Summary => "response.reasoning_summary_text.done",
        }
    }

    /// The events that announce and end a part.
    pub(super) fn part_events(self) -> (&'static str, &'static str) {
        match self {
            Self::Summary => ("response.reasoning_summary_part.added", "response.reasoning_summary_part.done"),
            _ => ("response.content_part.added", "response.content_part.done"),
        }
    }

    /// The member of events with the number of the part.
    pub(super) fn index_member(self) -> &'static str {
        if self == Self::Summary { "summary_index" } else { "content_index" }
    }

    /// Whether a part is a part of the model's reasoning.
    pub(super) fn is_thought(self) -> bool {
        matches!(self, Self::Reasoning | Self::Summary)
    }

    /// The member with the text, in a part and in its last event.
    pub(super) fn member(self) -> &'static str {
        if self == Self::Refusal { "refusal" } else { "text" }
    }
}

impl Text {
    pub(super) fn new(kind: TextKind) -> Self {
        Self { kind, text: String::new(), halves: Halves::default(), logprobs: Vec::new(), annotations: Vec::new() }
    }

    pub(super) fn json(&self) -> Object {
        let part = Object::default();
        match self.kind {
            TextKind::Output => part
                .with("type", "output_text")
                .with("annotations", &self.annotations)
                .with("logprobs", &self.logprobs)
                .with("text", &self.text),
            TextKind::Refusal => part.with("type", "refusal").with("refusal", &self.text),
            TextKind::Reasoning => part.with("type", "reasoning_text").with("text", &self.text),
            TextKind::Summary => part.with("type", "summary_text").with("text", &self.text),
        }
    }
}

impl Output {
    pub(super) fn new(id: String, content: Content) -> Self {
        Self { id, content, done: None }
    }

    /// The item with its content so far.
    pub(super) fn json(&self, status: &str) -> Object {
        let head = |kind: &str| Object::default().with("id", &self.id).with("type", kind).with("status", status);
        let list = |parts: &[&Text]| parts.iter().map(|part| part.json()).collect::<Vec<_>>();
        match &self.content {
            Content::Message(parts) => {
                head("message").with("content", &list(&parts.iter().collect::<Vec<_>>())).with("role", "assistant")
            }
            Content::Reasoning(parts, details) => {
                let (summary, content): (Vec<&Text>, Vec<&Text>) =
                    parts.iter().partition(|part| part.kind == TextKind::Summary);
                let item = head("reasoning").with("summary", &list(&summary)).with("content", &list(&content));
                if details.is_opaque() { item.with("encrypted_content", &details.carrier()) } else { item }
            }
            Content::Call(call) => call.json(head(call.item_type())),
            Content::Compaction(summary) => Object::default()
                .with("id", &self.id)
                .with("type", view::COMPACTION)
                .with("encrypted_content", &compaction::content(summary)),
        }
    }

    /// The parts of a message or of reasoning.
    pub(super) fn texts(&mut self) -> Option<&mut Vec<Text>> {
        match &mut self.content {
            Content::Message(parts) | Content::Reasoning(parts, _) => Some(parts),
            Content::Call(_) | Content::Compaction(_) => None,
        }
    }
}
