//! Anthropic's Messages API in both directions.

use std::time::Duration;

use shared::model::provider::{Endpoint, Failure, ProviderRequest};
use shared::model::tokens::Usage;

use crate::play::{Answer, Server, call, drain, failure, json, lines, provider, same_lines, whole};

const CLIENT: &str = include_str!("../fixtures/anthropic/request-client.json");
const REPLY: &str = include_str!("../fixtures/anthropic/reply.json");
const STREAM: &str = include_str!("../fixtures/anthropic/stream.sse");

fn toml(server: &Server) -> String {
    format!(
        "[[provider]]\nname = \"it\"\nkind = \"anthropic\"\nbase_url = \"{}\"\napi_key_env = \"KEY\"\n\
         media_urls = [\"https://\", \"data:\"]\n",
        server.base_url
    )
}

fn chat(body: &str, stream: bool) -> ProviderRequest {
    ProviderRequest { model: "claude-opus-4-6".to_owned(), ..call(Endpoint::ChatCompletions, body, stream) }
}

#[tokio::test]
async fn a_request_becomes_a_message() {
    let server = Server::start(Answer::json(200, REPLY)).await;
    provider(&toml(&server)).send(&chat(CLIENT, false)).await.unwrap();
    let got = server.got();
    let expected = json(include_str!("../fixtures/anthropic/request-provider.json"));
    assert_eq!(got.json(), expected, "{:#}", got.json());
    assert_eq!(got.path, "/v1/messages");
    assert_eq!((got.header("x-api-key"), got.header("authorization")), (Some("sk-provider"), None));
    assert_eq!(got.header("anthropic-version"), Some("2023-06-01"));
    // A model writes its answer in the order of the schema.
    assert!(String::from_utf8_lossy(&got.body).contains(r#"{"b":{"type":"integer"},"a""#));
}

#[tokio::test]
async fn the_least_request_has_a_ceiling_and_no_options() {
    let server = Server::start(Answer::json(200, REPLY)).await;
    let least = r#"{"messages":[{"role":"user","content":"Hi"}],"temperature":1.7,"tools":[],"tool_choice":"auto","reasoning_effort":"none"}"#;
    provider(&toml(&server)).send(&chat(least, true)).await.unwrap();
    let expected = r#"{"model":"claude-opus-4-6","max_tokens":4096,"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]}],"stream":true}"#;
    assert_eq!(server.got().json(), json(expected));
}

#[tokio::test]
async fn a_whole_reply_becomes_a_chat_completion() {
    let server = Server::start(Answer::json(200, REPLY)).await;
    let whole = whole(provider(&toml(&server)).send(&chat(CLIENT, false)).await.unwrap());
    assert_eq!(json(&whole.body), json(include_str!("../fixtures/anthropic/reply-client.json")));
    let usage = Usage {
        input: 3_210,
        cached_input: 3_000,
        cache_write: 200,
        cache_write_1h: 50,
        output: 50,
        reasoning: 8,
        ..Usage::default()
    };
    assert_eq!(whole.usage, Some(usage));
}

#[tokio::test]
async fn stop_reasons_have_their_finish_reasons() {
    let reasons = [
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("stop_sequence", "stop"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("pause_turn", "stop"),
        ("a_later_one", "stop"),
    ];
    for (reason, expected) in reasons {
        let body = REPLY.replace("\"stop_reason\": \"tool_use\"", &format!("\"stop_reason\": \"{reason}\""));
        let server = Server::start(Answer { pieces: vec![body.into()], ..Answer::json(200, "") }).await;
        let whole = whole(provider(&toml(&server)).send(&chat(CLIENT, false)).await.unwrap());
        assert_eq!(json(&whole.body)["choices"][0]["finish_reason"], expected);
    }
}

#[tokio::test]
async fn a_stream_becomes_chunks() {
    let server = Server::start(Answer::sse(STREAM)).await;
    let reply = provider(&toml(&server)).send(&chat(CLIENT, true)).await.unwrap();
    same_lines(&lines(reply).await, include_str!("../fixtures/anthropic/stream-client.jsonl"));
}

#[tokio::test]
async fn reports_the_usage_once_at_the_end() {
    let server = Server::start(Answer::sse(STREAM)).await;
    let reply = provider(&toml(&server)).send(&chat(CLIENT, true)).await.unwrap();
    let usages: Vec<_> = drain(reply).await.into_iter().filter_map(|event| event.unwrap().usage).collect();
    assert_eq!(usages, [Usage { input: 30, cached_input: 5, output: 42, ..Usage::default() }]);
}

/// Plays `stream` and returns the text of the failure that ends it.
async fn end_of(stream: &str) -> String {
    let server = Server::start(Answer::sse(stream)).await;
    let reply = provider(&toml(&server)).send(&chat(CLIENT, true)).await.unwrap();
    drain(reply).await.pop().unwrap().unwrap_err().to_string()
}

#[tokio::test]
async fn a_stream_that_does_not_end_well_is_a_failure() {
    let begun = STREAM.split_inclusive("\n\n").take(8).collect::<String>();
    assert_eq!(end_of(&begun).await, "the provider's answer is not understood: the stream ended before the answer did");
    let error = |kind| {
        format!(
            "{begun}event: error\ndata: {{\"type\":\"error\",\"error\":{{\"type\":\"{kind}\",\"message\":\"m\"}}}}\n\n"
        )
    };
    assert_eq!(end_of(&error("overloaded_error")).await, "the provider answered 529");
    assert_eq!(end_of(&error("api_error")).await, "the provider answered 500");
    assert_eq!(end_of(&error("rate_limit_error")).await, "the provider throttles");
}

#[tokio::test]
async fn errors_keep_the_words_of_the_provider() {
    let send = async |answer| {
        let server = Server::start(answer).await;
        failure(provider(&toml(&server)).send(&chat(CLIENT, false)).await)
    };
    let refused = r#"{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: too large"},"request_id":"req_1"}"#;
    let Failure::Refused { status: 400, refusal } = send(Answer::json(400, refused)).await else { panic!() };
    assert_eq!(
        (refusal.message.as_str(), refusal.kind.as_deref()),
        ("max_tokens: too large", Some("invalid_request_error"))
    );
    let long = r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 3 tokens > 2 maximum"}}"#;
    let Failure::Refused { status: 400, refusal } = send(Answer::json(400, long)).await else { panic!() };
    assert_eq!(refusal.message, "prompt is too long: 3 tokens > 2 maximum");
    assert_eq!(refusal.code.as_deref(), Some("context_length_exceeded"));
    let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    assert!(matches!(send(Answer::json(529, overloaded)).await, Failure::Unavailable { status: 529, .. }));
    let throttled = Answer::json(429, r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}"#)
        .header("retry-after", "7");
    assert_eq!(send(throttled).await.retry_after(), Some(Duration::from_secs(7)));
    assert!(matches!(send(Answer::json(200, r#"{"choices":[]}"#)).await, Failure::Malformed(_)));
}

#[tokio::test]
async fn other_operations_are_unsupported() {
    let server = Server::start(Answer::json(200, REPLY)).await;
    for endpoint in [Endpoint::Completions, Endpoint::Embeddings, Endpoint::Moderations] {
        let failure = failure(provider(&toml(&server)).send(&call(endpoint, "{}", false)).await);
        assert!(matches!(failure, Failure::Unsupported { param: None, .. }), "{failure}");
    }
}
