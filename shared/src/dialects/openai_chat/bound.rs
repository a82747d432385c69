//! The most tokens and pieces that a call can use, known before it is made, and the limit that holds the provider to it.

use super::Body;
use crate::model::catalog::{Model, ModelKind};
use crate::model::object::Object;
use crate::model::project::Policy;
use crate::model::tokens::{Bound, Price};

/// Tokens that a provider may add to the caller's text: chat templates, and the instructions for using tools.
const TEMPLATE_TOKENS: u64 = 32;
const TOOL_TOKENS: u64 = 1_024;

/// Bounds a call's tokens.
///
/// Input: every token is at least one byte of text, so the bytes of the body bound its tokens. Each image counts the
/// model's `image_tokens`; where the model has none, and for sounds and files, the whole context counts. Output: the
/// request's limit, else the project's default, else the most that the model can write; for each answer asked for. Images and
/// sound have no such limit: each counts the most that the model can make.
///
/// Pieces: the images or characters that the request names; of a sound that is to be written down, the seconds that its bytes
/// allow, and at most those that the model takes. Where only pieces are billed, files bring no tokens.
#[must_use]
pub fn bound(body: &Body, model: &Model, policy: &Policy) -> Bound {
    let tools = if body.has_tools { TOOL_TOKENS } else { 0 };
    let text = body.text_bytes + TEMPLATE_TOKENS + tools;
    let context = model.context_tokens.saturating_mul(body.contexts);
    let is_by_piece = !body.uploads.is_empty() && model.price.as_deref().is_some_and(Price::has_free_tokens);
    let with_media = match (body.images, model.image_tokens) {
        _ if is_by_piece => text,
        _ if body.other_media > 0 => context,
        (0, _) => text,
        (count, Some(each)) => text.saturating_add(count.saturating_mul(each)),
        (_, None) => context,
    };
    // A list of inputs to embed may hold text for many contexts.
    let input = if model.kind == ModelKind::Chat { with_media.min(context) } else { with_media };
    let predicted = if body.has_prediction { body.text_bytes } else { 0 };
    let each = output_limit(body, model, policy).saturating_add(predicted).min(model.context_tokens);
    let pieces = match model.kind {
        ModelKind::Transcription => model.max_seconds.map_or(0, |most| most.min(body.pieces.count)),
        _ => body.pieces.count,
    };
    Bound { input, output: each.saturating_mul(body.choices), pieces }
}

/// Output tokens that are counted into the rate window for an answer without a limit; its end corrects them.
const EXPECTED_OUTPUT_TOKENS: u64 = 4_096;

/// The tokens that count against the rate while a call runs: its bound. Where neither request nor project limits the
/// output, only its likely length counts: models can write more than a whole project may use in a minute. Money is
/// reserved for the full bound in both cases.
#[must_use]
pub fn expected_tokens(bound: &Bound, body: &Body, policy: &Policy) -> u64 {
    let limited = body.max_output_tokens.or(policy.default_max_output_tokens).is_some();
    let likely = EXPECTED_OUTPUT_TOKENS.saturating_mul(body.choices);
    let output = if limited { bound.output } else { bound.output.min(likely) };
    bound.input.saturating_add(output)
}

/// Output tokens of one answer.
fn output_limit(body: &Body, model: &Model, policy: &Policy) -> u64 {
    let default = policy.default_max_output_tokens.filter(|_| model.kind == ModelKind::Chat);
    let asked = body.max_output_tokens.or(default);
    asked.unwrap_or(u64::MAX).min(model.max_output_tokens).min(model.context_tokens)
}

/// The limit for one answer that the provider is sent; `None` leaves the caller's body as it is.
///
/// Where a budget pays, it is the limit that money is reserved for. Elsewhere only the project's default is added, for a
/// request that names no limit.
#[must_use]
pub fn limit_to_send(body: &Body, model: &Model, policy: &Policy, budgeted: bool) -> Option<u64> {
    let defaulted = body.max_output_tokens.is_none() && policy.default_max_output_tokens.is_some();
    let is_sent = model.kind == ModelKind::Chat && (budgeted || defaulted);
    is_sent.then(|| output_limit(body, model, policy))
}

/// Members of a chat call that limit its output; providers differ in which one they read.
const LIMITS: [&str; 2] = ["max_completion_tokens", "max_tokens"];

/// A chat call under a limit: a larger limit in the call is lowered; a call without one gets this one.
#[must_use]
pub fn with_limit(mut chat: Object, limit: Option<u64>) -> Object {
    let Some(limit) = limit else { return chat };
    let named = LIMITS.map(|name| (name, chat.get::<u64>(name)));
    if named.iter().all(|(_, tokens)| tokens.is_none()) {
        return chat.with(LIMITS[0], &limit);
    }
    for (name, _) in named.into_iter().filter(|(_, tokens)| tokens.is_some_and(|tokens| tokens > limit)) {
        chat.set(name, &limit);
    }
    chat
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
    fn output_is_bounded_by_the_request_else_the_default_else_the_model() {
        let default = Policy { default_max_output_tokens: Some(50), ..Policy::default() };
        check("", "", &Policy::default(), Bound { input: 0, output: 100, pieces: 0 });
        check("", "", &default, Bound { input: 0, output: 50, pieces: 0 });
        check(r#","max_tokens":7"#, "", &default, Bound { input: 0, output: 7, pieces: 0 });
        check(r#","max_tokens":7000,"n":3"#, "", &default, Bound { input: 0, output: 300, pieces: 0 });
        check(r#","tools":[]"#, "", &default, Bound { input: TOOL_TOKENS, output: 50, pieces: 0 });
    }

    #[track_caller]
    fn check_sent(extra: &str, policy: &Policy, budgeted: bool, expected: &str) {
        let json = format!(r#"{{"model":"m","messages":[{{"role":"user"}}]{extra}}}"#);
        let body = Body::parse(Endpoint::ChatCompletions, json.as_bytes()).unwrap();
        let model = model("");
        let sent = with_limit(body.object.clone(), limit_to_send(&body, &model, policy, budgeted));
        let expected = format!(r#"{{"model":"m","messages":[{{"role":"user"}}]{expected}}}"#);
        assert_eq!(sent.to_bytes(), expected, "{extra}");
        let sent_limit = LIMITS.iter().filter_map(|name| sent.get::<u64>(name)).max();
        let held = bound(&body, &model, policy).output / body.choices;
        assert!(!budgeted || sent_limit == Some(held), "{extra}: sent {sent_limit:?}, reserved {held}");
    }

    #[test]
    fn where_a_budget_pays_the_provider_is_sent_the_reserved_limit() {
        let default = Policy { default_max_output_tokens: Some(50), ..Policy::default() };
        let none = Policy::default();
        check_sent("", &none, true, r#","max_completion_tokens":100"#);
        check_sent("", &default, true, r#","max_completion_tokens":50"#);
        check_sent(r#","max_tokens":7"#, &default, true, r#","max_tokens":7"#);
        check_sent(r#","max_tokens":7000,"n":3"#, &none, true, r#","max_tokens":100,"n":3"#);
        check_sent(r#","max_completion_tokens":7000"#, &none, true, r#","max_completion_tokens":100"#);
        let both = r#","max_tokens":7000,"max_completion_tokens":9"#;
        check_sent(both, &none, true, r#","max_tokens":100,"max_completion_tokens":9"#);
        check_sent(r#","max_tokens":null"#, &none, true, r#","max_tokens":null,"max_completion_tokens":100"#);
        check_sent(r#","max_completion_tokens":null"#, &none, true, r#","max_completion_tokens":100"#);
    }

    #[test]
    fn without_a_budget_only_the_default_is_added() {
        let default = Policy { default_max_output_tokens: Some(5_000), ..Policy::default() };
        check_sent("", &Policy::default(), false, "");
        check_sent("", &default, false, r#","max_completion_tokens":100"#);
        check_sent(r#","max_tokens":7000"#, &default, false, r#","max_tokens":7000"#);
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
