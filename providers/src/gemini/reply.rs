//! Reads an answer of `generateContent` as a chat completion.

use serde_json::Value;
use shared::model::id;
use shared::model::provider::{Failure, Whole};

use super::signatures;
use super::wire::{Counts, Reply, ReplyCall, ReplyPart};
use crate::answer::{Answer, Choice, Finish, ToolCall};
use crate::thought::Reasoning;

/// A part of an answer as a chat completion has it.
pub(super) enum Piece {
    Text(String),
    Thought(String),
    Call(ToolCall),
    /// An entry of `reasoning_details`. One for a call comes before it.
    Detail(Value),
}

/// Reads the parts of one answer.
pub(super) struct Parts {
    /// Gemini cannot be kept from calling several tools at once. Where the client asked for one, the others are left out: the
    /// model calls them again after the first result.
    one_call: bool,
    pub calls: usize,
    details: usize,
}

impl Parts {
    pub(super) fn new(one_call: bool) -> Self {
        Self { one_call, calls: 0, details: 0 }
    }

    pub(super) fn read(&mut self, parts: Vec<ReplyPart>) -> Vec<Piece> {
        parts.into_iter().flat_map(|part| self.part(part)).collect()
    }

    fn part(&mut self, part: ReplyPart) -> Vec<Piece> {
        let ReplyPart { text, thought, thought_signature, function_call } = part;
        let mut pieces = Vec::new();
        let call = match function_call {
            Some(_) if self.one_call && self.calls > 0 => return pieces,
            Some(call) => Some(self.call(call)),
            None => None,
        };
        if let Some(signature) = thought_signature.filter(|signature| !signature.is_empty()) {
            let id = call.as_ref().map(|call| call.id.as_str());
            pieces.push(Piece::Detail(signatures::detail(&signature, id, self.details)));
            self.details += 1;
        }
        match text.filter(|text| !text.is_empty()) {
            Some(text) if thought == Some(true) => pieces.push(Piece::Thought(text)),
            Some(text) => pieces.push(Piece::Text(text)),
            None => {}
        }
        pieces.extend(call.map(Piece::Call));
        pieces
    }

    fn call(&mut self, call: ReplyCall) -> ToolCall {
        self.calls += 1;
        let id = call.id.filter(|id| !id.is_empty()).unwrap_or_else(|| id::new("call_"));
        let arguments = call.args.map_or_else(|| "{}".to_owned(), |args| args.get().to_owned());
        ToolCall { id, name: call.name, arguments }
    }
}

pub(super) fn whole(body: &str, mut answer: Answer, one_call: bool) -> Result<Whole, Failure> {
    let mut reply = Reply::read(body)?;
    name(&mut answer, &reply);
    let (candidate, is_blocked) = (reply.candidate(), reply.is_blocked());
    let counts = reply.usage_metadata.unwrap_or_default();
    let Some(candidate) = candidate else {
        return if is_blocked { Ok(blocked(&answer, counts)) } else { Err(unfinished()) };
    };
    let mut parts = Parts::new(one_call);
    let pieces = parts.read(candidate.content.and_then(|content| content.parts).unwrap_or_default());
    let finish = finish(candidate.finish_reason.as_deref(), parts.calls > 0)?;
    let (mut text, mut reasoning, mut tool_calls) = (String::new(), Reasoning::default(), Vec::new());
    for piece in pieces {
        match piece {
            Piece::Text(more) => text += &more,
            Piece::Thought(more) => reasoning.text += &more,
            Piece::Call(call) => tool_calls.push(call),
            Piece::Detail(detail) => reasoning.details.push(detail),
        }
    }
    let choice = Choice { reasoning, text: (!text.is_empty()).then_some(text), tool_calls, finish };
    Ok(answer.whole(&[choice], counts.usage()))
}

/// Sets the id and the model, as Google names them.
pub(super) fn name(answer: &mut Answer, reply: &Reply) {
    answer.id = reply.response_id.as_ref().map_or_else(|| id::new("chatcmpl-"), |id| format!("chatcmpl-{id}"));
    if let Some(model) = &reply.model_version {
        answer.model.clone_from(model);
    }
}

/// The answer to a prompt that Google refused. It is an answer, because its input is counted.
fn blocked(answer: &Answer, counts: Counts) -> Whole {
    let reasoning = Reasoning::default();
    let choice = Choice { reasoning, text: None, tool_calls: Vec::new(), finish: Finish::ContentFilter };
    answer.whole(&[choice], counts.usage())
}

/// Why an answer ended.
///
/// # Errors
/// `Malformed` if the model did not end it, or failed to write a call.
pub(super) fn finish(reason: Option<&str>, has_calls: bool) -> Result<Finish, Failure> {
    Ok(match reason {
        None | Some("" | "FINISH_REASON_UNSPECIFIED") => return Err(unfinished()),
        Some("STOP") if has_calls => Finish::ToolCalls,
        Some("STOP") => Finish::Stop,
        Some("MAX_TOKENS" | "CONTINUATION") => Finish::Length,
        Some(
            reason @ ("MALFORMED_FUNCTION_CALL"
            | "UNEXPECTED_TOOL_CALL"
            | "MISSING_THOUGHT_SIGNATURE"
            | "TOO_MANY_TOOL_CALLS"
            | "MALFORMED_RESPONSE"),
        ) => return Err(Failure::Malformed(format!("the model ended with {reason}"))),
        // Filters of many kinds. One that Google adds later is no normal end either.
        Some(_) => Finish::ContentFilter,
    })
}

fn unfinished() -> Failure {
    Failure::Malformed("the answer ended before the model did".to_owned())
}
