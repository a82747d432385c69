//! The blocks of a message while its chat completion comes.

use shared::model::chat_chunk::{CallPiece, ChunkText, Delta, KnownCalls, Progress};
use shared::model::id;
use shared::model::object::Object;
use shared::model::provider::Failure;
use shared::model::reasoning::ReasoningDetails;

use super::block::{Block, Kind};

/// The blocks so far.
///
/// In a stream they come strictly one after the other. Pieces of parallel calls may come in any order: pieces of a block wait until the
/// blocks before it have ended. A call ends when its arguments are whole and another block has begun.
#[derive(Default)]
pub(super) struct Blocks {
    blocks: Vec<Block>,
    calls: KnownCalls,
    /// The blocks of which a stream has sent the end.
    ended: usize,
    /// Whether the model refused to answer.
    pub was_refused: bool,
}

impl Blocks {
    /// Adds what a chunk has.
    ///
    /// # Errors
    /// `Malformed` if a call has no name, or goes on after its end.
    pub(super) fn add(&mut self, delta: Delta) -> Result<(), Failure> {
        if let Some(thoughts) = delta.reasoning() {
            self.say(Kind::Thinking(ReasoningDetails::default()), &thoughts);
        }
        self.remember(delta.reasoning_details());
        self.say(Kind::Text, &delta.content.unwrap_or_default());
        let refusal = delta.refusal.unwrap_or_default();
        self.was_refused |= !refusal.is_empty();
        self.say(Kind::Text, &refusal);
        delta.tool_calls.unwrap_or_default().into_iter().try_for_each(|piece| self.call(&piece))
    }

    pub(super) fn has_calls(&self) -> bool {
        self.blocks.iter().any(Block::is_call)
    }

    /// Adds text to the last block if it is of this kind, else to a new one.
    fn say(&mut self, kind: Kind, text: &ChunkText) {
        if text.is_empty() {
            return;
        }
        let is_same = |block: &&mut Block| std::mem::discriminant(&block.kind) == std::mem::discriminant(&kind);
        if let Some(block) = self.blocks.last_mut().filter(is_same) {
            block.push(text);
            return;
        }
        let mut block = Block::new(kind);
        block.push(text);
        self.begin(block);
    }

    /// Adds what the model wants back to the thoughts that are open, else to a block of its own.
    fn remember(&mut self, details: ReasoningDetails) {
        if details.is_empty() {
            return;
        }
        match self.blocks.last_mut().map(|block| &mut block.kind) {
            Some(Kind::Thinking(known)) => known.extend(details),
            // A stream sends such a block whole, so it cannot grow.
            _ if details.is_opaque() => self.begin(Block::new(Kind::RedactedThinking(details))),
            _ => {}
        }
    }

    fn begin(&mut self, block: Block) {
        if let Some(before) = self.blocks.last_mut().filter(|before| !before.is_call()) {
            before.close();
        }
        self.blocks.push(block);
    }

    fn call(&mut self, piece: &CallPiece) -> Result<(), Failure> {
        // A name behind whole arguments begins another call, whatever number it has.
        let goes_on = |at: &usize| piece.name().is_none() || !self.blocks[*at].is_whole();
        let at = match self.calls.find(piece).filter(goes_on) {
            Some(at) => at,
            None => self.begin_call(piece)?,
        };
        let Some(arguments) = piece.called().and_then(|called| called.arguments.as_ref()) else { return Ok(()) };
        if at >= self.ended {
            self.blocks[at].push(arguments);
            return Ok(());
        }
        if arguments.alone().trim().is_empty() {
            return Ok(());
        }
        Err(Failure::Malformed("a tool call goes on after its arguments were whole".to_owned()))
    }

    fn begin_call(&mut self, piece: &CallPiece) -> Result<usize, Failure> {
        let unnamed = || Failure::Malformed("a tool call begins without a name".to_owned());
        let name = piece.name().ok_or_else(unnamed)?.to_owned();
        let id = piece.provider_id().unwrap_or_else(|| id::new("toolu_"));
        self.begin(Block::new(Kind::ToolUse { id, name, progress: Progress::default() }));
        let at = self.blocks.len() - 1;
        self.calls.add(piece, at);
        Ok(at)
    }

    /// Closes all blocks. `is_cut` says whether the answer may have ended within a block.
    ///
    /// # Errors
    /// `Malformed` if the arguments of a call are no JSON object although they were not cut off.
    pub(super) fn close(&mut self, is_cut: bool) -> Result<(), Failure> {
        let open = &mut self.blocks[self.ended..];
        open.iter_mut().for_each(Block::close);
        if is_cut || open.iter().all(Block::is_readable) {
            return Ok(());
        }
        Err(Failure::Malformed("the arguments of a tool call are no JSON object".to_owned()))
    }

    /// The blocks of a whole answer, which were closed.
    pub(super) fn whole(&self) -> Vec<Object> {
        self.blocks.iter().map(Block::whole).collect()
    }

    /// The events that can be sent, and have not been.
    pub(super) fn events(&mut self) -> Vec<Object> {
        let mut events = Vec::new();
        while let Some(block) = self.blocks.get_mut(self.ended) {
            grow(self.ended, block, &mut events);
            let is_last = self.ended + 1 == self.blocks.len();
            if is_last || !self.blocks[self.ended].is_whole() {
                break;
            }
            self.end_next(&mut events);
        }
        events
    }

    /// All events that are left after the blocks were closed.
    pub(super) fn last_events(&mut self) -> Vec<Object> {
        let mut events = Vec::new();
        while let Some(block) = self.blocks.get_mut(self.ended) {
            grow(self.ended, block, &mut events);
            self.end_next(&mut events);
        }
        events
    }

    fn end_next(&mut self, events: &mut Vec<Object>) {
        let last = self.blocks[self.ended].last_delta();
        events.extend(last.map(|delta| event("content_block_delta", self.ended).with("delta", &delta)));
        events.push(event("content_block_stop", self.ended));
        self.ended += 1;
    }
}

/// The start of a block, and what it has grown by.
fn grow(index: usize, block: &mut Block, events: &mut Vec<Object>) {
    if !block.has_started {
        block.has_started = true;
        events.push(event("content_block_start", index).with("content_block", &block.empty()));
    }
    events.extend(block.delta().map(|delta| event("content_block_delta", index).with("delta", &delta)));
}

fn event(kind: &str, index: usize) -> Object {
    Object::default().with("type", kind).with("index", &index)
}
