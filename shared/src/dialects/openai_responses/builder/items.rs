//! The output items of a response while its stream goes on.

use std::collections::BTreeSet;

use super::Status;
use super::calls::Call;
use super::output::{Content, Output, Text, TextKind};
use super::write::Events;
use crate::dialects::openai_responses::item_id::output_id;
use crate::dialects::openai_responses::tools::{ToolKind, ToolName, Tools};
use crate::model::chat_chunk::{CallPiece, ChunkText, KnownCalls, Logprob};
use crate::model::id;
use crate::model::object::Object;
use crate::model::provider::Failure;
use crate::model::reasoning::ReasoningDetails;

/// The items so far, and the events about them.
pub(super) struct OutputItems {
    pub(super) outputs: Vec<Output>,
    /// The indexes of the items that end before the next one begins: those with text, and the calls that are whole.
    ending: BTreeSet<usize>,
    calls: KnownCalls,
    /// The entry of the reasoning's details whose text is the last part of a summary.
    summarised: Option<String>,
    /// Citations that came before the text that they belong to.
    uncited: Vec<Object>,
    pub(super) events: Events,
    /// Ids of items are made from it.
    response_id: String,
    /// What the model can call.
    tools: Tools,
}

impl OutputItems {
    pub(super) fn new(next_sequence: u64, response_id: String, tools: Tools) -> Self {
        let (ending, calls) = (BTreeSet::new(), KnownCalls::default());
        Self {
            outputs: Vec::new(),
            ending,
            calls,
            summarised: None,
            uncited: Vec::new(),
            events: Events::new(next_sequence),
            response_id,
            tools,
        }
    }

    /// Ends all items that have not ended.
    pub(super) fn close_all(&mut self, status: Status) {
        for index in 0..self.outputs.len() {
            self.close(index, status);
        }
    }

    pub(super) fn done(&self) -> Vec<&Object> {
        self.outputs.iter().filter_map(|output| output.done.as_ref()).collect()
    }

    /// Adds a piece of text to its item and part.
    pub(super) fn text(&mut self, kind: TextKind, delta: &ChunkText, logprobs: Vec<Logprob>) {
        if delta.is_empty() {
            return;
        }
        let index = self.item_for(kind);
        self.part_for(index, kind);
        let Some(part) = self.outputs[index].texts().and_then(|parts| parts.last_mut()) else { return };
        let delta = part.halves.join(delta);
        part.text.push_str(&delta);
        let shown: Vec<Object> = logprobs.iter().map(Logprob::in_event).collect();
        part.logprobs.extend(logprobs);
        if !(delta.is_empty() && shown.is_empty()) {
            self.emit_text_delta(index, kind, &delta, &shown);
        }
    }

    /// Adds the summaries that a piece of reasoning has. Each entry of its details is a part. Returns whether there are some.
    pub(super) fn summaries(&mut self, details: &ReasoningDetails) -> bool {
        let mut has_some = false;
        for entry in details.entries() {
            let Some(text) = entry.get::<String>("summary").filter(|_| is_summary(&entry)) else { continue };
            has_some = true;
            let number = entry.text("index").map(str::to_owned);
            let is_next = std::mem::replace(&mut self.summarised, number.clone()) != number;
            if is_next && let Some(index) = self.open_summary() {
                self.end_part(index);
                let Some(parts) = self.outputs[index].texts() else { continue };
                parts.push(Text::new(TextKind::Summary));
                self.emit_part_added(index);
            }
            self.text(TextKind::Summary, &text.into(), Vec::new());
        }
        has_some
    }

    /// The item whose last part is a summary that goes on.
    fn open_summary(&mut self) -> Option<usize> {
        let index = self.outputs.len().checked_sub(1)?;
        let last = self.outputs.last_mut().filter(|output| output.done.is_none())?;
        last.texts()?.last().is_some_and(|part| part.kind == TextKind::Summary).then_some(index)
    }

    /// Adds what the model wants back to the reasoning that is open, else to an item of its own.
    pub(super) fn remember(&mut self, details: ReasoningDetails) {
        let is_open = self
            .outputs
            .last()
            .is_some_and(|output| output.done.is_none() && matches!(output.content, Content::Reasoning(..)));
        // Details without an item that are only a text say nothing that the text did not.
        if details.is_empty() || !(is_open || details.is_opaque()) {
            return;
        }
        let index = self.item_for(TextKind::Reasoning);
        if let Content::Reasoning(_, known) = &mut self.outputs[index].content {
            known.extend(details);
        }
    }

    /// Adds the summary of a conversation.
    pub(super) fn summarise(&mut self, summary: String, status: Status) {
        let index = self.open("cmp_", Content::Compaction(summary));
        self.emit_item_done(index, status);
    }

    /// Adds a citation to the text that is open, or to the next one. A citation that the text has is not added again.
    pub(super) fn cite(&mut self, citation: Object) {
        let index = self.outputs.len().saturating_sub(1);
        let last = self.outputs.last_mut().filter(|output| output.done.is_none());
        let part = last.and_then(|output| output.texts()?.last_mut());
        let Some(part) = part.filter(|part| part.kind == TextKind::Output) else { return self.uncited.push(citation) };
        if part.annotations.iter().any(|known| known.to_bytes() == citation.to_bytes()) {
            return;
        }
        part.annotations.push(citation);
        self.emit_annotation_added(index);
    }

    /// Ends the last part of an item.
    fn end_part(&mut self, index: usize) {
        if let Some(part) = self.outputs[index].texts().and_then(|parts| parts.last_mut()) {
            let (kind, rest) = (part.kind, part.halves.end());
            part.text.push_str(rest);
            if !rest.is_empty() {
                self.emit_text_delta(index, kind, rest, &[]);
            }
        }
        self.emit_part_done(index);
    }

    /// The open item for this kind of text. Opens one if there is none, after closing the items that can end.
    fn item_for(&mut self, kind: TextKind) -> usize {
        let reasons = kind.is_thought();
        let fits = |output: &Output| match output.content {
            Content::Message(_) => !reasons,
            Content::Reasoning(..) => reasons,
            Content::Call(_) | Content::Compaction(_) => false,
        };
        // The next item ends one with text, so only the last can be open.
        if self.outputs.last().is_some_and(|output| output.done.is_none() && fits(output)) {
            return self.outputs.len() - 1;
        }
        match reasons {
            true => self.open("rs_", Content::Reasoning(Vec::new(), ReasoningDetails::default())),
            false => self.open("msg_", Content::Message(Vec::new())),
        }
    }

    /// Adds an item and announces it.
    fn open(&mut self, prefix: &str, content: Content) -> usize {
        for index in std::mem::take(&mut self.ending) {
            self.close(index, Status::Completed);
        }
        let index = self.outputs.len();
        if matches!(content, Content::Message(_) | Content::Reasoning(..)) {
            self.ending.insert(index);
        }
        self.outputs.push(Output::new(output_id(prefix, &self.response_id, index), content));
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
            self.end_part(index);
        }
        let Some(parts) = self.outputs[index].texts() else { return };
        parts.push(Text::new(kind));
        self.emit_part_added(index);
        if kind == TextKind::Output {
            std::mem::take(&mut self.uncited).into_iter().for_each(|citation| self.cite(citation));
        }
    }

    /// Adds a piece of a call.
    pub(super) fn call(&mut self, piece: CallPiece) -> Result<(), Failure> {
        let index = match self.calls.find(&piece) {
            Some(index) => index,
            None => self.begin_call(&piece)?,
        };
        let Some(piece) = piece.called().and_then(|called| called.arguments.as_ref()) else { return Ok(()) };
        let Content::Call(call) = &mut self.outputs[index].content else { return Ok(()) };
        let arguments = call.halves.join(piece);
        self.argue(index, &arguments)
    }

    /// Adds the call that begins with a piece. A name that no tool of the request has is passed on as it is.
    fn begin_call(&mut self, piece: &CallPiece) -> Result<usize, Failure> {
        let unnamed = || Failure::Malformed("a tool call begins without a name".to_owned());
        let name = piece.name().ok_or_else(unnamed)?;
        let call_id = piece.provider_id().unwrap_or_else(|| id::new("call_"));
        let call = match self.tools.called(name) {
            Some(tool) => Call::new(call_id, tool.name.clone(), tool.kind),
            None => {
                let kind = if piece.is_custom() { ToolKind::Custom } else { ToolKind::Function };
                Call::new(call_id, ToolName { namespace: None, name: name.to_owned() }, kind)
            }
        };
        let index = self.open(call.prefix(), Content::Call(call));
        self.calls.add(piece, index);
        Ok(index)
    }

    fn argue(&mut self, index: usize, arguments: &str) -> Result<(), Failure> {
        let output = &mut self.outputs[index];
        match &mut output.content {
            _ if arguments.is_empty() => Ok(()),
            Content::Call(call) if output.done.is_none() => {
                call.argue(arguments);
                match call.is_whole() {
                    true => self.ending.insert(index),
                    false => self.ending.remove(&index),
                };
                self.emit_arguments_delta(index, arguments);
                Ok(())
            }
            _ if arguments.trim().is_empty() => Ok(()),
            _ => Err(Failure::Malformed("a tool call goes on after its arguments were whole".to_owned())),
        }
    }

    /// Ends an item unless it has ended.
    fn close(&mut self, index: usize, status: Status) {
        if self.outputs[index].done.is_some() {
            return;
        }
        match &mut self.outputs[index].content {
            Content::Call(call) => {
                let rest = call.halves.end();
                // Callers parse the arguments as JSON, and some providers send nothing for a call without arguments.
                let is_json = call.kind != ToolKind::Custom;
                let is_empty =
                    is_json && status == Status::Completed && rest.is_empty() && call.arguments.trim().is_empty();
                // An open call accepts arguments, so this cannot fail.
                let _ = self.argue(index, if is_empty { "{}" } else { rest });
                self.emit_arguments_done(index);
            }
            _ => self.end_part(index),
        }
        self.emit_item_done(index, status);
    }
}

fn is_summary(entry: &Object) -> bool {
    entry.get::<String>("type").is_some_and(|kind| kind == "reasoning.summary")
}
