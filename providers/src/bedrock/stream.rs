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
pub(super) struct Converse {
    blocks: Blocks,
    /// Whether calls behind the first are left out.
    one_call: bool,
}

impl Converse {
    pub(super) fn new(answer: Answer, one_call: bool) -> Self {
        Self { blocks: Blocks::new(answer), one_call }
    }

    fn block_start(&mut self, index: i32, start: Option<ContentBlockStart>) -> Vec<Event> {
        match start {
            // The pieces of a block that has not begun give no events.
            Some(ContentBlockStart::ToolUse(_)) if self.one_call && self.blocks.has_tools() => Vec::new(),
            Some(ContentBlockStart::ToolUse(tool)) => {
                vec![self.blocks.tool_use(number(index), &tool.tool_use_id, &tool.name)]
            }
            _ => Vec::new(),
        }
    }

    fn block_delta(&mut self, index: i32, delta: Option<ContentBlockDelta>) -> Vec<Event> {
        match delta {
            Some(ContentBlockDelta::Text(text)) => vec![self.blocks.answer.text(0, &text)],
            Some(ContentBlockDelta::ToolUse(tool)) => self.blocks.input(number(index), &tool.input),
            Some(ContentBlockDelta::ReasoningContent(delta)) => self.reasoning(number(index), &delta),
            _ => Vec::new(),
        }
    }

    fn reasoning(&self, index: usize, delta: &ReasoningContentBlockDelta) -> Vec<Event> {
        match delta {
            ReasoningContentBlockDelta::Text(piece) => self.blocks.thinking(index, piece),
            ReasoningContentBlockDelta::Signature(signature) => self.blocks.signature(index, signature),
            ReasoningContentBlockDelta::RedactedContent(data) => self.blocks.encrypted(index, STANDARD.encode(data)),
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
            Event::MessageStart(_) => vec![self.blocks.answer.role(0)],
            Event::ContentBlockStart(event) => self.block_start(event.content_block_index, event.start),
            Event::ContentBlockDelta(event) => self.block_delta(event.content_block_index, event.delta),
            Event::ContentBlockStop(event) => self.blocks.stop(number(event.content_block_index)),
            Event::MessageStop(event) => vec![self.blocks.finish(finish(&event.stop_reason))],
            Event::Metadata(event) => {
                self.blocks.check_finished()?;
                return Ok(Step::Last(
                    event.usage.iter().map(|counts| self.blocks.answer.usage(usage(counts))).collect(),
                ));
            }
            _ => Vec::new(),
        }))
    }

    fn end(&mut self) -> Result<Vec<Event>, Failure> {
        self.blocks.check_finished()?;
        Ok(Vec::new())
    }
}
