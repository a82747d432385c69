//! Turns OpenAI's reasoning effort into the thinking of Claude models.

use serde_json::{Value, json};

use crate::conversation::{Conversation, Effort};

/// Models that think within a budget of tokens. Later models take an effort and decide themselves.
const WITH_BUDGET: [&str; 9] = [
    "claude-3",
    "claude-sonnet-4-0",
    "claude-opus-4-0",
    "claude-sonnet-4-2",
    "claude-opus-4-2",
    "claude-opus-4-1",
    "claude-sonnet-4-5",
    "claude-opus-4-5",
    "claude-haiku-4-5",
];

/// Budgets from `minimal` to `xhigh`. The first is the minimum of the API.
const BUDGETS: [u32; 5] = [1_024, 2_048, 8_192, 16_384, 32_768];

/// The member `thinking` and the effort of `output_config`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Thinking {
    pub thinking: Option<Value>,
    pub effort: Option<&'static str>,
}

/// The thinking for a request. Without an effort, or with the effort `none`, the model uses its default.
pub(crate) fn thinking(model: &str, conversation: &Conversation, max_tokens: u32) -> Thinking {
    let (step, effort) = match conversation.effort {
        None | Some(Effort::None) => return Thinking::default(),
        Some(Effort::Minimal) => (0, "low"),
        Some(Effort::Low) => (1, "low"),
        Some(Effort::Medium) => (2, "medium"),
        Some(Effort::High) => (3, "high"),
        Some(Effort::XHigh) => (4, "xhigh"),
    };
    if !WITH_BUDGET.iter().any(|family| model.contains(family)) {
        return Thinking { thinking: Some(json!({"type": "adaptive"})), effort: Some(effort) };
    }
    // With a budget, the API requires the model's earlier thoughts next to a tool call. OpenAI's messages cannot carry
    // them.
    if conversation.ends_in_tool_results() {
        return Thinking::default();
    }
    let budget = BUDGETS[..=step].iter().rev().find(|budget| **budget < max_tokens);
    Thinking { thinking: budget.map(|budget| json!({"type": "enabled", "budget_tokens": budget})), effort: None }
}

#[cfg(test)]
mod tests {
    use shared::model::object::Object;

    use super::*;

    #[track_caller]
    fn check(model: &str, effort: &str, max_tokens: u32, expected: (Option<Value>, Option<&'static str>)) {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"a"}}],"reasoning_effort":"{effort}"}}"#);
        let conversation = Conversation::parse(&Object::parse(body.as_bytes()).unwrap()).unwrap();
        let expected = Thinking { thinking: expected.0, effort: expected.1 };
        assert_eq!(thinking(model, &conversation, max_tokens), expected, "{model} {effort}");
    }

    #[test]
    fn a_budget_fits_below_the_output() {
        let budget = |tokens: u32| (Some(json!({"type": "enabled", "budget_tokens": tokens})), None);
        check("claude-haiku-4-5", "high", 64_000, budget(16_384));
        check("claude-haiku-4-5", "high", 16_384, budget(8_192));
        check("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "low", 4_096, budget(2_048));
        check("claude-haiku-4-5", "high", 1_024, (None, None));
        check("claude-haiku-4-5", "none", 64_000, (None, None));
    }

    #[test]
    fn later_models_get_an_effort() {
        check("claude-opus-4-7", "minimal", 1_024, (Some(json!({"type": "adaptive"})), Some("low")));
        check("claude-sonnet-5", "xhigh", 1_024, (Some(json!({"type": "adaptive"})), Some("xhigh")));
    }
}
