//! The temperature and `top_p` that a Claude model takes.

use super::family::{Family, Sampling};
use super::thinking::Thinking;
use crate::conversation::Conversation;

/// The `temperature` and the `top_p` that the provider gets.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Sampled {
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
}

/// What the model accepts of the request's temperature and `top_p`.
///
/// OpenAI's temperatures go up to 2, Anthropic's up to 1. 1 is the default of both members, so it is not sent.
/// Anthropic's API refuses both while the model thinks, both together for models from 4.1 on, and each for models from
/// 4.7 on. An effort says more about what the caller wants than a temperature, which many clients always send; and a
/// temperature more than a `top_p`.
pub(crate) fn sampled(family: Family, conversation: &Conversation, thinking: &Thinking) -> Sampled {
    let thinks = thinking.thinking.as_ref().is_some_and(|thinking| thinking["type"] != "disabled");
    if thinks || family.sampling == Sampling::Neither {
        return Sampled::default();
    }
    let temperature = conversation.temperature.filter(|temperature| *temperature < 1.0);
    let top_p = conversation.top_p.filter(|top_p| *top_p < 1.0);
    match family.sampling {
        Sampling::One if temperature.is_some() => Sampled { temperature, top_p: None },
        _ => Sampled { temperature, top_p },
    }
}

#[cfg(test)]
mod tests {
    use shared::model::object::Object;

    use super::super::thinking::thinking;
    use super::*;

    #[track_caller]
    fn check(model: &str, members: &str, temperature: Option<f64>, top_p: Option<f64>) {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"a"}}],{members}}}"#);
        let conversation = Conversation::parse(&Object::parse(body.as_bytes()).unwrap()).unwrap();
        let family = Family::of(model);
        let thinking = thinking(family, &conversation, 64_000);
        assert_eq!(sampled(family, &conversation, &thinking), Sampled { temperature, top_p }, "{model} {members}");
    }

    #[test]
    fn defaults_are_not_sent() {
        check("claude-3-5-haiku", r#""temperature":1,"top_p":1"#, None, None);
        check("claude-3-5-haiku", r#""temperature":1.7,"top_p":0.5"#, None, Some(0.5));
        check("claude-sonnet-4-5", r#""temperature":0.7,"top_p":1"#, Some(0.7), None);
        check("claude-sonnet-4-5", r#""temperature":0"#, Some(0.0), None);
    }

    #[test]
    fn a_model_that_takes_one_gets_the_temperature() {
        let both = r#""temperature":0.7,"top_p":0.9"#;
        check("claude-sonnet-4-0", both, Some(0.7), Some(0.9));
        check("claude-sonnet-4-5", both, Some(0.7), None);
        check("claude-opus-4-6", r#""top_p":0.9"#, None, Some(0.9));
        check("claude-opus-4-7", both, None, None);
        check("claude-opus-5", both, None, None);
        check("glm-5", both, Some(0.7), Some(0.9));
    }

    #[test]
    fn a_model_that_thinks_gets_neither() {
        let both = r#""temperature":0.7,"top_p":0.9,"reasoning_effort":"high""#;
        check("claude-sonnet-4-0", both, None, None);
        check("claude-opus-4-6", both, None, None);
        check("claude-3-5-haiku", both, Some(0.7), Some(0.9));
        check("claude-haiku-4-5", r#""temperature":0.7,"reasoning_effort":"none""#, Some(0.7), None);
    }
}
