//! Writes the events, with all members of OpenAI's events.

use super::items::OutputItems;
use super::output::{Content, Output, TextKind};
use super::{ResponseEvent, Status};
use crate::dialects::openai_responses::tools::ToolKind;
use crate::model::object::Object;

/// The events that were not returned yet.
pub(super) struct Events {
    waiting: Vec<ResponseEvent>,
    next_sequence: u64,
}

impl Events {
    pub(super) fn new(next_sequence: u64) -> Self {
        Self { waiting: Vec::new(), next_sequence }
    }

    pub(super) fn emit(&mut self, name: &'static str, members: &Object) {
        let event = self.next(name, members);
        self.waiting.push(event);
    }

    /// The next event of the stream.
    pub(super) fn next(&mut self, name: &'static str, members: &Object) -> ResponseEvent {
        let event = ResponseEvent::new(name, self.next_sequence, members);
        self.next_sequence += 1;
        event
    }

    pub(super) fn take(&mut self) -> Vec<ResponseEvent> {
        std::mem::take(&mut self.waiting)
    }
}

impl OutputItems {
    pub(super) fn emit_item_added(&mut self, index: usize) {
        let item = self.outputs[index].json("in_progress");
        self.events
            .emit("response.output_item.added", &Object::default().with("output_index", &index).with("item", &item));
    }

    pub(super) fn emit_item_done(&mut self, index: usize, status: Status) {
        let item = self.outputs[index].json(status.name());
        self.events
            .emit("response.output_item.done", &Object::default().with("output_index", &index).with("item", &item));
        self.outputs[index].done = Some(item);
    }

    /// Announces the last part of an item.
    pub(super) fn emit_part_added(&mut self, index: usize) {
        let members = at_last_part(&mut self.outputs[index], index);
        let Some(part) = self.outputs[index].texts().and_then(|parts| parts.last()) else { return };
        let members = members.with("part", &part.json());
        self.events.emit(part.kind.part_events().0, &members);
    }

    pub(super) fn emit_text_delta(&mut self, index: usize, kind: TextKind, delta: &str, logprobs: &[Object]) {
        let mut members = at_last_part(&mut self.outputs[index], index).with("delta", delta);
        if kind == TextKind::Output {
            members.set("logprobs", logprobs);
        }
        self.events.emit(kind.delta_event(), &members);
    }

    /// Announces the last annotation of the last part of an item.
    pub(super) fn emit_annotation_added(&mut self, index: usize) {
        let members = at_last_part(&mut self.outputs[index], index);
        let Some(part) = self.outputs[index].texts().and_then(|parts| parts.last()) else { return };
        let at = members.with("annotation_index", &part.annotations.len().saturating_sub(1));
        let members = at.with("annotation", &part.annotations.last());
        self.events.emit("response.output_text.annotation.added", &members);
    }

    /// Ends the last part of an item.
    pub(super) fn emit_part_done(&mut self, index: usize) {
        let at = at_last_part(&mut self.outputs[index], index);
        let Some(part) = self.outputs[index].texts().and_then(|parts| parts.last()) else { return };
        let mut members = at.clone().with(part.kind.member(), &part.text);
        if part.kind == TextKind::Output {
            members.set("logprobs", &part.logprobs.iter().map(|logprob| logprob.in_event()).collect::<Vec<_>>());
        }
        let (kind, whole) = (part.kind, at.with("part", &part.json()));
        self.events.emit(kind.done_event(), &members);
        self.events.emit(kind.part_events().1, &whole);
    }

    pub(super) fn emit_arguments_delta(&mut self, index: usize, delta: &str) {
        let Content::Call(call) = &self.outputs[index].content else { return };
        let name = match call.kind {
            ToolKind::Function => "response.function_call_arguments.delta",
            ToolKind::Custom => "response.custom_tool_call_input.delta",
            ToolKind::Search => return,
        };
        let members = at(&self.outputs[index], index).with("delta", delta);
        self.events.emit(name, &members);
    }

    pub(super) fn emit_arguments_done(&mut self, index: usize) {
        let Content::Call(call) = &self.outputs[index].content else { return };
        let at = at(&self.outputs[index], index);
        let (name, members) = match call.kind {
            ToolKind::Function => (
                "response.function_call_arguments.done",
                at.with("name", &call.name.name).with("arguments", &call.arguments),
            ),
            ToolKind::Custom => ("response.custom_tool_call_input.done", at.with("input", &call.arguments)),
            ToolKind::Search => return,
        };
        self.events.emit(name, &members);
    }
}

/// The members that say which item an event is about.
fn at(item: &Output, index: usize) -> Object {
    Object::default().with("item_id", &item.id).with("output_index", &index)
}

/// The members that say which part an event is about: the last one of its item.
fn at_last_part(item: &mut Output, index: usize) -> Object {
    let at = at(item, index);
    let parts = item.texts().map_or(&[][..], |parts| parts.as_slice());
    let Some(last) = parts.last() else { return at };
    // The parts of a summary and those of a content have numbers of their own.
    let member = last.kind.index_member();
    let before = parts[..parts.len() - 1].iter().filter(|part| part.kind.index_member() == member);
    at.with(member, &before.count())
}
