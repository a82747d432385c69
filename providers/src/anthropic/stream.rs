//! Reads the events of the Messages API as chunks of a chat completion.

use shared::model::provider::{Event, Failure};

use super::reply::finish;
use super::wire::{Counts, Delta, Reply, ReplyBlock, StreamEvent};
use crate::answer::Answer;
use crate::blocks::Blocks;
use crate::http::{ErrorBody, SseEvent, failure_of_event};
use crate::translate::{Step, Translate};

/// The state of one streamed answer.
pub(super) struct Messages {
    blocks: Blocks,
    /// Reported only at the end. An answer that breaks off has cost more than the count at its start.
    counts: Counts,
}

impl Messages {
    pub(super) fn new(created: u64) -> Self {
        Self { blocks: Blocks::new(Answer { created, ..Answer::default() }), counts: Counts::default() }
    }

    fn start(&mut self, message: Reply) -> Vec<Event> {
        let answer = &mut self.blocks.answer;
        answer.id = message.id;
        answer.model = message.model;
        self.counts = message.usage;
        vec![answer.role(0)]
    }

    fn block_start(&mut self, index: usize, block: ReplyBlock) -> Vec<Event> {
        match (block.kind.as_str(), block.text, block.id, block.name) {
            ("text", Some(text), ..) if !text.is_empty() => vec![self.blocks.answer.text(0, &text)],
            ("tool_use", _, Some(id), Some(name)) => vec![self.blocks.tool_use(index, &id, &name)],
            ("thinking", ..) => self.blocks.thinking(index, &block.thinking.unwrap_or_default()),
            ("redacted_thinking", ..) => self.blocks.encrypted(index, block.data.unwrap_or_default()),
            _ => Vec::new(),
        }
    }

    fn block_delta(&mut self, index: usize, delta: &Delta) -> Vec<Event> {
        match delta {
            Delta { text: Some(text), .. } => vec![self.blocks.answer.text(0, text)],
            Delta { partial_json: Some(piece), .. } => self.blocks.input(index, piece),
            Delta { thinking: Some(piece), .. } => self.blocks.thinking(index, piece),
            Delta { signature: Some(signature), .. } => self.blocks.signature(index, signature),
            _ => Vec::new(),
        }
    }

    fn message_delta(&mut self, delta: Option<Delta>, counts: Option<Counts>) -> Vec<Event> {
        self.counts = self.counts.updated_by(counts.unwrap_or_default());
        let Some(reason) = delta.and_then(|delta| delta.stop_reason) else { return Vec::new() };
        vec![self.blocks.finish(finish(Some(&reason)))]
    }
}

impl Translate for Messages {
    type Item = SseEvent;

    fn item(&mut self, event: SseEvent) -> Result<Step, Failure> {
        let event: StreamEvent = serde_json::from_str(&event.data)
            .map_err(|error| Failure::Malformed(format!("an event is not Anthropic's: {error}")))?;
        Ok(Step::More(match (event.kind.as_str(), event.message, event.content_block, event.delta) {
            ("message_start", Some(message), ..) => self.start(message),
            ("content_block_start", _, Some(block), _) => self.block_start(event.index, block),
            ("content_block_delta", .., Some(delta)) => self.block_delta(event.index, &delta),
            ("content_block_stop", ..) => self.blocks.stop(event.index),
            ("message_delta", .., delta) => self.message_delta(delta, event.usage),
            ("message_stop", ..) => return Ok(Step::Last(self.end()?)),
            ("error", ..) => return Err(failure_of_event(&ErrorBody::of(&event.error).unwrap_or_default())),
            // `ping`, and events that the API may add.
            _ => Vec::new(),
        }))
    }

    fn end(&mut self) -> Result<Vec<Event>, Failure> {
        self.blocks.check_finished()?;
        Ok(vec![self.blocks.answer.usage(self.counts.usage())])
    }
}
