//! Reads the events of `ConverseStream` as chunks of a chat completion.

use aws_sdk_bedrockruntime::types::{
    ContentBlockDelta, ContentBlockStart, ConverseStreamOutput, ReasoningContentBlockDelta,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use shared::model::provider::{Event, Failure};

use super::reply::{finish, usage};
use crate::answer::Answer;
use crate::blocks::Blocks;
use crate::translate::{Step, Translate};

/// The state of one streamed answer.
pub(super) struct Converse(Blocks);

impl Converse {
    pub(super) fn new(answer: Answer) -> Self {
        Self(Blocks::new(answer))
    }

    fn block_start(&mut self, index: i32, start: Option<ContentBlockStart>) -> Vec<Event> {
        match start {
            Some(ContentBlockStart::ToolUse(tool)) => {
                vec![self.0.tool_use(number(index), &tool.tool_use_id, &tool.name)]
            }
            _ => Vec::new(),
        }
    }

    fn block_delta(&mut self, index: i32, delta: Option<ContentBlockDelta>) -> Vec<Event> {
        match delta {
            Some(ContentBlockDelta::Text(text)) => vec![self.0.answer.text(0, &text)],
            Some(ContentBlockDelta::ToolUse(tool)) => self.0.input(number(index), &tool.input),
            Some(ContentBlockDelta::ReasoningContent(delta)) => self.reasoning(number(index), &delta),
            _ => Vec::new(),
        }
    }

    fn reasoning(&self, index: usize, delta: &ReasoningContentBlockDelta) -> Vec<Event> {
        match delta {
            ReasoningContentBlockDelta::Text(piece) => self.0.thinking(index, piece),
            ReasoningContentBlockDelta::Signature(signature) => self.0.signature(index, signature),
            ReasoningContentBlockDelta::RedactedContent(data) => self.0.encrypted(index, STANDARD.encode(data)),
            _ => Vec::new(),
        }
    }
}

fn number(index: i32) -> usize {
    usize::try_from(index).unwrap_or(0)
}

impl Translate for Converse {
    type Item = ConverseStreamOutput;

    fn item(&mut self, event: ConverseStreamOutput) -> Result<Step, Failure> {
        use ConverseStreamOutput as Event;
        Ok(Step::More(match event {
            Event::MessageStart(_) => vec![self.0.answer.role(0)],
            Event::ContentBlockStart(event) => self.block_start(event.content_block_index, event.start),
            Event::ContentBlockDelta(event) => self.block_delta(event.content_block_index, event.delta),
            Event::ContentBlockStop(event) => self.0.stop(number(event.content_block_index)),
            Event::MessageStop(event) => vec![self.0.finish(finish(&event.stop_reason))],
            Event::Metadata(event) => {
                self.0.check_finished()?;
                return Ok(Step::Last(event.usage.iter().map(|counts| self.0.answer.usage(usage(counts))).collect()));
            }
            _ => Vec::new(),
        }))
    }

    fn end(&mut self) -> Result<Vec<Event>, Failure> {
        self.0.check_finished()?;
        Ok(Vec::new())
    }
}
