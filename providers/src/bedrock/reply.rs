//! Reads the output of Converse as a chat completion.

use aws_sdk_bedrockruntime::operation::converse::ConverseOutput;
use aws_sdk_bedrockruntime::types::{ContentBlock, ReasoningContentBlock, StopReason, TokenUsage};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use shared::model::provider::Whole;
use shared::model::tokens::Usage;

use super::document;
use crate::answer::{Answer, Choice, Finish, ToolCall};
use crate::thought::{Thought, ThoughtKind};

/// `one_call`: calls behind the first are left out.
pub(super) fn whole(answer: &Answer, output: ConverseOutput, one_call: bool) -> Whole {
    let finish = finish(&output.stop_reason);
    let message = output.output.and_then(|output| output.as_message().ok().cloned());
    let blocks = message.map(|message| message.content).unwrap_or_default();
    let texts: Vec<_> = blocks.iter().filter_map(|block| block.as_text().ok().map(String::as_str)).collect();
    let text = (!texts.is_empty()).then(|| texts.concat());
    let reasoning = blocks.iter().enumerate().filter_map(thought).collect();
    let most = if one_call { 1 } else { usize::MAX };
    let tool_calls = blocks.iter().filter_map(tool_call).take(most).collect();
    let choice = Choice { reasoning, text, tool_calls, finish };
    let usage = output.usage.as_ref().map(usage);
    Whole { usage, ..answer.whole(&[choice], usage.unwrap_or_default()) }
}

fn thought((index, block): (usize, &ContentBlock)) -> Option<Thought> {
    let kind = match block.as_reasoning_content().ok()? {
        ReasoningContentBlock::ReasoningText(block) => {
            ThoughtKind::Text { text: block.text.clone(), signature: block.signature.clone() }
        }
        ReasoningContentBlock::RedactedContent(data) => ThoughtKind::Encrypted(STANDARD.encode(data)),
        _ => return None,
    };
    Some(Thought { index, kind })
}

fn tool_call(block: &ContentBlock) -> Option<ToolCall> {
    let call = block.as_tool_use().ok()?;
    let arguments = document::json(&call.input).to_string();
    Some(ToolCall { id: call.tool_use_id.clone(), name: call.name.clone(), arguments })
}

/// Treats other reasons, such as `end_turn`, as a normal end.
pub(super) fn finish(reason: &StopReason) -> Finish {
    match reason {
        StopReason::MaxTokens | StopReason::ModelContextWindowExceeded => Finish::Length,
        StopReason::ToolUse => Finish::ToolCalls,
        StopReason::ContentFiltered | StopReason::GuardrailIntervened => Finish::ContentFilter,
        // The SDK does not have this reason, but Claude models use it.
        other if other.as_str() == "refusal" => Finish::ContentFilter,
        _ => Finish::Stop,
    }
}

/// The usage as OpenAI counts it: the input includes the tokens that the cache served and stored.
pub(super) fn usage(counts: &TokenUsage) -> Usage {
    let count = |tokens: i32| u64::try_from(tokens).unwrap_or(0);
    let cached_input = counts.cache_read_input_tokens.map_or(0, count);
    let cache_write = counts.cache_write_input_tokens.map_or(0, count);
    let stored_for = |ttl: &str| {
        let details = counts.cache_details().iter().filter(|detail| detail.ttl.as_str() == ttl);
        details.map(|detail| count(detail.input_tokens)).sum()
    };
    Usage {
        input: count(counts.input_tokens).saturating_add(cached_input).saturating_add(cache_write),
        cached_input,
        cache_write,
        // Models of OpenAI store for half an hour and for twelve.
        cache_write_30m: stored_for("30m"),
        cache_write_1h: stored_for("1h"),
        cache_write_12h: stored_for("12h"),
        output: count(counts.output_tokens),
        ..Usage::default()
    }
}
