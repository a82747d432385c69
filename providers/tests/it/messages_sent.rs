//! Sends calls of Anthropic's API to a provider of chat completions, and compares what it gets.

use shared::model::provider::{Endpoint, Failure};

use crate::play::{Answer, Server, call, failure, json, provider};

pub(crate) const REPLY: &str = include_str!("../fixtures/messages/reply.json");

pub(crate) fn toml(server: &Server, more: &str) -> String {
    let url = &server.base_url;
    format!(
        "[[provider]]\nname = \"it\"\nkind = \"openai\"\nbase_url = \"{url}\"\napi_key_env = \"KEY\"\nmedia_urls = [\"https://\", \"data:\"]\n{more}\n"
    )
}

/// Sends the members `client` to a provider with these settings, and compares the members `expected` of the body that it gets.
pub(crate) async fn check_at(settings: &str, client: &str, expected: &str) {
    let server = Server::start(Answer::json(200, REPLY)).await;
    let sent = call(Endpoint::Messages, &format!(r#"{{"model":"chat","max_tokens":9,{client}}}"#), false);
    provider(&toml(&server, settings)).send(&sent).await.unwrap();
    let limit = if settings.contains("openrouter") { "max_tokens" } else { "max_completion_tokens" };
    let expected = json(format!(r#"{{"model":"their-model","{limit}":9,{expected}}}"#));
    assert_eq!(server.got().json(), expected, "{:#}", server.got().json());
}

/// Compares the failure of a call with these members, and the member that it names.
pub(crate) async fn check_refused(members: &str, param: &str, expected: &str) {
    let server = Server::start(Answer::json(200, REPLY)).await;
    let body = format!(r#"{{"model":"chat",{members}}}"#);
    let failure = failure(provider(&toml(&server, "")).send(&call(Endpoint::Messages, &body, false)).await);
    let named = match &failure {
        Failure::Unsupported { param, .. } => param.clone(),
        Failure::Refused { status: 400, refusal } => refusal.param.clone(),
        _ => None,
    };
    assert_eq!((named.as_deref(), failure.to_string().as_str()), (Some(param), expected), "{members}");
}
