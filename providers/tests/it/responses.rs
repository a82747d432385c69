//! Chat calls as requests of the Responses API.

use serde_json::{Value, json};
use shared::model::provider::{Endpoint, Failure, ProviderRequest};
use shared::model::tokens::{Label, Served, Usage};

use crate::play::{Answer, Server, call, drain, failure, json, lines, provider, same_lines, whole};

const CLIENT: &str = include_str!("../fixtures/responses/request-client.json");
const REPLY: &str = include_str!("../fixtures/responses/reply.json");
const STREAM: &str = include_str!("../fixtures/responses/stream.sse");

fn toml(server: &Server, options: &str) -> String {
    let url = &server.base_url;
    format!(
        "[[provider]]\nname = \"it\"\nkind = \"openai\"\nbase_url = \"{url}\"\napi_key_env = \"KEY\"\npreset = \"openai\"\nresponses = \"native\"\n{options}\n"
    )
}

fn chat(members: Value, stream: bool) -> ProviderRequest {
    let mut body = json!({"model": "chat", "messages": [{"role": "user", "content": "hi"}]});
    for (name, value) in members.as_object().unwrap() {
        body[name] = value.clone();
    }
    call(Endpoint::ChatCompletions, &body.to_string(), stream)
}

/// The text without the mark of the model that wrote the reasoning.
fn unmarked(text: &str) -> String {
    let Some((_, rest)) = text.split_once("weir:1:") else { return text.to_owned() };
    let mark = format!("weir:1:{}:", rest.split(':').next().unwrap());
    text.replace(&mark, "{M}")
}

fn usage() -> Usage {
    let served = Served { tier: Label::new("flex"), ..Served::default() };
    Usage { input: 20, cached_input: 4, cache_write: 3, output: 9, reasoning: 5, served, ..Usage::default() }
}

#[tokio::test]
async fn a_chat_call_becomes_a_request_for_a_response() {
    let server = Server::start(Answer::sse(STREAM)).await;
    provider(&toml(&server, "")).send(&call(Endpoint::ChatCompletions, CLIENT, true)).await.unwrap();
    let got = server.got();
    assert_eq!(got.path, "/v1/responses");
    assert_eq!(got.header("authorization"), Some("Bearer sk-provider"));
    let expected = json(include_str!("../fixtures/responses/request-provider.json"));
    assert_eq!(got.json(), expected, "{:#}", got.json());
    // Numbers keep their text.
    assert!(String::from_utf8_lossy(&got.body).contains("\"minimum\": 1.0"));
}

#[tokio::test]
async fn a_whole_response_becomes_a_chat_completion() {
    let server = Server::start(Answer::json(200, REPLY)).await;
    let reply = whole(provider(&toml(&server, "")).send(&chat(json!({}), false)).await.unwrap());
    let told = unmarked(std::str::from_utf8(&reply.body).unwrap());
    assert_eq!(json(&told), json(include_str!("../fixtures/responses/reply-client.json")), "{told}");
    assert_eq!(reply.usage, Some(usage()));
    assert_eq!(server.got().json().get("stream"), None);
}

#[tokio::test]
async fn a_stream_of_a_response_becomes_chunks() {
    let server = Server::start(Answer::sse(STREAM)).await;
    let reply = provider(&toml(&server, "")).send(&chat(json!({}), true)).await.unwrap();
    let told = unmarked(&lines(reply).await);
    same_lines(&told, include_str!("../fixtures/responses/stream-client.jsonl"));
    let reply = provider(&toml(&server, "")).send(&chat(json!({}), true)).await.unwrap();
    assert_eq!(drain(reply).await.last().unwrap().as_ref().unwrap().usage, Some(usage()));
}

/// The model wants each piece of reasoning in front of what it led to.
#[tokio::test]
async fn reasoning_comes_back_to_its_place_and_to_its_model_only() {
    let server = Server::start(Answer::json(200, REPLY)).await;
    let reply = whole(provider(&toml(&server, "")).send(&chat(json!({}), false)).await.unwrap());
    let message = json(&reply.body)["choices"][0]["message"].clone();
    let output = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "x"});
    let turn = json!({"messages": [{"role": "user", "content": "hi"}, message, output("call_1"), output("call_2")]});
    provider(&toml(&server, "")).send(&chat(turn.clone(), false)).await.unwrap();
    let summary = |text: &str| json!({"type": "summary_text", "text": text});
    let first = json!({"type": "reasoning", "id": "rs_1", "summary": [summary("**Looking**"), summary("It is a cat.")], "encrypted_content": "ZW5j"});
    let second = json!({"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "bW9yZQ=="});
    let sent = server.got().json()["input"].clone();
    assert_eq!((&sent[1], &sent[3]), (&first, &second), "{sent:#}");
    assert_eq!((&sent[2]["content"], &sent[4]["call_id"]), (&json!("A cat."), &json!("call_1")));
    assert_eq!((&sent[5]["type"], &sent[7]["type"]), (&json!("custom_tool_call"), &json!("custom_tool_call_output")));

    let other = ProviderRequest { model: "other".to_owned(), ..chat(turn.clone(), false) };
    provider(&toml(&server, "")).send(&other).await.unwrap();
    assert!(!String::from_utf8_lossy(&server.got().body).contains("\"reasoning\""));
    // The chat completions of the same provider do not know it either.
    let plain = toml(&server, "").replace("responses = \"native\"", "");
    provider(&plain).send(&chat(turn, false)).await.unwrap();
    assert!(!String::from_utf8_lossy(&server.got().body).contains("reasoning"));
}

#[tokio::test]
async fn thoughts_that_are_a_text_go_to_providers_that_take_them() {
    let server = Server::start(Answer::json(200, REPLY)).await;
    let message = json!({"role": "assistant", "reasoning_content": "Hm.", "content": "a"});
    let turn = json!({"messages": [message, {"role": "user", "content": "b"}]});
    provider(&toml(&server, "reasoning_in = \"reasoning_content\"")).send(&chat(turn.clone(), false)).await.unwrap();
    let shown = json!({"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]});
    assert_eq!(server.got().json()["input"][0], shown);
    provider(&toml(&server, "")).send(&chat(turn, false)).await.unwrap();
    assert_eq!(server.got().json()["input"][0]["type"], "message");
}

#[tokio::test]
async fn what_the_responses_api_does_not_have_is_named() {
    let server = Server::start(Answer::json(200, REPLY)).await;
    for (members, param) in [
        (json!({"n": 2}), "n"),
        (json!({"stop": ["a"]}), "stop"),
        (json!({"logit_bias": {"1": 2}}), "logit_bias"),
        (json!({"presence_penalty": 0.5}), "presence_penalty"),
        (json!({"audio": {"voice": "a"}}), "audio"),
        (json!({"previous_response_id": "resp_1"}), "previous_response_id"),
        (json!({"background": true}), "background"),
        (json!({"max_tokens": 5}), "max_tokens"),
        (json!({"messages": [{"role": "function", "name": "f", "content": "x"}]}), "messages[0].role"),
        (json!({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}), "messages[0].content[0]"),
    ] {
        let failed = failure(provider(&toml(&server, "")).send(&chat(members.clone(), false)).await);
        let Failure::Unsupported { param: Some(named), .. } = failed else { panic!("{members}: {failed}") };
        assert_eq!(named, param);
    }
    let nothing = json!({"n": 1, "stop": [], "logit_bias": {}, "presence_penalty": 0, "modalities": ["text"], "background": false});
    provider(&toml(&server, "")).send(&chat(nothing, false)).await.unwrap();
    assert_eq!(
        server.got().json(),
        json!({"model": "their-model", "input": [{"type": "message", "role": "user", "content": "hi"}], "include": ["reasoning.encrypted_content"], "store": false})
    );
}

#[tokio::test]
async fn a_refusal_names_the_member_of_the_chat_call() {
    for (param, expected) in [("max_output_tokens", "max_completion_tokens"), ("input[2].content", "messages")] {
        let body = json!({"error": {"message": "no", "type": "invalid_request_error", "param": param, "code": null}});
        let server = Server::start(Answer::json(400, body.to_string().leak())).await;
        let failed = failure(provider(&toml(&server, "")).send(&chat(json!({}), false)).await);
        let Failure::Refused { status: 400, refusal } = failed else { panic!("{failed}") };
        assert_eq!(refusal.param.as_deref(), Some(expected));
    }
}

/// Models without reasoning refuse to encrypt it.
#[tokio::test]
async fn a_model_without_reasoning_is_asked_without_its_encryption() {
    let body = r#"{"error":{"message":"Encrypted content is not supported with this model.","type":"invalid_request_error","param":"include","code":null}}"#;
    let server = Server::start(Answer::json(400, body)).await;
    let failed = failure(provider(&toml(&server, "")).send(&chat(json!({}), false)).await);
    assert!(matches!(failed, Failure::Refused { status: 400, .. }), "{failed}");
    assert_eq!(server.got().json().get("include"), None);
}

#[tokio::test]
async fn reasoning_that_cannot_be_read_does_not_end_the_encryption() {
    let body = r#"{"error":{"message":"The encrypted content gAAA could not be verified.","type":"invalid_request_error","param":null,"code":"invalid_encrypted_content"}}"#;
    let server = Server::start(Answer::json(400, body)).await;
    let failed = failure(provider(&toml(&server, "")).send(&chat(json!({}), false)).await);
    assert!(matches!(failed, Failure::Refused { status: 400, .. }), "{failed}");
    assert_eq!(server.got().json()["include"], json!(["reasoning.encrypted_content"]));
}

fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

/// The failure that ends a stream of these events, and the chunks before it.
async fn broken(events: &[Value]) -> (usize, Failure) {
    let text: String = events.iter().map(event).collect();
    let server = Server::start(Answer::sse(&text)).await;
    let mut told = drain(provider(&toml(&server, "")).send(&chat(json!({}), true)).await.unwrap()).await;
    let last = told.pop().unwrap().unwrap_err();
    assert!(told.iter().all(Result::is_ok));
    (told.len(), last)
}

fn failed(code: &str) -> Value {
    json!({"type": "response.failed", "response": {"status": "failed", "error": {"code": code, "message": "m"}}})
}

#[tokio::test]
async fn a_response_that_fails_is_a_failure() {
    let created = json!({"type": "response.created", "response": {"id": "resp_1"}});
    let item = json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning"}});
    for (events, expected) in [
        (vec![created.clone(), item, failed("server_error")], "the provider answered 500"),
        (vec![failed("rate_limit_exceeded")], "the provider throttles"),
        (vec![failed("server_is_overloaded")], "the provider answered 529"),
        (vec![failed("invalid_prompt")], "the provider refused with 400: m"),
        (vec![failed("image_too_large")], "the provider refused with 400: m"),
        (vec![failed("context_length_exceeded")], "the provider refused with 400: m"),
        (vec![json!({"type": "response.failed", "response": {"error": null}})], "the provider answered 500"),
        (
            vec![json!({"type": "error", "code": "rate_limit_exceeded", "message": "m", "param": null})],
            "the provider throttles",
        ),
        (
            vec![json!({"type": "error", "error": {"type": "invalid_request_error", "message": "m"}})],
            "the provider refused with 400: m",
        ),
        (vec![json!({"type": "error", "message": null})], "the provider answered 500"),
        (vec![created], "the provider's answer is not understood: the stream ended before the response did"),
        (
            vec![json!({"type": "response.completed"})],
            "the provider's answer is not understood: `response.completed` has no response",
        ),
        (
            vec![json!({"type": "response.output_item.added", "item": {"type": "function_call", "call_id": "a"}})],
            "the provider's answer is not understood: a tool call begins without a name",
        ),
        (
            vec![json!({"type": "response.function_call_arguments.delta", "delta": "{"})],
            "the provider's answer is not understood: arguments came for no tool call",
        ),
    ] {
        let (before, failure) = broken(&events).await;
        assert_eq!((before, failure.to_string()), (0, expected.to_owned()), "{events:?}");
    }
    // Behind the first text, the failure ends the stream.
    let text = json!({"type": "response.output_text.delta", "output_index": 0, "delta": "a"});
    let (before, failure) = broken(&[text.clone(), failed("server_error")]).await;
    assert_eq!((before, failure.to_string()), (2, "the provider answered 500".to_owned()));
    let (before, _) = broken(&[text]).await;
    assert_eq!(before, 2);
}

#[tokio::test]
async fn a_whole_response_that_failed_is_a_failure() {
    for (body, expected) in [
        (
            r#"{"status":"failed","output":[],"error":{"code":"server_error","message":"m"}}"#,
            "the provider answered 500",
        ),
        (r#"{"error":{"code":"rate_limit_exceeded","message":"m"}}"#, "the provider throttles"),
        (
            r#"{"status":"queued","output":[]}"#,
            "the provider's answer is not understood: the response ended with the status `queued`",
        ),
        (r#"{"choices":[]}"#, "the provider's answer is not understood: the response has no output"),
    ] {
        let server = Server::start(Answer::json(200, body)).await;
        let failed = failure(provider(&toml(&server, "")).send(&chat(json!({}), false)).await);
        assert_eq!(failed.to_string(), expected);
    }
}

/// The last chunk with a choice of a stream of these events, and all its text.
async fn end(events: &[Value]) -> (Value, String) {
    let text: String = events.iter().map(event).collect();
    let server = Server::start(Answer::sse(&text)).await;
    let told = lines(provider(&toml(&server, "")).send(&chat(json!({}), true)).await.unwrap()).await;
    let chunks: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let text = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    let last = chunks.iter().rfind(|chunk| chunk["choices"][0].is_object()).unwrap();
    (last["choices"][0]["finish_reason"].clone(), text)
}

#[tokio::test]
async fn a_response_that_is_cut_off_says_why() {
    let text = json!({"type": "response.output_text.delta", "output_index": 0, "delta": "a"});
    for (reason, expected) in
        [("max_output_tokens", "length"), ("content_filter", "content_filter"), ("other", "length")]
    {
        let last = json!({"type": "response.incomplete", "response": {"status": "incomplete", "incomplete_details": {"reason": reason}}});
        assert_eq!(end(&[text.clone(), last]).await, (json!(expected), "a".to_owned()));
    }
}

/// Some servers send fewer events, or no names of events in the data.
#[tokio::test]
async fn what_no_event_told_is_read_from_the_item_or_the_response() {
    let part = json!({"type": "output_text", "text": "whole"});
    let item = json!({"type": "message", "content": [part]});
    let done = json!({"type": "response.output_item.done", "output_index": 0, "item": item});
    let completed = |output: Value| json!({"type": "response.completed", "response": {"output": output}});
    assert_eq!(end(&[done.clone(), completed(json!([item]))]).await, (json!("stop"), "whole".to_owned()));
    assert_eq!(end(&[completed(json!([item]))]).await, (json!("stop"), "whole".to_owned()));
    let called = json!({"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"});
    assert_eq!(end(&[completed(json!([called]))]).await, (json!("tool_calls"), String::new()));
    assert_eq!(end(&[completed(json!([]))]).await, (json!("stop"), String::new()));
    // What is not read may have any shape.
    let searched = json!({"type": "tool_search_call", "arguments": {"a": 1}, "input": 1});
    let added = json!({"type": "response.output_item.added", "output_index": 1, "item": searched});
    let piece =
        json!({"type": "response.shell_call_output_content.delta", "output_index": 1, "delta": {"stdout": "x"}});
    assert_eq!(end(&[done, added, piece, completed(json!([searched]))]).await, (json!("stop"), "whole".to_owned()));
}

#[tokio::test]
async fn other_endpoints_stay_as_they_are() {
    let server = Server::start(Answer::json(200, r#"{"data":[],"usage":{"prompt_tokens":1}}"#)).await;
    provider(&toml(&server, "")).send(&call(Endpoint::Embeddings, r#"{"input":"a"}"#, false)).await.unwrap();
    assert_eq!(server.got().path, "/v1/embeddings");
}
