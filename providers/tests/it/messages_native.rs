//! Anthropic's Messages API for clients that speak it: everything passes.

use shared::model::provider::{Endpoint, Failure, ProviderRequest};
use shared::model::tokens::{Served, Usage};

use crate::play::{Answer, Server, call, drain, failure, lines, provider, whole};

const REPLY: &str = include_str!("../fixtures/anthropic/reply.json");
const STREAM: &str = include_str!("../fixtures/anthropic/stream.sse");
const LEAST: &str = r#"{"model":"chat","max_tokens":9,"messages":[]}"#;

fn toml(server: &Server, more: &str) -> String {
    format!(
        "[[provider]]\nname = \"it\"\nkind = \"anthropic\"\nbase_url = \"{}\"\napi_key_env = \"KEY\"\n{more}\n",
        server.base_url
    )
}

fn message(body: &str, stream: bool) -> ProviderRequest {
    ProviderRequest { model: "claude-opus-5".to_owned(), ..call(Endpoint::Messages, body, stream) }
}

#[tokio::test]
async fn a_body_passes_to_the_byte() {
    let server = Server::start(Answer::json(200, REPLY)).await;
    let theirs = r#"{"type":"thinking", "thinking":"","signature":"c2ln"}"#;
    let own = r#",{"type":"thinking","thinking":"a","signature":"weir:1:"}"#;
    let only_own = r#",{"role":"assistant","content":[{"type":"thinking","thinking":"a","signature":"weir:1:"}]}"#;
    let rest = r#""x-later":{"a":1.0},"thinking":{"type":"adaptive"},"tools":[{"type":"web_search_20260209","name":"web_search"}]"#;
    let body = |model: &str, own: &str, only_own: &str, stream: bool| {
        format!(
            r#"{{"model":"{model}","max_tokens":9,"stream":{stream},"messages":[{{"role":"user","content":[{{"type":"text", "text":"a","cache_control":{{"type":"ephemeral"}}}}]}},{{"role":"assistant","content":[{theirs}{own},{{"type":"tool_use","id":"t","name":"n","input":{{"url":"file:///a"}}}}]}}{only_own},{{"role":"user","content":[{{"type":"later","b":1e3}}]}}],{rest}}}"#
        )
    };
    let sent = message(&body("chat", own, only_own, true), false);
    provider(&toml(&server, "")).send(&sent).await.unwrap();
    let got = server.got();
    assert_eq!(got.body, body("claude-opus-5", "", "", false));
    assert_eq!(got.path, "/v1/messages");
    assert_eq!((got.header("x-api-key"), got.header("anthropic-version")), (Some("sk-provider"), Some("2023-06-01")));
    assert_eq!((got.header("traceparent"), got.header("anthropic-beta")), (sent.traceparent.as_deref(), None));
}

#[tokio::test]
async fn headers_of_the_client_pass_and_its_betas_join_those_of_the_entry() {
    let server = Server::start(Answer::json(200, REPLY)).await;
    let headers = vec![
        ("anthropic-version", "2026-10-21".to_owned()),
        ("anthropic-beta", "b,c".to_owned()),
        ("x-api-key", "theirs".to_owned()),
    ];
    let sent = ProviderRequest { headers, ..message(LEAST, false) };
    provider(&toml(&server, "")).send(&sent).await.unwrap();
    let got = server.got();
    assert_eq!((got.header("anthropic-version"), got.header("anthropic-beta")), (Some("2026-10-21"), Some("b,c")));
    assert_eq!(got.header("x-api-key"), Some("sk-provider"));
    let configured = "headers = { anthropic-beta = \"a\", anthropic-version = \"2023-01-01\" }";
    provider(&toml(&server, configured)).send(&sent).await.unwrap();
    let got = server.got();
    assert_eq!((got.header("anthropic-version"), got.header("anthropic-beta")), (Some("2023-01-01"), Some("a,b,c")));
}

#[tokio::test]
async fn a_provider_is_sent_no_urls_that_it_may_not_fetch() {
    let server = Server::start(Answer::json(200, REPLY)).await;
    let image = r#"{"type":"image","source":{"type":"url","url":"https://images.example.com/a.png"}}"#;
    let result = format!(r#"{{"type":"tool_result","tool_use_id":"a","content":[{image}]}}"#);
    for block in [image, &result] {
        let body = format!(r#"{{"model":"chat","max_tokens":9,"messages":[{{"role":"user","content":[{block}]}}]}}"#);
        // A server on this machine fetches nothing unless the operator says so.
        let refused = failure(provider(&toml(&server, "")).send(&message(&body, false)).await);
        assert!(matches!(&refused, Failure::Unsupported { what, .. } if what.contains("media_urls")), "{refused}");
        let permitted = "media_urls = [\"https://images.example.com/\"]";
        assert!(provider(&toml(&server, permitted)).send(&message(&body, false)).await.is_ok());
    }
}

#[tokio::test]
async fn a_whole_answer_comes_back_byte_for_byte_and_is_counted() {
    let server = Server::start(Answer::json(200, REPLY)).await;
    let answered = whole(provider(&toml(&server, "")).send(&message(LEAST, false)).await.unwrap());
    assert_eq!(answered.body, REPLY);
    let usage = Usage {
        input: 3_210,
        cached_input: 3_000,
        cache_write: 200,
        cache_write_1h: 50,
        output: 50,
        reasoning: 8,
        ..Usage::default()
    };
    assert_eq!(answered.usage, Some(usage));
    let server = Server::start(Answer::json(200, r#"{"type":"message","content":[]}"#)).await;
    assert_eq!(whole(provider(&toml(&server, "")).send(&message(LEAST, false)).await.unwrap()).usage, None);
}

/// The data of the events in a stream, one line each.
fn data(stream: &str) -> String {
    let lines = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    lines.map(|line| format!("{line}\n")).collect()
}

#[tokio::test]
async fn events_pass_as_they_came() {
    let later = "event: later\ndata: {\"type\":\"later\",\"message\":7,\"usage\":\"x\", \"index\":-1}\n\n";
    let (head, tail) = STREAM.split_once("event: message_delta").unwrap();
    let stream = format!("{head}{later}event: message_delta{tail}");
    let server = Server::start(Answer::sse(&format!("{stream}event: late\ndata: {{\"type\":\"late\"}}\n\n"))).await;
    let reply = provider(&toml(&server, "")).send(&message(LEAST, true)).await.unwrap();
    assert_eq!(lines(reply).await, data(&stream));
    assert_eq!(server.got().json()["stream"], true);
}

#[tokio::test]
async fn the_usage_of_a_stream_adds_up_its_start_and_its_deltas() {
    let start = r#"{"type":"message_start","message":{"usage":{"input_tokens":25,"cache_creation_input_tokens":10,"cache_creation":{"ephemeral_5m_input_tokens":6,"ephemeral_1h_input_tokens":4},"cache_read_input_tokens":5,"output_tokens":1}}}"#;
    let delta = |counts: &str| {
        format!(r#"{{"type":"message_delta","delta":{{"stop_reason":"end_turn"}},"usage":{{{counts}}}}}"#)
    };
    let first = delta(r#""output_tokens":7"#);
    let last = delta(
        r#""input_tokens":26,"cache_creation_input_tokens":10,"output_tokens":42,"output_tokens_details":{"thinking_tokens":8},"iterations":[{"type":"message","input_tokens":26},{"type":"compaction","input_tokens":100,"output_tokens":3}]"#,
    );
    let events = [start, &first, r#"{"type":"message_delta","delta":{}}"#, &last, r#"{"type":"message_stop"}"#];
    let stream: String = events.iter().map(|data| format!("data: {data}\n\n")).collect();
    let server = Server::start(Answer::sse(&stream)).await;
    let reply = provider(&toml(&server, "")).send(&message(LEAST, true)).await.unwrap();
    let usages: Vec<_> = drain(reply).await.into_iter().map(|event| event.unwrap().usage).collect();
    let so_far =
        Usage { input: 40, cached_input: 5, cache_write: 10, cache_write_1h: 4, output: 7, ..Usage::default() };
    let served = Served { longest_prompt: 100, ..Served::default() };
    let total = Usage { input: 141, output: 45, reasoning: 8, served, ..so_far };
    assert_eq!(usages, [None, Some(so_far), None, Some(total), None]);
}

/// Plays `stream` and returns the text of the failure that ends it.
async fn end_of(stream: &str, breaks: bool) -> String {
    let server = Server::start(Answer { breaks, ..Answer::sse(stream) }).await;
    let reply = provider(&toml(&server, "")).send(&message(LEAST, true)).await.unwrap();
    drain(reply).await.pop().unwrap().unwrap_err().to_string()
}

#[tokio::test]
async fn a_stream_that_does_not_end_well_is_a_failure() {
    let cut = "the provider's answer is not understood: the stream ended before the answer did";
    let begun = STREAM.split_inclusive("\n\n").take(8).collect::<String>();
    let (without_stop, _) = STREAM.split_once("event: message_stop").unwrap();
    assert_eq!(end_of(&begun, false).await, cut);
    assert_eq!(end_of(without_stop, false).await, cut);
    assert_eq!(end_of(&begun, true).await, "the connection broke");
    let error = |kind: &str| {
        format!(
            "{begun}event: error\ndata: {{\"type\":\"error\",\"error\":{{\"type\":\"{kind}\",\"message\":\"m\"}}}}\n\n"
        )
    };
    assert_eq!(end_of(&error("overloaded_error"), false).await, "the provider answered 529");
    assert_eq!(end_of(&error("api_error"), false).await, "the provider answered 500");
    assert_eq!(end_of(&error("rate_limit_error"), false).await, "the provider throttles");
    let html = end_of("data: <html>\n\n", false).await;
    assert!(html.starts_with("the provider's answer is not understood: an event is not Anthropic's"), "{html}");
}

#[tokio::test]
async fn errors_keep_the_words_of_the_provider() {
    let send = async |answer| {
        let server = Server::start(answer).await;
        failure(provider(&toml(&server, "")).send(&message(LEAST, false)).await)
    };
    let long = r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 3 tokens > 2 maximum"}}"#;
    for status in [400, 200] {
        let Failure::Refused { status: 400, refusal } = send(Answer::json(status, long)).await else { panic!() };
        assert_eq!(refusal.message, "prompt is too long: 3 tokens > 2 maximum");
        assert_eq!(refusal.kind.as_deref(), Some("invalid_request_error"));
        assert_eq!(refusal.code.as_deref(), Some("context_length_exceeded"));
    }
    let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    assert!(matches!(send(Answer::json(529, overloaded)).await, Failure::Unavailable { status: 529, .. }));
    for other in [r#"{"choices":[]}"#, r#"{"type":"completion"}"#, "x"] {
        assert!(matches!(send(Answer::json(200, other)).await, Failure::Malformed(_)), "{other}");
    }
}
