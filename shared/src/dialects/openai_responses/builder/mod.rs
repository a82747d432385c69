//! The events of a response from the chunks of a chat completion.

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

/// Makes the events of a response from the chunks of a chat completion, and the response at its end.
///
/// Items follow each other as OpenAI's do: one ends before the next begins. Only a function call whose arguments are not yet
/// whole stays open beside later ones, so that pieces of parallel calls may come in any order.
pub struct EventBuilder {
    response: Object,
    now: Timestamp,
    next_sequence: u64,
    outputs: Vec<Output>,
    finish: Option<String>,
    /// Events that were not handed out yet.
    events: Vec<ResponseEvent>,
}

impl EventBuilder {
    /// Starts from a response without output. Event numbers go on from `first_sequence`; ids of items are made from `now`.
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

    /// The number that the next event gets.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// `response.created`, the first event of all: `Queued` for a background response, else `InProgress`.
    pub fn created(&mut self, status: Status) -> ResponseEvent {
        self.announce("response.created", status)
    }

    /// `response.queued`, for a background response.
    pub fn queued(&mut self) -> ResponseEvent {
        self.announce("response.queued", Status::Queued)
    }

    /// `response.in_progress`, before the first output.
    pub fn in_progress(&mut self) -> ResponseEvent {
        self.announce("response.in_progress", Status::InProgress)
    }

    /// The events that a chunk leads to; none for chunks that say nothing. Only the choice with the index 0 counts.
    ///
    /// # Errors
    /// `Malformed`: no chunk of a chat completion, or a tool call that has no name or goes on after its end. What came of
    /// the chunk before that is in the events of [`EventBuilder::fail`].
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

    /// Ends the response after the stream did: the last events, the response, and whether it is `Completed` or `Incomplete`.
    ///
    /// A stream without any text or call gives a response that completed with no output.
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
            None => answer::completed(&self.response, now),
            Some(reason) => answer::ended(&self.response, Status::Incomplete)
                .with("incomplete_details", &Object::default().with("reason", reason)),
        };
        response.set("output", &self.done());
        response.set("usage", &bill.json());
        let name = if reason.is_some() { "response.incomplete" } else { "response.completed" };
        self.emit(name, &Object::default().with("response", &response));
        (self.events, response, status)
    }

    /// Ends the response because something failed: the last events, of which the very last is `response.failed`, and the response.
    ///
    /// Items that had ended stay in the output; others are dropped without an event of their end.
    #[must_use]
    pub fn fail(mut self, code: &str, message: &str, bill: Option<&Bill>) -> (Vec<ResponseEvent>, Object) {
        let response = self.cut_short(answer::failed(&self.response, code, message), bill);
        self.emit("response.failed", &Object::default().with("response", &response));
        (self.events, response)
    }

    /// Ends the response because the caller cancelled it. The stream of a cancelled response has no last event.
    #[must_use]
    pub fn cancel(self, bill: Option<&Bill>) -> Object {
        self.cut_short(answer::cancelled(&self.response), bill)
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

    /// Adds a piece of text to the item and the part that it belongs to.
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
        self.text_delta(index, kind, delta, &shown);
    }

    /// The open item for this kind of text; a new one ends what can end before it.
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
        self.outputs.push(Output::new(id::ordered(prefix, self.now), content));
        let index = self.outputs.len() - 1;
        self.item_added(index);
        index
    }

    /// Makes the last part of an item one of this kind.
    fn part_for(&mut self, index: usize, kind: TextKind) {
        let Some(parts) = self.outputs[index].texts() else { return };
        if parts.last().is_some_and(|part| part.kind == kind) {
            return;
        }
        if !parts.is_empty() {
            self.part_done(index);
        }
        let Some(parts) = self.outputs[index].texts() else { return };
        parts.push(Text::new(kind));
        self.part_added(index);
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
                self.arguments_delta(index, arguments);
                Ok(())
            }
            _ if arguments.trim().is_empty() => Ok(()),
            _ => Err(Failure::Malformed("a tool call goes on after its arguments were whole".to_owned())),
        }
    }

    /// The call that a piece belongs to: by its index and id, or the last one if it names neither.
    fn known_call(&self, piece: &CallPiece) -> Option<usize> {
        let id = piece.id.as_deref().filter(|id| !id.is_empty());
        let fits = |call: &Call| {
            let same_index = piece.index.is_none() || piece.index == call.index;
            let same_id = id.is_none() || id == call.provider_id.as_deref();
            same_index && same_id
        };
        self.outputs.iter().rposition(|output| output.call().is_some_and(fits))
    }

    /// Ends an item, if it has not ended.
    fn close(&mut self, index: usize, status: Status) {
        if self.outputs[index].done.is_some() {
            return;
        }
        match &self.outputs[index].content {
            Content::Call(call) => {
                // Callers read the arguments as JSON, and some providers say nothing where there are none.
                if status == Status::Completed && call.arguments.trim().is_empty() {
                    // A call that has not ended takes arguments.
                    let _ = self.argue(index, "{}");
                }
                self.arguments_done(index);
            }
            _ => self.part_done(index),
        }
        self.item_done(index, status);
    }
}

#[cfg(test)]
mod tests;
