//! From the events of the Messages API to chunks of a chat completion.

use shared::model::provider::{Event, Failure};

use super::reply::finish;
use super::wire::{Counts, Delta, Reply, ReplyBlock, StreamEvent};
use crate::answer::Answer;
use crate::http::{ErrorBody, SseEvent, failure_of_event};
use crate::translate::{Step, Translate};

/// One streamed answer on its way.
pub(super) struct Messages {
    answer: Answer,
    counts: Counts,
    tools: Vec<OpenTool>,
    finished: bool,
}

/// A tool call that began.
struct OpenTool {
    /// Number of its content block.
    block: usize,
    /// Whether any of its arguments were sent.
    has_arguments: bool,
}

impl Messages {
    pub(super) fn new(created: u64) -> Self {
        let answer = Answer { created, ..Answer::default() };
        Self { answer, counts: Counts::default(), tools: Vec::new(), finished: false }
    }

    fn start(&mut self, message: Reply) -> Vec<Event> {
        self.answer.id = message.id;
        self.answer.model = message.model;
        self.counts = message.usage;
        vec![Event { usage: Some(self.counts.usage()), ..self.answer.role(0) }]
    }

    fn block_start(&mut self, block: usize, content: ReplyBlock) -> Vec<Event> {
        match (content.kind.as_str(), content.text, content.id, content.name) {
            ("text", Some(text), ..) if !text.is_empty() => vec![self.answer.text(0, &text)],
            ("tool_use", _, Some(id), Some(name)) => {
                self.tools.push(OpenTool { block, has_arguments: false });
                vec![self.answer.tool_call(0, self.tools.len() - 1, &id, &name)]
            }
            _ => Vec::new(),
        }
    }

    fn block_delta(&mut self, block: usize, delta: &Delta) -> Vec<Event> {
        if let Some(text) = &delta.text {
            return vec![self.answer.text(0, text)];
        }
        let piece = delta.partial_json.as_deref().filter(|piece| !piece.is_empty());
        piece.and_then(|piece| self.arguments(block, piece)).into_iter().collect()
    }

    fn arguments(&mut self, block: usize, piece: &str) -> Option<Event> {
        let index = self.tools.iter().position(|tool| tool.block == block)?;
        self.tools[index].has_arguments = true;
        Some(self.answer.arguments(0, index, piece))
    }

    /// A call without arguments sends none; OpenAI's clients expect an object.
    fn block_stop(&mut self, block: usize) -> Vec<Event> {
        let empty = self.tools.iter().any(|tool| tool.block == block && !tool.has_arguments);
        if empty { self.arguments(block, "{}").into_iter().collect() } else { Vec::new() }
    }

    fn message_delta(&mut self, delta: Option<Delta>, counts: Option<Counts>) -> Vec<Event> {
        self.counts = self.counts.updated_by(counts.unwrap_or_default());
        let Some(reason) = delta.and_then(|delta| delta.stop_reason) else { return Vec::new() };
        self.finished = true;
        vec![Event { usage: Some(self.counts.usage()), ..self.answer.finish(0, finish(Some(&reason))) }]
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
            ("content_block_stop", ..) => self.block_stop(event.index),
            ("message_delta", .., delta) => self.message_delta(delta, event.usage),
            ("message_stop", ..) => return Ok(Step::Last(self.end()?)),
            ("error", ..) => return Err(failure_of_event(&ErrorBody::of(&event.error).unwrap_or_default())),
            // `ping`, and what the API will have one day.
            _ => Vec::new(),
        }))
    }

    fn end(&mut self) -> Result<Vec<Event>, Failure> {
        if self.finished {
            return Ok(vec![self.answer.usage(self.counts.usage())]);
        }
        Err(Failure::Malformed("the stream ended before the answer did".to_owned()))
    }
}
