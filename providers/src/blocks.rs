//! Writes chunks of a chat completion for providers that stream numbered content blocks: Anthropic and Bedrock.

use std::collections::HashMap;

use shared::model::provider::{Event, Failure};

use crate::answer::{Answer, Finish};
use crate::thought::{Thought, ThoughtKind};

/// The state of one streamed answer.
#[derive(Default)]
pub(crate) struct Blocks {
    pub answer: Answer,
    /// By the numbers of their content blocks.
    tools: HashMap<usize, OpenTool>,
    finished: bool,
}

/// A tool call that has started.
struct OpenTool {
    /// Its number among the tool calls of the answer.
    index: usize,
    /// Whether any of its arguments were sent.
    has_arguments: bool,
}

impl Blocks {
    pub(crate) fn new(answer: Answer) -> Self {
        Self { answer, ..Self::default() }
    }

    pub(crate) fn tool_use(&mut self, block: usize, id: &str, name: &str) -> Event {
        let index = self.tools.len();
        self.tools.insert(block, OpenTool { index, has_arguments: false });
        self.answer.tool_call(0, index, id, name)
    }

    pub(crate) fn has_tools(&self) -> bool {
        !self.tools.is_empty()
    }

    /// A piece of a tool call's arguments. Empty pieces and blocks that are not tool calls give no event.
    pub(crate) fn input(&mut self, block: usize, piece: &str) -> Vec<Event> {
        let Some(tool) = self.tools.get_mut(&block).filter(|_| !piece.is_empty()) else { return Vec::new() };
        tool.has_arguments = true;
        vec![self.answer.arguments(0, tool.index, piece)]
    }

    /// The end of a block. A call without arguments gets `{}`, because OpenAI's clients expect an object.
    pub(crate) fn stop(&mut self, block: usize) -> Vec<Event> {
        let empty = self.tools.get(&block).is_some_and(|tool| !tool.has_arguments);
        if empty { self.input(block, "{}") } else { Vec::new() }
    }

    /// A piece of thoughts. Empty pieces give no event.
    pub(crate) fn thinking(&self, block: usize, text: &str) -> Vec<Event> {
        if text.is_empty() {
            return Vec::new();
        }
        self.thought(block, ThoughtKind::Text { text: text.to_owned(), signature: None })
    }

    /// The signature of thoughts, which may have no text: a provider can keep it to itself.
    pub(crate) fn signature(&self, block: usize, signature: &str) -> Vec<Event> {
        if signature.is_empty() {
            return Vec::new();
        }
        self.thought(block, ThoughtKind::Text { text: String::new(), signature: Some(signature.to_owned()) })
    }

    pub(crate) fn encrypted(&self, block: usize, data: String) -> Vec<Event> {
        self.thought(block, ThoughtKind::Encrypted(data))
    }

    fn thought(&self, index: usize, kind: ThoughtKind) -> Vec<Event> {
        vec![self.answer.thought(0, &Thought { index, kind })]
    }

    pub(crate) fn finish(&mut self, finish: Finish) -> Event {
        self.finished = true;
        self.answer.finish(0, finish)
    }

    /// # Errors
    /// `Malformed` if the provider gave no reason for the end: the answer is then not whole.
    pub(crate) fn check_finished(&self) -> Result<(), Failure> {
        if self.finished {
            return Ok(());
        }
        Err(Failure::Malformed("the stream ended before the answer did".to_owned()))
    }
}
