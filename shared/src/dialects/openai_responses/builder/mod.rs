//! Builds the events of a response from the chunks of a chat completion.

mod calls;
mod items;
mod output;
mod write;

use items::OutputItems;
use output::TextKind;

use super::answer;
use super::event::ResponseEvent;
use super::tools::Tools;
use crate::model::chat_chunk::{Annotations, Chunk, Delta, Halves};
use crate::model::clock::Timestamp;
use crate::model::object::Object;
use crate::model::provider::Failure;
use crate::model::response::Status;
use crate::model::tokens::Charge;

/// Builds the events of a response from the chunks of a chat completion, and finally the response.
///
/// As at OpenAI, an item ends before the next one begins. The exception is a call with incomplete arguments: it stays open next to later items, so that pieces of parallel calls may come in any order.
pub struct EventBuilder {
    response: Object,
    items: OutputItems,
    finish: Option<String>,
    /// The answer so far, if it is to become one compaction item.
    summary: Option<Summary>,
}

/// The text of a model that summarises a conversation.
#[derive(Default)]
struct Summary {
    text: String,
    halves: Halves,
}

impl EventBuilder {
    /// Starts with a response without output. `first_sequence` is the number of the first event.
    #[must_use]
    pub fn new(skeleton: Object, first_sequence: u64) -> Self {
        let tools: Vec<Object> = skeleton.get("tools").unwrap_or_default();
        // The request was checked, so its tools can be read.
        let tools = Tools::read(&tools, "tools").unwrap_or_default();
        let items = OutputItems::new(first_sequence, skeleton.get("id").unwrap_or_default(), tools);
        Self { response: skeleton, items, finish: None, summary: None }
    }

    /// Whether the answer becomes one compaction item: see [`super::CreateResponse::compacts`].
    #[must_use]
    pub fn compacting(self, compacts: bool) -> Self {
        Self { summary: compacts.then(Summary::default), ..self }
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
        // Some servers send an empty reason with each chunk. It is none.
        if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
            self.finish = Some(reason);
        }
        let delta = choice.delta.unwrap_or_default();
        if let Some(summary) = &mut self.summary {
            summary.add(&delta)?;
            return Ok(Vec::new());
        }
        let details = delta.reasoning_details();
        // A summary is the text, too.
        if !self.items.summaries(&details)
            && let Some(text) = delta.reasoning()
        {
            self.items.text(TextKind::Reasoning, &text, Vec::new());
        }
        self.items.remember(details);
        let logprobs = choice.logprobs.and_then(|logprobs| logprobs.content).unwrap_or_default();
        self.items.text(TextKind::Output, &delta.content.unwrap_or_default(), logprobs);
        let whole = choice.message.map(|message| message.annotations).unwrap_or_default();
        for citation in [delta.annotations, whole].iter().flat_map(Annotations::citations) {
            self.items.cite(citation);
        }
        self.items.text(TextKind::Refusal, &delta.refusal.unwrap_or_default(), Vec::new());
        for piece in delta.tool_calls.unwrap_or_default() {
            self.items.call(piece)?;
        }
        Ok(self.items.events.take())
    }

    /// The failure of a provider whose stream ended well, and said that its answer did not.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        let message = "the answer ended with an error".to_owned();
        let failure = Failure::Unavailable { status: 500, message, retry_after: None };
        (self.finish.as_deref() == Some("error")).then_some(failure)
    }

    /// Ends the response after the stream has ended. Returns the last events, the response, and `Completed` or
    /// `Incomplete`.
    ///
    /// After a stream without text or calls, the response is completed and has no output.
    #[must_use]
    pub fn complete(mut self, charge: &Charge, now: Timestamp) -> (Vec<ResponseEvent>, Object, Status) {
        let reason = match self.finish.as_deref() {
            Some("length") => Some("max_output_tokens"),
            Some("content_filter") => Some("content_filter"),
            _ => None,
        };
        let status = if reason.is_some() { Status::Incomplete } else { Status::Completed };
        match self.summary.take().map(Summary::end) {
            Some(summary) if summary.trim().is_empty() => {
                let (events, response) = self.fail("server_error", "The model wrote no summary.", Some(charge));
                return (events, response, Status::Failed);
            }
            Some(summary) => self.items.summarise(summary, status),
            None => {}
        }
        self.items.close_all(status);
        let mut response = match reason {
            None => answer::complete(&self.response, now),
            Some(reason) => answer::with_status(&self.response, Status::Incomplete)
                .with("incomplete_details", &Object::default().with("reason", reason)),
        };
        response.set("output", &self.items.done());
        response.set("usage", &answer::usage(charge));
        let name = if reason.is_some() { "response.incomplete" } else { "response.completed" };
        self.items.events.emit(name, &Object::default().with("response", &response));
        (self.items.events.take(), response, status)
    }

    /// Ends the response after a failure. Returns the last events, up to `response.failed`, and the response.
    ///
    /// Completed items stay in the output. Others are dropped without an event.
    #[must_use]
    pub fn fail(mut self, code: &str, message: &str, charge: Option<&Charge>) -> (Vec<ResponseEvent>, Object) {
        let response = self.cut_short(answer::failed_response(&self.response, code, message), charge);
        self.items.events.emit("response.failed", &Object::default().with("response", &response));
        (self.items.events.take(), response)
    }

    fn announce(&mut self, name: &'static str, status: Status) -> ResponseEvent {
        self.response.set("status", status.name());
        self.items.events.next(name, &Object::default().with("response", &self.response))
    }

    fn cut_short(&self, mut response: Object, charge: Option<&Charge>) -> Object {
        response.set("output", &self.items.done());
        if let Some(charge) = charge {
            response.set("usage", &answer::usage(charge));
        }
        response
    }
}

impl Summary {
    /// Adds a piece.
    ///
    /// # Errors
    /// `Malformed` if the model calls a tool: nothing would answer it.
    fn add(&mut self, delta: &Delta) -> Result<(), Failure> {
        if delta.tool_calls.as_ref().is_some_and(|calls| !calls.is_empty()) {
            return Err(Failure::Malformed("the model called a tool instead of writing the summary".to_owned()));
        }
        if let Some(text) = &delta.content {
            self.text.push_str(&self.halves.join(text));
        }
        Ok(())
    }

    fn end(mut self) -> String {
        self.text.push_str(self.halves.end());
        self.text
    }
}

#[cfg(test)]
mod tests;
