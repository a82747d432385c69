//! Answers of chat completions, as clients of Anthropic's API read them.

use serde_json::Value;
use shared::model::provider::{Endpoint, Failure};
use shared::model::tokens::Usage;

use crate::play::{Answer, Server, call, drain, failure, json, lines, provider, same_lines, whole};

const CLIENT: &str = r#"{"model":"chat","max_tokens":9,"messages":[{"role":"user","content":"a"}]}"#;
const REPLY: &str = include_str!("../fixtures/messages/reply.json");
const STREAM: &str = include_str!("../fixtures/messages/stream.sse");

fn toml(server: &Server) -> String {
    format!(
        "[[provider]]\nname = \"it\"\nkind = \"openai\"\nbase_url = \"{}\"\napi_key_env = \"KEY\"\n",
        server.base_url
    )
}

/// The answer to a chat completion.
fn answered(body: &str) -> Answer {
    Answer { pieces: vec![body.to_owned().into()], ..Answer::json(200, "") }
}

/// A whole answer with one choice, as the client gets it.
async fn message(choice: &str) -> Value {
    let server = Server::start(answered(&format!(r#"{{"choices":[{choice}]}}"#))).await;
    json(whole(provider(&toml(&server)).send(&call(Endpoint::Messages, CLIENT, false)).await.unwrap()).body)
}

#[tokio::test]
async fn a_whole_answer_becomes_a_message() {
    let server = Server::start(Answer::json(200, REPLY)).await;
    let whole = whole(provider(&toml(&server)).send(&call(Endpoint::Messages, CLIENT, false)).await.unwrap());
    assert_eq!(whole.body, include_str!("../fixtures/messages/reply-client.json").trim_end());
    let usage = Usage { input: 20, cached_input: 4, cache_write: 3, output: 9, reasoning: 5, ..Usage::default() };
    assert_eq!(whole.usage, Some(usage));
}

#[tokio::test]
async fn the_least_answer_has_everything_that_clients_read() {
    let mut message = message(r#"{"message":{"role":"assistant","content":null},"finish_reason":null}"#).await;
    let id = message["id"].take();
    assert!(id.as_str().unwrap().starts_with("msg_") && id.as_str().unwrap().len() > 10, "{id}");
    let expected = r#"{"id":null,"type":"message","role":"assistant","model":"their-model","content":[],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}"#;
    assert_eq!(message, json(expected));
}

#[tokio::test]
async fn finish_reasons_have_their_stop_reasons() {
    let text = r#""content":"a""#;
    let calls = r#""content":null,"tool_calls":[{"function":{"name":"f","arguments":"{}"}}]"#;
    for (said, finish, expected) in [
        (text, "stop", "end_turn"),
        (text, "length", "max_tokens"),
        (text, "content_filter", "refusal"),
        (calls, "tool_calls", "tool_use"),
        (calls, "stop", "tool_use"),
        (r#""content":null,"refusal":"no""#, "stop", "refusal"),
    ] {
        let message = message(&format!(r#"{{"message":{{{said}}},"finish_reason":"{finish}"}}"#)).await;
        assert_eq!(message["stop_reason"], expected, "{said} {finish}");
    }
}

#[tokio::test]
async fn a_refusal_is_text_and_calls_without_ids_get_some() {
    let refused = message(r#"{"message":{"refusal":"No."},"finish_reason":"stop"}"#).await;
    assert_eq!(refused["content"], json(r#"[{"type":"text","text":"No."}]"#));
    let calls = r#"{"function":{"name":"f","arguments":"{\"a\":1}"}},{"index":0,"id":"","function":{"name":"f","arguments":" "}}"#;
    let called = message(&format!(r#"{{"message":{{"tool_calls":[{calls}]}},"finish_reason":"stop"}}"#)).await;
    let ids = [&called["content"][0]["id"], &called["content"][1]["id"]];
    assert!(ids.iter().all(|id| id.as_str().unwrap().starts_with("toolu_")) && ids[0] != ids[1], "{called}");
    assert_eq!([&called["content"][0]["input"], &called["content"][1]["input"]], [&json(r#"{"a":1}"#), &json("{}")]);
}

#[tokio::test]
async fn arguments_that_are_no_object_are_never_lost() {
    let choice = |finish: &str| {
        format!(
            r#"{{"message":{{"tool_calls":[{{"id":"1","function":{{"name":"f","arguments":"{{\"a\":"}}}}]}},"finish_reason":"{finish}"}}"#
        )
    };
    assert_eq!(message(&choice("content_filter")).await["stop_reason"], "refusal");
    let cut = message(&choice("length")).await;
    let expected = r#"[{"type":"tool_use","id":"1","name":"f","input":{"incomplete_json":"{\"a\":"}}]"#;
    assert_eq!((&cut["content"], &cut["stop_reason"]), (&json(expected), &"max_tokens".into()));
    let server = Server::start(answered(&format!(r#"{{"choices":[{}]}}"#, choice("tool_calls")))).await;
    let failure = failure(provider(&toml(&server)).send(&call(Endpoint::Messages, CLIENT, false)).await);
    assert!(matches!(&failure, Failure::Malformed(reason) if reason.contains("JSON object")), "{failure}");
}

#[tokio::test]
async fn other_answers_are_failures() {
    for (body, expected) in [
        (r#"{"choices":[]}"#, "the provider's answer is not understood: the chat completion has no choice"),
        (r#"{"choices":[{"message":{"content":"a"},"finish_reason":"error"}]}"#, "the provider answered 500"),
        (r#"{"error":{"message":"slow down","code":"rate_limit_exceeded"}}"#, "the provider throttles"),
    ] {
        let server = Server::start(answered(body)).await;
        let failure = failure(provider(&toml(&server)).send(&call(Endpoint::Messages, CLIENT, false)).await);
        assert_eq!(failure.to_string(), expected);
    }
    let parts = r#"{"choices":[{"message":{"content":[{"type":"text","text":"a"}]},"finish_reason":"stop"}]}"#;
    let server = Server::start(answered(parts)).await;
    let failure = failure(provider(&toml(&server)).send(&call(Endpoint::Messages, CLIENT, false)).await);
    assert!(matches!(failure, Failure::Malformed(_)), "{failure}");
}

#[tokio::test]
async fn a_refusal_names_the_member_that_the_client_sent() {
    let refused = r#"{"error":{"message":"bad","type":"invalid_request_error","param":"reasoning_effort","code":"x"}}"#;
    let server = Server::start(Answer::json(400, refused)).await;
    let failure = failure(provider(&toml(&server)).send(&call(Endpoint::Messages, CLIENT, false)).await);
    let Failure::Refused { status: 400, refusal } = failure else { panic!("{failure}") };
    assert_eq!(refusal.param.as_deref(), Some("output_config.effort"));
}

#[tokio::test]
async fn a_stream_becomes_events() {
    let server = Server::start(Answer::sse(STREAM)).await;
    let reply = provider(&toml(&server)).send(&call(Endpoint::Messages, CLIENT, true)).await.unwrap();
    let events = lines(reply).await;
    same_lines(&events, include_str!("../fixtures/messages/stream-client.jsonl"));
    assert!(events.lines().all(|line| line.starts_with("{\"type\":\"")), "{events}");
}

#[tokio::test]
async fn the_usage_of_a_stream_is_reported_once_it_is_known() {
    let server = Server::start(Answer::sse(STREAM)).await;
    let reply = provider(&toml(&server)).send(&call(Endpoint::Messages, CLIENT, true)).await.unwrap();
    let usages: Vec<_> = drain(reply).await.into_iter().filter_map(|event| event.unwrap().usage).collect();
    assert_eq!(usages, [Usage { input: 20, cached_input: 4, output: 9, ..Usage::default() }]);
}

/// The text of the failure that ends a stream of these chunks.
async fn end_of(chunks: &[&str], breaks: bool) -> String {
    let stream: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    let server = Server::start(Answer { breaks, ..Answer::sse(&stream) }).await;
    let reply = provider(&toml(&server)).send(&call(Endpoint::Messages, CLIENT, true)).await.unwrap();
    drain(reply).await.pop().unwrap().unwrap_err().to_string()
}

#[tokio::test]
async fn a_stream_that_does_not_end_well_is_a_failure() {
    let text = r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#;
    let wrong = r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"1","function":{"name":"f","arguments":"[]"}}]}}]}"#;
    let unnamed =
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"1","function":{"arguments":"[]"}}]}}]}"#;
    let stop = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    let error = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"error"}]}"#;
    let cut = "the provider's answer is not understood: the stream ended before the answer did";
    assert_eq!(end_of(&[text], false).await, cut);
    assert_eq!(end_of(&[text], true).await, "the connection broke");
    assert_eq!(end_of(&[text, r#"{"error":{"message":"busy","code":503}}"#], false).await, "the provider answered 503");
    assert_eq!(end_of(&[text, error, "[DONE]"], false).await, "the provider answered 500");
    let malformed = |reason: &str| format!("the provider's answer is not understood: {reason}");
    let no_object = malformed("the arguments of a tool call are no JSON object");
    assert_eq!(end_of(&[wrong, stop, "[DONE]"], false).await, no_object);
    assert_eq!(end_of(&[unnamed, stop], false).await, malformed("a tool call begins without a name"));
}

#[tokio::test]
async fn the_simulator_answers_with_a_message_whole_and_streamed() {
    let simulator = provider("[[provider]]\nname = \"it\"\nkind = \"simulator\"\n");
    let body = r#"{"model":"chat","max_tokens":100,"messages":[{"role":"user","content":"Hello there"}]}"#;
    let answer = whole(simulator.send(&call(Endpoint::Messages, body, false)).await.unwrap());
    let text = json(&answer.body)["content"][0]["text"].clone();
    assert_eq!(text, "This is weir's simulator, not a model. You said: Hello there");
    let events = drain(simulator.send(&call(Endpoint::Messages, body, true)).await.unwrap()).await;
    let events: Vec<Value> = events.into_iter().map(|event| json(event.unwrap().data)).collect();
    let streamed: String = events.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
    assert_eq!(streamed, text);
    assert_eq!(events.last().unwrap()["type"], "message_stop");
}
