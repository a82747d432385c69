//! Turns OpenAI's reasoning effort into the thinking of Gemini models.

use super::family::{Family, Level, ThinkingKind};
use super::wire::ThinkingConfig;
use crate::conversation::Effort;

/// The thinking that an effort asks for. Without an effort the model uses its default.
///
/// Budgets and levels are those that Google's own API for OpenAI's clients uses.
pub(super) fn thinking(family: Family, effort: Option<Effort>) -> Option<ThinkingConfig> {
    let effort = effort?;
    let include_thoughts = effort != Effort::None;
    let (thinking_budget, thinking_level) = match family.thinking {
        ThinkingKind::Never => return None,
        ThinkingKind::Budget { min, max } => (Some(budget(effort, min, max)), None),
        ThinkingKind::Level { lowest, highest } => (None, Some(level(effort).clamp(lowest, highest).name())),
    };
    Some(ThinkingConfig { include_thoughts, thinking_budget, thinking_level })
}

fn budget(effort: Effort, min: u32, max: u32) -> u32 {
    match effort {
        Effort::None => min,
        Effort::Minimal | Effort::Low => 1_024,
        Effort::Medium => 8_192,
        Effort::High => 24_576,
        Effort::XHigh | Effort::Max => max,
    }
}

/// A model cannot be kept from thinking at all.
fn level(effort: Effort) -> Level {
    match effort {
        Effort::None | Effort::Minimal => Level::Minimal,
        Effort::Low => Level::Low,
        Effort::Medium => Level::Medium,
        Effort::High => Level::High,
        Effort::XHigh | Effort::Max => Level::XHigh,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(model: &str, effort: Effort, expected: &str) {
        let thinking = thinking(Family::of(model), Some(effort));
        assert_eq!(serde_json::to_string(&thinking).unwrap(), expected, "{model} {effort:?}");
    }

    #[test]
    fn a_budget_is_for_gemini_2_5() {
        check("gemini-2.5-flash", Effort::Minimal, r#"{"includeThoughts":true,"thinkingBudget":1024}"#);
        check("gemini-2.5-flash", Effort::Medium, r#"{"includeThoughts":true,"thinkingBudget":8192}"#);
        check("gemini-2.5-pro", Effort::High, r#"{"includeThoughts":true,"thinkingBudget":24576}"#);
        check("gemini-2.5-flash", Effort::Max, r#"{"includeThoughts":true,"thinkingBudget":24576}"#);
        check("gemini-2.5-pro", Effort::Max, r#"{"includeThoughts":true,"thinkingBudget":32768}"#);
        check("gemini-2.5-flash", Effort::None, r#"{"includeThoughts":false,"thinkingBudget":0}"#);
        check("gemini-2.5-pro", Effort::None, r#"{"includeThoughts":false,"thinkingBudget":128}"#);
    }

    #[test]
    fn later_models_get_a_level_that_they_have() {
        check("gemini-3.6-flash", Effort::Minimal, r#"{"includeThoughts":true,"thinkingLevel":"MINIMAL"}"#);
        check("gemini-3.8-flash", Effort::Minimal, r#"{"includeThoughts":true,"thinkingLevel":"LOW"}"#);
        check("gemini-3.8-flash", Effort::None, r#"{"includeThoughts":false,"thinkingLevel":"LOW"}"#);
        check("gemini-3.1-pro-preview", Effort::Max, r#"{"includeThoughts":true,"thinkingLevel":"HIGH"}"#);
        check("gemini-4-hydrogen", Effort::Max, r#"{"includeThoughts":true,"thinkingLevel":"XHIGH"}"#);
    }

    #[test]
    fn nothing_is_sent_to_models_without_thoughts_and_without_an_effort() {
        check("gemini-2.0-flash", Effort::High, "null");
        assert!(thinking(Family::of("gemini-3.8-flash"), None).is_none());
    }
}
