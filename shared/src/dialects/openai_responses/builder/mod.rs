//! Builds the events of a response from the chunks of a chat completion.

mod chunk;
mod output;
mod write;

use chunk::{CallPiece, Chunk, Logprob};
use output::{Call, Content, Output, Text, TextKind};

use super::answer::{self, Bill};
use super::event::ResponseEvent;
use super::status::Status;
use crate::model::clock::Timestamp;
use crate::model::id;
use crate::model::object::Object;
use crate::model::provider::Failure;

/// Builds the events of a response from the chunks of a chat completion, and finally the response.
///
/// As at OpenAI, an item ends before the next one begins. The exception is a function call with incomplete arguments:
/// it stays open next to later items, so that pieces of parallel calls may come in any order.
pub struct EventBuilder {
    response: Object,
    now: Timestamp,
    next_sequence: u64,
    outputs: Vec<Output>,
    finish: Option<String>,
    /// Events that were not returned yet.
    events: Vec<ResponseEvent>,
}

impl EventBuilder {
    /// Starts with a response without output. `first_sequence` is the number of the first event. Ids of items are made
    /// from `now`.
    #[must_use]
    pub fn new(skeleton: Object, first_sequence: u64, now: Timestamp) -> Self {
        Self {
            response: skeleton,
            now,
            next_sequence: first_sequence,
            outputs: Vec::new(),
            finish: None,
            events: Vec::new(),
        }
    }

    /// The number of the next event.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// `response.created`, the first event. The status is `Queued` for a background response and `InProgress`
    /// otherwise.
    pub fn created_event(&mut self, status: Status) -> ResponseEvent {
        self.announce("response.created", status)
    }

    /// `response.queued`, for a background response.
    pub fn queued_event(&mut self) -> ResponseEvent {
        self.announce("response.queued", Status::Queued)
    }

    /// `response.in_progress`, before the first output.
    pub fn in_progress_event(&mut self) -> ResponseEvent {
        self.announce("response.in_progress", Status::InProgress)
    }

    /// The events for a chunk. A chunk without content gives none. Only the choice with index 0 counts.
    ///
    /// # Errors
    /// `Malformed` if this is not a chunk of a chat completion, a tool call has no name, or a tool call continues after
    /// its end. [`EventBuilder::fail`] then returns the events of the chunk's first part.
    pub fn chunk(&mut self, chunk: &[u8]) -> Result<Vec<ResponseEvent>, Failure> {
        let chunk = Chunk::read(chunk)?;
        if let Some(tier) = &chunk.service_tier {
            self.response.set("service_tier", tier);
        }
        let Some(choice) = chunk.choice() else { return Ok(Vec::new()) };
        let delta = choice.delta.unwrap_or_default();
        if let Some(text) = delta.reasoning() {
            self.text(TextKind::Reasoning, text, Vec::new());
        }
        let logprobs = choice.logprobs.and_then(|logprobs| logprobs.content).unwrap_or_default();
        self.text(TextKind::Output, delta.content.as_deref().unwrap_or_default(), logprobs);
        self.text(TextKind::Refusal, delta.refusal.as_deref().unwrap_or_default(), Vec::new());
        for piece in delta.tool_calls.unwrap_or_default() {
            self.call(piece)?;
        }
        if choice.finish_reason.is_some() {
            self.finish = choice.finish_reason;
        }
        Ok(std::mem::take(&mut self.events))
    }

    /// Ends the response after the stream has ended. Returns the last events, the response, and `Completed` or
    /// `Incomplete`.
    ///
    /// After a stream without text or calls, the response is completed and has no output.
    #[must_use]
    pub fn complete(mut self, bill: &Bill, now: Timestamp) -> (Vec<ResponseEvent>, Object, Status) {
        let reason = match self.finish.as_deref() {
            Some("length") => Some("max_output_tokens"),
            Some("content_filter") => Some("content_filter"),
            _ => None,
        };
        let status = if reason.is_some() { Status::Incomplete } else { Status::Completed };
        for index in 0..self.outputs.len() {
            self.close(index, status);
        }
        let mut response = match reason {
            None => answer::complete(&self.response, now),
            Some(reason) => answer::with_status(&self.response, Status::Incomplete)
                .with("incomplete_details", &Object::default().with("reason", reason)),
        };
        response.set("output", &self.done());
        response.set("usage", &bill.json());
        let name = if reason.is_some() { "response.incomplete" } else { "response.completed" };
        self.emit(name, &Object::default().with("response", &response));
        (self.events, response, status)
    }

    /// Ends the response after a failure. Returns the last events, up to `response.failed`, and the response.
    ///
    /// Completed items stay in the output. Others are dropped without an event.
    #[must_use]
    pub fn fail(mut self, code: &str, message: &str, bill: Option<&Bill>) -> (Vec<ResponseEvent>, Object) {
        let response = self.cut_short(answer::failed_response(&self.response, code, message), bill);
        self.emit("response.failed", &Object::default().with("response", &response));
        (self.events, response)
    }

    /// Ends the response after the caller cancelled it. The stream of a cancelled response has no last event.
    #[must_use]
    pub fn cancel(self, bill: Option<&Bill>) -> Object {
        self.cut_short(answer::cancelled_response(&self.response), bill)
    }

    fn cut_short(&self, mut response: Object, bill: Option<&Bill>) -> Object {
        response.set("output", &self.done());
        if let Some(bill) = bill {
            response.set("usage", &bill.json());
        }
        response
    }

    fn done(&self) -> Vec<&Object> {
        self.outputs.iter().filter_map(|output| output.done.as_ref()).collect()
    }

    /// Adds a piece of text to its item and part.
    fn text(&mut self, kind: TextKind, delta: &str, logprobs: Vec<Logprob>) {
        if delta.is_empty() {
            return;
        }
        let index = self.item_for(kind);
        self.part_for(index, kind);
        let Some(part) = self.outputs[index].texts().and_then(|parts| parts.last_mut()) else { return };
        part.text.push_str(delta);
        let shown: Vec<Object> = logprobs.iter().map(Logprob::in_event).collect();
        part.logprobs.extend(logprobs);
        self.emit_text_delta(index, kind, delta, &shown);
    }

    /// The open item for this kind of text. Opens one if there is none, after closing the items that can end.
    fn item_for(&mut self, kind: TextKind) -> usize {
        let reasons = kind == TextKind::Reasoning;
        let fits = |output: &Output| match output.content {
            Content::Message(_) => !reasons,
            Content::Reasoning(_) => reasons,
            Content::Call(_) => false,
        };
        if let Some(index) = self.outputs.iter().rposition(|output| output.done.is_none() && fits(output)) {
            return index;
        }
        let (prefix, content) =
            if reasons { ("rs_", Content::Reasoning(Vec::new())) } else { ("msg_", Content::Message(Vec::new())) };
        self.open(prefix, content)
    }

    /// Adds an item and announces it.
    fn open(&mut self, prefix: &str, content: Content) -> usize {
        for index in 0..self.outputs.len() {
            if self.outputs[index].call().is_none_or(Call::is_whole) {
                self.close(index, Status::Completed);
            }
        }
        self.outputs.push(Output::new(id::new_ordered(prefix, self.now), content));
        let index = self.outputs.len() - 1;
        self.emit_item_added(index);
        index
    }

    /// Ensures that the last part of an item is of this kind.
    fn part_for(&mut self, index: usize, kind: TextKind) {
        let Some(parts) = self.outputs[index].texts() else { return };
        if parts.last().is_some_and(|part| part.kind == kind) {
            return;
        }
        if !parts.is_empty() {
            self.emit_part_done(index);
        }
        let Some(parts) = self.outputs[index].texts() else { return };
        parts.push(Text::new(kind));
        self.emit_part_added(index);
    }

    /// Adds a piece of a function call.
    fn call(&mut self, piece: CallPiece) -> Result<(), Failure> {
        let known = self.known_call(&piece);
        let function = piece.function.unwrap_or_default();
        let arguments = function.arguments.unwrap_or_default();
        let index = match known {
            Some(index) => index,
            None => {
                let named = function.name.filter(|name| !name.is_empty());
                let name = named.ok_or_else(|| Failure::Malformed("a tool call begins without a name".to_owned()))?;
                let provider_id = piece.id.filter(|id| !id.is_empty());
                let call_id = provider_id.clone().unwrap_or_else(|| id::new("call_"));
                let arguments = String::new();
                let call = Call { index: piece.index, provider_id, call_id, name, arguments };
                self.open("fc_", Content::Call(call))
            }
        };
        self.argue(index, &arguments)
    }

    fn argue(&mut self, index: usize, arguments: &str) -> Result<(), Failure> {
        let output = &mut self.outputs[index];
        match &mut output.content {
            _ if arguments.is_empty() => Ok(()),
            Content::Call(call) if output.done.is_none() => {
                call.arguments.push_str(arguments);
                self.emit_arguments_delta(index, arguments);
                Ok(())
            }
            _ if arguments.trim().is_empty() => Ok(()),
            _ => Err(Failure::Malformed("a tool call goes on after its arguments were whole".to_owned())),
        }
    }

    /// The call that a piece belongs to, by its index and id. Without both, it is the last call.
    fn known_call(&self, piece: &CallPiece) -> Option<usize> {
        let id = piece.id.as_deref().filter(|id| !id.is_empty());
        let fits = |call: &Call| {
            let same_index = piece.index.is_none() || piece.index == call.index;
            let same_id = id.is_none() || id == call.provider_id.as_deref();
            same_index && same_id
        };
        self.outputs.iter().rposition(|output| output.call().is_some_and(fits))
    }

    /// Ends an item unless it has ended.
    fn close(&mut self, index: usize, status: Status) {
        if self.outputs[index].done.is_some() {
            return;
        }
        match &self.outputs[index].content {
            Content::Call(call) => {
                // Callers parse the arguments as JSON, and some providers send nothing for a call without arguments.
                if status == Status::Completed && call.arguments.trim().is_empty() {
                    // An open call accepts arguments, so this cannot fail.
                    let _ = self.argue(index, "{}");
                }
                self.emit_arguments_done(index);
            }
            _ => self.emit_part_done(index),
        }
        self.emit_item_done(index, status);
    }
}

#[cfg(test)]
mod tests;
