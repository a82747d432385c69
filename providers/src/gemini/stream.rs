//! Reads the events of `streamGenerateContent` as chunks of a chat completion.

use serde_json::json;
use shared::model::provider::{Event, Failure};

use super::reply::{Parts, Piece, finish, name};
use super::wire::{Counts, Reply};
use crate::answer::{Answer, Finish};
use crate::http::SseEvent;
use crate::translate::{Step, Translate};

/// The state of one streamed answer.
pub(super) struct Chunks {
    answer: Answer,
    has_begun: bool,
    parts: Parts,
    /// Why the answer ended. Old models name a reason in each event.
    finish_reason: Option<String>,
    is_blocked: bool,
    /// Reported only at the end. An answer that breaks off has cost more than the counts so far.
    counts: Counts,
}

impl Chunks {
    pub(super) fn new(answer: Answer, one_call: bool) -> Self {
        let (parts, counts) = (Parts::new(one_call), Counts::default());
        Self { answer, has_begun: false, parts, finish_reason: None, is_blocked: false, counts }
    }

    fn begin(&mut self, reply: &Reply) -> Option<Event> {
        if std::mem::replace(&mut self.has_begun, true) {
            return None;
        }
        name(&mut self.answer, reply);
        Some(self.answer.role(0))
    }

    fn piece(&self, index: usize, piece: Piece) -> Vec<Event> {
        let answer = &self.answer;
        match piece {
            Piece::Text(text) => vec![answer.text(0, &text)],
            Piece::Thought(text) => vec![answer.delta(0, json!({"reasoning_content": text}), None)],
            Piece::Detail(detail) => vec![answer.delta(0, json!({"reasoning_details": [detail]}), None)],
            Piece::Call(call) => {
                vec![answer.tool_call(0, index, &call.id, &call.name), answer.arguments(0, index, &call.arguments)]
            }
        }
    }
}

impl Translate for Chunks {
    type Item = SseEvent;

    fn item(&mut self, event: SseEvent) -> Result<Step, Failure> {
        let mut reply = Reply::read(&event.data)?;
        self.counts = self.counts.updated_by(reply.usage_metadata.unwrap_or_default());
        self.is_blocked |= reply.is_blocked();
        let mut events: Vec<Event> = self.begin(&reply).into_iter().collect();
        let Some(candidate) = reply.candidate() else { return Ok(Step::More(events)) };
        let mut index = self.parts.calls;
        for piece in self.parts.read(candidate.content.and_then(|content| content.parts).unwrap_or_default()) {
            let is_call = matches!(piece, Piece::Call(_));
            events.extend(self.piece(index, piece));
            index += usize::from(is_call);
        }
        self.finish_reason = candidate.finish_reason.or(self.finish_reason.take());
        Ok(Step::More(events))
    }

    /// Google closes the stream after the last event.
    fn end(&mut self) -> Result<Vec<Event>, Failure> {
        let finish = match self.finish_reason.as_deref() {
            None if self.is_blocked => Finish::ContentFilter,
            reason => finish(reason, self.parts.calls > 0)?,
        };
        Ok(vec![self.answer.finish(0, finish), self.answer.usage(self.counts.usage())])
    }
}
