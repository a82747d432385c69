//! Turns OpenAI's reasoning effort into the thinking of Claude models.

use serde_json::{Value, json};

use super::family::{Family, ThinkingKind, Unasked};
use crate::conversation::{Conversation, Effort};

/// Budgets from `minimal` to `xhigh` and `max`. The first is the minimum of the API.
const BUDGETS: [u32; 5] = [1_024, 2_048, 8_192, 16_384, 32_768];

/// The member `thinking` and the effort of `output_config`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Thinking {
    pub thinking: Option<Value>,
    pub effort: Option<&'static str>,
}

/// The thinking for a request with at most `max_tokens` of output. Without an effort the model uses its default.
pub(crate) fn thinking(family: Family, conversation: &Conversation, max_tokens: u32) -> Thinking {
    let Some(effort) = conversation.effort else { return Thinking::default() };
    match (effort, family.thinking) {
        (_, ThinkingKind::Never) => Thinking::default(),
        (Effort::None, _) => unthinking(family),
        (_, ThinkingKind::Budget) => Thinking { thinking: budget(effort, conversation, max_tokens), effort: None },
        (_, ThinkingKind::Adaptive) => {
            let may_think = family.thinks_before_forced_tool || !conversation.forces_a_tool();
            let thinking = may_think.then(|| json!({"type": "adaptive"}));
            Thinking { thinking, effort: Some(effort_of(effort, family)) }
        }
    }
}

/// As little thinking as the model can do.
fn unthinking(family: Family) -> Thinking {
    match family.unasked {
        Unasked::No => Thinking::default(),
        Unasked::Yes => Thinking { thinking: Some(json!({"type": "disabled"})), effort: None },
        Unasked::Always => Thinking { thinking: None, effort: Some("low") },
    }
}

fn effort_of(effort: Effort, family: Family) -> &'static str {
    match effort {
        Effort::None | Effort::Minimal | Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::XHigh if family.has_xhigh => "xhigh",
        Effort::High | Effort::XHigh => "high",
        Effort::Max => "max",
    }
}

/// The member `thinking` with the largest budget up to the one asked for that is below the limit of the output.
fn budget(effort: Effort, conversation: &Conversation, max_tokens: u32) -> Option<Value> {
    // With a budget, the API refuses to force a tool, and requires the model's earlier thoughts next to a tool call.
    if conversation.forces_a_tool() || conversation.continues_without_thoughts() {
        return None;
    }
    let last = match effort {
        Effort::None | Effort::Minimal => 0,
        Effort::Low => 1,
        Effort::Medium => 2,
        Effort::High => 3,
        Effort::XHigh | Effort::Max => 4,
    };
    let budget = BUDGETS[..=last].iter().rev().find(|budget| **budget < max_tokens)?;
    Some(json!({"type": "enabled", "budget_tokens": budget}))
}

#[cfg(test)]
mod tests {
    use shared::model::object::Object;

    use super::*;

    const TOOL: &str = r#""tools":[{"type":"function","function":{"name":"a"}}],"tool_choice":"#;

    type Expected = (Option<Value>, Option<&'static str>);

    #[track_caller]
    fn check_with(more: &str, model: &str, effort: &str, max_tokens: u32, expected: Expected) {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"a"}}],"reasoning_effort":"{effort}"{more}}}"#);
        let conversation = Conversation::parse(&Object::parse(body.as_bytes()).unwrap()).unwrap();
        let expected = Thinking { thinking: expected.0, effort: expected.1 };
        assert_eq!(thinking(Family::of(model), &conversation, max_tokens), expected, "{model} {effort}");
    }

    #[track_caller]
    fn check(model: &str, effort: &str, max_tokens: u32, expected: Expected) {
        check_with("", model, effort, max_tokens, expected);
    }

    fn budget(tokens: u32) -> Expected {
        (Some(json!({"type": "enabled", "budget_tokens": tokens})), None)
    }

    fn adaptive(effort: &'static str) -> Expected {
        (Some(json!({"type": "adaptive"})), Some(effort))
    }

    #[test]
    fn a_budget_fits_below_the_output() {
        check("claude-haiku-4-5", "high", 64_000, budget(16_384));
        check("claude-haiku-4-5", "high", 16_384, budget(8_192));
        check("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "low", 4_096, budget(2_048));
        check("claude-haiku-4-5", "high", 1_024, (None, None));
        check("claude-haiku-4-5", "max", 64_000, budget(32_768));
    }

    #[test]
    fn later_models_get_an_effort_that_they_have() {
        check("claude-opus-4-7", "minimal", 1_024, adaptive("low"));
        check("claude-sonnet-5", "xhigh", 1_024, adaptive("xhigh"));
        check("claude-opus-4-6", "xhigh", 1_024, adaptive("high"));
        check("claude-opus-4-6", "max", 1_024, adaptive("max"));
        check("claude-opus-5-5", "max", 1_024, adaptive("max"));
    }

    #[test]
    fn none_keeps_a_model_from_thinking_as_far_as_it_can_be_kept() {
        check("claude-haiku-4-5", "none", 64_000, (None, None));
        check("claude-opus-4-8", "none", 64_000, (None, None));
        check("claude-sonnet-5", "none", 64_000, (Some(json!({"type": "disabled"})), None));
        check("claude-opus-5-5", "none", 64_000, (None, Some("low")));
    }

    #[test]
    fn models_without_thoughts_get_nothing() {
        check("claude-3-5-haiku-20241022", "high", 64_000, (None, None));
        check("claude-3-opus-20240229", "none", 64_000, (None, None));
    }

    #[test]
    fn a_forced_tool_leaves_no_room_for_thoughts() {
        for forced in [r#""required""#, r#"{"type":"function","function":{"name":"a"}}"#] {
            let more = format!(",{TOOL}{forced}");
            check_with(&more, "claude-sonnet-4-5", "high", 64_000, (None, None));
            check_with(&more, "claude-opus-4-6", "high", 64_000, (None, Some("high")));
            check_with(&more, "claude-opus-5", "high", 64_000, adaptive("high"));
        }
        check_with(&format!(",{TOOL}\"auto\""), "claude-sonnet-4-5", "high", 64_000, budget(16_384));
    }
}
