//! Anthropic's Messages API: what its clients get, and that a message is a call like every other.

use bytes::Bytes;
use futures_util::future::join_all;
use kit::{Reply, Script, TestApp, send};
use serde_json::{Value, json};
use shared::model::catalog::Catalog;
use shared::model::project::{Limits, Policy};
use shared::model::provider::{Failure, ProviderRefusal};
use std::sync::Arc;

use crate::budget;

const PATH: &str = "/v1/messages";
const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

fn ask(members: Value) -> Value {
    let mut ask = json!({"model": "priced", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]});
    for (name, value) in members.as_object().unwrap() {
        ask[name] = value.clone();
    }
    ask
}

async fn post(app: &TestApp, key: &str, body: &Value) -> Reply {
    send(&app.router(), "POST", PATH, key, &[VERSION, ("anthropic-beta", "a-1,b-2")], body.to_string()).await
}

/// The events of a message that says `Hi`.
fn events() -> Vec<String> {
    [
        json!({"type": "message_start", "message": {"id": "msg_1", "usage": {"input_tokens": 10, "output_tokens": 1}}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}}),
        json!({"type": "message_stop"}),
    ]
    .map(|event| event.to_string())
    .into()
}

#[tokio::test]
async fn a_message_passes_as_it_is_and_only_known_headers_are_passed_on() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    let answer = r#"{"id":"msg_1","type":"message","content":[{"type":"text","text":"Hi"}]}"#;
    app.first.then(Script::Body(Bytes::from_static(answer.as_bytes())));
    let body = ask(json!({"thinking": {"type": "adaptive"}, "context_management": {"edits": []}}));
    let reply = post(&app, &key, &body).await;
    assert_eq!((reply.status, reply.text()), (200, answer));
    assert!(
        reply.header("request-id").starts_with("req_") && reply.header("request-id") == reply.header("x-request-id")
    );
    let sent = app.first.calls().pop().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&sent.body.to_bytes()).unwrap(), body);
    let passed = [("anthropic-version", "2023-06-01".to_owned()), ("anthropic-beta", "a-1,b-2".to_owned())];
    assert_eq!(sent.headers, passed);
    // A body without a usage is charged in full: 100 tokens of output at 2 micro-dollars, and what the input can have.
    let (spent, held) = app.books(&project).await;
    assert!(spent > 200 && held == 0, "{spent}");
}

#[tokio::test]
async fn the_events_of_a_stream_have_names() {
    let app = TestApp::new().await;
    let (_, key) = app.project(budget(1.0), Policy::default()).await;
    app.first.then(Script::Chunks(events()));
    let reply = post(&app, &key, &ask(json!({"stream": true}))).await;
    let named: String = events()
        .iter()
        .map(|event| {
            let read: Value = serde_json::from_str(event).unwrap();
            format!("event: {}\ndata: {event}\n\n", read["type"].as_str().unwrap())
        })
        .collect();
    assert_eq!((reply.status, reply.text()), (200, named.as_str()));
}

#[tokio::test]
async fn a_key_makes_one_message_and_a_repetition_gets_its_bytes() {
    let app = TestApp::new().await;
    let (_, key) = app.project(budget(1.0), Policy::default()).await;
    app.first.then(Script::Chunks(events()));
    let body = ask(json!({"stream": true})).to_string();
    let send =
        async || send(&app.router(), "POST", PATH, &key, &[VERSION, ("idempotency-key", "k")], body.clone()).await;
    let (first, again) = (send().await, send().await);
    assert_eq!((first.body, again.header("idempotent-replayed")), (again.body.clone(), "true"));
    assert_eq!(app.first.call_count(), 1);
}

#[tokio::test]
async fn a_stream_that_breaks_ends_with_an_error_event() {
    let app = TestApp::new().await;
    let (_, key) = app.project(budget(1.0), Policy::default()).await;
    app.first.then(Script::broken("one two three", 2));
    let reply = post(&app, &key, &ask(json!({"stream": true}))).await;
    let last = reply.text().split_terminator("\n\n").last().unwrap();
    let data: Value = serde_json::from_str(last.strip_prefix("event: error\ndata: ").unwrap()).unwrap();
    assert_eq!((&data["type"], &data["error"]["type"]), (&json!("error"), &json!("api_error")));
}

/// The status and Anthropic's envelope: type, message and code.
fn told(reply: &Reply) -> (u16, String, String) {
    let body = reply.json();
    assert_eq!((body["type"].as_str(), body["request_id"].as_str()), (Some("error"), Some(reply.header("request-id"))));
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    (reply.status, text("/error/type"), text("/error/details/error_code"))
}

#[tokio::test]
async fn errors_have_anthropics_envelope() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits { requests_per_minute: Some(4), ..budget(1.0) }, Policy::default()).await;
    for (body, expected) in [
        (json!({"model": "priced", "messages": []}), (400, "invalid_request_error", "invalid_type")),
        (ask(json!({"model": "nothing"})), (404, "not_found_error", "model_not_found")),
        (ask(json!({"thread": {"type": "create"}})), (400, "invalid_request_error", "thread_unsupported_request")),
        (ask(json!({"mcp_servers": [{}]})), (200, "", "")),
        (ask(json!({"model": "unpriced"})), (400, "invalid_request_error", "model_not_priced")),
    ] {
        let reply = post(&app, &key, &body).await;
        if expected.0 == 200 {
            assert_eq!(reply.status, 200, "{}", reply.text());
            continue;
        }
        let (status, kind, code) = told(&reply);
        assert_eq!((status, kind.as_str(), code.as_str()), expected, "{body}");
    }
    let wrong_key = post(&app, "sk-weir-wrong", &ask(json!({}))).await;
    assert_eq!(told(&wrong_key), (401, "authentication_error".to_owned(), "invalid_api_key".to_owned()));
    let wrong_method = send(&app.router(), "GET", PATH, &key, &[], "").await;
    assert_eq!(told(&wrong_method).0, 405);
    let unknown = send(&app.router(), "POST", "/v1/messages/batches", &key, &[], "{}").await;
    assert_eq!(told(&unknown), (404, "not_found_error".to_owned(), "unknown_url".to_owned()));
    let in_openais = send(&app.router(), "POST", "/v1/chat/completions", &key, &[], "{}").await;
    assert_eq!(in_openais.json()["error"]["param"], "model");
}

#[tokio::test]
async fn a_prompt_that_is_too_long_is_told_in_the_words_that_claude_code_reads() {
    fn refused() -> Failure {
        let message =
            "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens.".to_owned();
        let code = Some("context_length_exceeded".to_owned());
        Failure::Refused { status: 400, refusal: ProviderRefusal { message, code, ..ProviderRefusal::default() } }
    }
    let app = TestApp::new().await;
    let (_, key) = app.project(budget(1.0), Policy::default()).await;
    app.first.always(Script::Fail(refused));
    let reply = post(&app, &key, &ask(json!({}))).await;
    let expected = (400, "invalid_request_error".to_owned(), "context_length_exceeded".to_owned());
    assert_eq!(told(&reply), expected);
    let message = reply.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("prompt is too long: 9000 tokens > 8192 maximum. This model's"), "{message}");
}

#[tokio::test]
async fn a_spent_budget_is_told_so_that_claude_code_stops() {
    let app = TestApp::new().await;
    let (_, key) = app.project(budget(0.000_01), Policy::default()).await;
    let reply = post(&app, &key, &ask(json!({}))).await;
    assert_eq!(told(&reply), (429, "billing_error".to_owned(), "budget_exceeded".to_owned()));
    for (name, value) in [
        ("x-should-retry", "false"),
        ("anthropic-ratelimit-unified-status", "rejected"),
        ("anthropic-ratelimit-unified-overage-disabled-reason", "org_spend_cap_reached"),
    ] {
        assert_eq!(reply.header(name), value, "{name}");
    }
    assert!(reply.header("retry-after").parse::<u64>().is_ok());
    assert!(reply.header("anthropic-ratelimit-unified-reset").parse::<u64>().is_ok());
    assert_eq!(app.first.call_count(), 0);
}

#[tokio::test]
async fn who_waits_for_a_call_that_is_refused_for_a_spent_budget_is_told_the_same() {
    let app = TestApp::new().await;
    let (_, key) = app.project(budget(0.000_01), Policy::default()).await;
    let (router, body) = (app.router(), ask(json!({})).to_string());
    let post = || send(&router, "POST", PATH, &key, &[VERSION, ("idempotency-key", "k")], body.clone());
    for reply in join_all((0..4).map(|_| post())).await {
        assert_eq!(told(&reply), (429, "billing_error".to_owned(), "budget_exceeded".to_owned()));
        assert_eq!(
            (reply.header("x-should-retry"), reply.header("anthropic-ratelimit-unified-status")),
            ("false", "rejected")
        );
    }
}

#[tokio::test]
async fn rate_limits_are_told_in_anthropics_headers() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits { requests_per_minute: Some(1), ..Limits::default() }, Policy::default()).await;
    let (first, second) = (post(&app, &key, &ask(json!({}))).await, post(&app, &key, &ask(json!({}))).await);
    assert_eq!((first.status, second.status), (200, 429));
    for reply in [&first, &second] {
        assert_eq!(reply.header("anthropic-ratelimit-requests-limit"), "1");
        assert_eq!(reply.header("anthropic-ratelimit-requests-remaining"), "0");
        assert!(reply.header("anthropic-ratelimit-requests-reset").ends_with('Z'));
    }
    assert_eq!(told(&second).1, "rate_limit_error");
}

#[tokio::test]
async fn a_key_may_come_in_anthropics_header() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let body = ask(json!({})).to_string();
    let reply = send(&app.router(), "POST", PATH, "", &[("x-api-key", &key)], body.clone()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let reply = send(&app.router(), "POST", PATH, "", &[("x-api-key", "sk-weir-wrong")], body).await;
    assert_eq!(told(&reply).0, 401);
}

#[tokio::test]
async fn tokens_are_counted_and_models_listed_in_anthropics_shape() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    let count = async |body: Value| {
        send(&router, "POST", "/v1/messages/count_tokens", &key, &[VERSION], body.to_string()).await
    };
    let hello = json!({"model": "priced", "messages": [{"role": "user", "content": "Hello there"}]});
    assert_eq!(count(hello).await.json(), json!({"input_tokens": 6}));
    assert_eq!(told(&count(json!({"model": "nothing", "messages": []})).await).0, 404);
    let list = async |query: &str| send(&router, "GET", &format!("/v1/models{query}"), &key, &[VERSION], "").await;
    let all = list("").await.json();
    let ids: Vec<&str> = all["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert!(ids.contains(&"priced") && !ids.contains(&"embedding"), "{all}");
    assert_eq!((&all["has_more"], &all["first_id"]), (&json!(false), &json!(ids[0])));
    let page = list(&format!("?limit=1&after_id={}", ids[0])).await.json();
    assert_eq!((&page["data"][0]["id"], &page["has_more"]), (&json!(ids[1]), &json!(ids.len() > 2)));
    let before = list(&format!("?limit=1&before_id={}", ids[1])).await.json();
    assert_eq!((&before["data"][0]["id"], &before["has_more"]), (&json!(ids[0]), &json!(false)));
    for wrong in ["?limit=0", "?limit=1001", "?after_id=nothing"] {
        assert_eq!(told(&list(wrong).await).0, 400, "{wrong}");
    }
    let one = send(&router, "GET", "/v1/models/priced", &key, &[VERSION], "").await.json();
    assert_eq!((&one["type"], &one["id"]), (&json!("model"), &json!("priced")));
}

/// A provider with this API gets unknown members as they are: where a budget pays, they must cost nothing more.
#[tokio::test]
async fn where_a_budget_pays_a_message_may_cost_its_tokens_only() {
    const MODELS: &str = r#"
        [[provider]]
        name = "first"
        kind = "anthropic"
        allow_members = ["tools.web_fetch_20250910"]
        [[model]]
        name = "priced"
        kind = "chat"
        price = { input = 1, output = 2, cache_write = 3, cache_write_1h = 5 }
        context_tokens = 9000
        max_output_tokens = 100
        targets = [{ provider = "first", model = "a" }]
    "#;
    let app = TestApp::builder().models(Arc::new(Catalog::parse(MODELS).unwrap())).build().await;
    let (_, paid) = app.project(budget(1.0), Policy::default()).await;
    let (_, free) = app.project(Limits::default(), Policy::default()).await;
    let text = |ttl: &str| json!([{"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": ttl}}]);
    for (members, status) in [
        (
            json!({"tools": [{"name": "f", "input_schema": {"type": "object"}}, {"type": "bash_20250124", "name": "bash"}]}),
            200,
        ),
        (json!({"system": text("1h"), "speed": "standard", "service_tier": "auto"}), 200),
        (json!({"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]}), 200),
        (json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}), 400),
        (json!({"mcp_servers": [{"type": "url", "url": "https://a"}]}), 400),
        (json!({"speed": "fast"}), 400),
        (json!({"inference_geo": "us"}), 400),
        (json!({"container": "c"}), 400),
        (json!({"system": text("2d")}), 400),
    ] {
        let body = ask(members);
        assert_eq!(post(&app, &paid, &body).await.status, status, "{body}");
        assert_eq!(post(&app, &free, &body).await.status, 200, "{body}");
    }
}

#[tokio::test]
async fn a_quote_is_what_the_message_then_reserves() {
    let app = TestApp::new().await;
    let (_, key) = app.project(budget(1.0), Policy::default()).await;
    let quote = send(&app.router(), "POST", "/v1/quote", &key, &[VERSION], ask(json!({})).to_string()).await.json();
    assert_eq!((&quote["endpoint"], &quote["max_output_tokens"]), (&json!("/v1/messages"), &json!(100)), "{quote}");
}
