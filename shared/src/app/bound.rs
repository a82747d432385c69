//! The most tokens a call can use, from what is known before it is made.

use crate::model::catalog::{Model, ModelKind};
use crate::model::project::Policy;
use crate::model::request::Body;
use crate::model::tokens::Bound;

/// Tokens that a provider may add to what the caller wrote: chat templates, and the instructions for using tools.
const TEMPLATE_TOKENS: u64 = 32;
const TOOL_TOKENS: u64 = 1_024;

/// Bounds a call's tokens.
///
/// Input: every token is at least one byte of text, so the bytes of the body bound its tokens; images count the model's
/// `image_tokens` each; where that is not known, and for sounds and files, the whole context. Output: what the request allows, else
/// the project's default, else what the model can write; for each answer asked for.
pub(super) fn bound(body: &Body, model: &Model, policy: &Policy) -> Bound {
    let tools = if body.has_tools { TOOL_TOKENS } else { 0 };
    let text = body.text_bytes + TEMPLATE_TOKENS + tools;
    let context = model.context_tokens.saturating_mul(body.contexts);
    let with_media = match (body.images, model.image_tokens) {
        _ if body.other_media > 0 => context,
        (0, _) => text,
        (count, Some(each)) => text.saturating_add(count.saturating_mul(each)),
        (_, None) => context,
    };
    // A list of inputs to embed may have many contexts' worth of text.
    let input = if model.kind == ModelKind::Chat { with_media.min(context) } else { with_media };
    let predicted = if body.has_prediction { body.text_bytes } else { 0 };
    let each = output_limit(body, model, policy).saturating_add(predicted).min(model.context_tokens);
    Bound { input, output: each.saturating_mul(body.choices) }
}

/// Output tokens that are counted into the rate window for an answer without a limit; its end corrects them.
const EXPECTED_OUTPUT_TOKENS: u64 = 4_096;

/// The tokens that a call is counted with while it runs: its bound, but where nobody limited the output only what is
/// likely. Models can write more than whole projects may use in a minute; money is held for all of it nevertheless.
pub(super) fn expected_tokens(bound: &Bound, body: &Body, policy: &Policy) -> u64 {
    let limited = body.max_output_tokens.or(policy.default_max_output_tokens).is_some();
    let likely = EXPECTED_OUTPUT_TOKENS.saturating_mul(body.choices);
    let output = if limited { bound.output } else { bound.output.min(likely) };
    bound.input.saturating_add(output)
}

/// Output tokens of one answer.
fn output_limit(body: &Body, model: &Model, policy: &Policy) -> u64 {
    let asked = body.max_output_tokens.or(policy.default_max_output_tokens);
    asked.unwrap_or(model.max_output_tokens).min(model.max_output_tokens)
}

/// The limit that the provider must be told because the caller named none and the project's default was held for it.
pub(super) fn default_to_send(body: &Body, model: &Model, policy: &Policy) -> Option<u64> {
    if model.kind != ModelKind::Chat || body.max_output_tokens.is_some() {
        return None;
    }
    policy.default_max_output_tokens.map(|default| default.min(model.max_output_tokens))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::catalog::Catalog;
    use crate::model::provider::Endpoint;

    fn model(image_tokens: &str) -> Model {
        let text = format!(
            "[[provider]]\nname='p'\nkind='simulator'\n[[model]]\nname='m'\nkind='chat'\ncontext_tokens=9000\n\
             max_output_tokens=100\n{image_tokens}\ntargets=[{{provider='p',model='m'}}]"
        );
        Catalog::parse(&text).unwrap().model("m").unwrap().clone()
    }

    #[track_caller]
    fn check(extra: &str, image_tokens: &str, policy: &Policy, expected: Bound) {
        let json = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}]{extra}}}"#);
        let body = Body::parse(Endpoint::ChatCompletions, json.as_bytes()).unwrap();
        let text = json.len() as u64 + TEMPLATE_TOKENS;
        let found = bound(&body, &model(image_tokens), policy);
        assert_eq!((found.input - text, found.output), (expected.input, expected.output));
    }

    #[test]
    fn output_is_what_was_asked_else_the_default_else_the_ceiling() {
        let default = Policy { default_max_output_tokens: Some(50), ..Policy::default() };
        check("", "", &Policy::default(), Bound { input: 0, output: 100 });
        check("", "", &default, Bound { input: 0, output: 50 });
        check(r#","max_tokens":7"#, "", &default, Bound { input: 0, output: 7 });
        check(r#","max_tokens":7000,"n":3"#, "", &default, Bound { input: 0, output: 300 });
        check(r#","tools":[]"#, "", &default, Bound { input: TOOL_TOKENS, output: 50 });
    }

    #[test]
    fn an_image_of_unknown_size_is_bounded_by_the_context() {
        let json = br#"{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x/y"}}]}]}"#;
        let body = Body::parse(Endpoint::ChatCompletions, json).unwrap();
        assert_eq!(bound(&body, &model(""), &Policy::default()).input, 9_000);
        let text = body.text_bytes + TEMPLATE_TOKENS;
        assert_eq!(bound(&body, &model("image_tokens=700"), &Policy::default()).input, text + 700);
    }
}
