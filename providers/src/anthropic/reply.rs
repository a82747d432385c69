//! Reads an answer of the Messages API as a chat completion.

use shared::model::provider::{Failure, Whole};

use super::wire::{Reply, ReplyBlock};
use crate::answer::{Answer, Choice, Finish, ToolCall};
use crate::thought::{Thought, ThoughtKind};

pub(super) fn whole(body: &[u8], created: u64) -> Result<Whole, Failure> {
    let reply: Reply = serde_json::from_slice(body)
        .map_err(|error| Failure::Malformed(format!("the answer is not Anthropic's: {error}")))?;
    let texts: Vec<_> = reply.content.iter().filter_map(|block| block.text.as_deref()).collect();
    let choice = Choice {
        reasoning: reply.content.iter().enumerate().filter_map(thought).collect(),
        text: (!texts.is_empty()).then(|| texts.concat()),
        tool_calls: reply.content.iter().filter_map(tool_call).collect(),
        finish: finish(reply.stop_reason.as_deref()),
    };
    let answer = Answer { id: reply.id, created, model: reply.model };
    Ok(answer.whole(&[choice], reply.usage.usage()))
}

fn thought((index, block): (usize, &ReplyBlock)) -> Option<Thought> {
    let kind = match block.kind.as_str() {
        "thinking" => {
            let (text, signature) = (block.thinking.clone().unwrap_or_default(), block.signature.clone());
            ThoughtKind::Text { text, signature: signature.filter(|signature| !signature.is_empty()) }
        }
        "redacted_thinking" => ThoughtKind::Encrypted(block.data.clone()?),
        _ => return None,
    };
    Some(Thought { index, kind })
}

fn tool_call(block: &ReplyBlock) -> Option<ToolCall> {
    if block.kind != "tool_use" {
        return None;
    }
    let arguments = block.input.as_ref().map_or("{}", |input| input.get()).to_owned();
    Some(ToolCall { id: block.id.clone()?, name: block.name.clone()?, arguments })
}

/// Treats other reasons, such as `end_turn`, as a normal end.
pub(super) fn finish(stop_reason: Option<&str>) -> Finish {
    match stop_reason {
        Some("max_tokens" | "model_context_window_exceeded") => Finish::Length,
        Some("tool_use") => Finish::ToolCalls,
        Some("refusal") => Finish::ContentFilter,
        _ => Finish::Stop,
    }
}
