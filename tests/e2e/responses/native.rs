//! Responses at a provider that has the Responses API.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use bytes::Bytes;
use kit::{TestApp, send};
use serde_json::{Value, json};
use shared::app::ServedModels;
use shared::model::catalog::Catalog;
use shared::model::clock::Clock;
use shared::model::keys::FixedKey;
use shared::model::project::{Policy, Project};
use shared::model::secret::Secret;

use super::{PATH, events, streamed_text};
use crate::budget;
use crate::jobs::Jobs;

const REPLY: &str = include_str!("../../../providers/tests/fixtures/responses/reply.json");
const STREAM: &str = include_str!("../../../providers/tests/fixtures/responses/stream.sse");

/// What models without reasoning answer.
const REFUSAL: &str = r#"{"error":{"message":"Encrypted content is not supported with this model.","type":"invalid_request_error","param":"include","code":null}}"#;

type Got = Arc<Mutex<Vec<Value>>>;

async fn answer(State(got): State<Got>, body: Bytes) -> impl IntoResponse {
    let request: Value = serde_json::from_slice(&body).unwrap();
    let (is_stream, has_tools) = (request["stream"] == true, request.get("tools").is_some());
    let is_refused = request["model"] == "plain" && request.get("include").is_some();
    got.lock().unwrap().push(request);
    if is_refused {
        return (StatusCode::BAD_REQUEST, [(CONTENT_TYPE, "application/json")], REFUSAL.to_owned());
    }
    let mut reply: Value = serde_json::from_str(REPLY).unwrap();
    if !has_tools {
        reply["output"].as_array_mut().unwrap().retain(|item| item["type"] != "custom_tool_call");
    }
    match is_stream {
        true => (StatusCode::OK, [(CONTENT_TYPE, "text/event-stream")], STREAM.to_owned()),
        false => (StatusCode::OK, [(CONTENT_TYPE, "application/json")], reply.to_string()),
    }
}

const PRICE: &str = "input = 1.0, cached_input = 0.5, output = 2.0, reasoning = 3.0";

struct Native {
    app: TestApp,
    project: Project,
    key: String,
    got: Got,
}

impl Native {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let got = Got::default();
        let router = Router::new().fallback(answer).with_state(got.clone());
        #[expect(clippy::disallowed_methods, reason = "the provider is another process")]
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let model = |name: &str, theirs: &str| {
            format!(
                "[[model]]\nname = \"{name}\"\nkind = \"chat\"\nprice = {{ {PRICE}, tiers = {{ flex = {{ {PRICE} }} }} }}\n\
                 context_tokens = 128000\nmax_output_tokens = 4096\ntargets = [{{ provider = \"p\", model = \"{theirs}\" }}]\n"
            )
        };
        let provider = format!(
            "[[provider]]\nname = \"p\"\nkind = \"openai\"\nbase_url = \"http://{address}/v1\"\npreset = \"openai\"\nresponses = \"native\"\n"
        );
        let text = provider + &model("m", "theirs") + &model("n", "plain");
        let catalog = Catalog::parse(&text).unwrap();
        let make = providers::connect(Arc::new(FixedKey(Secret::new("k"))), &Clock::system());
        let providers = ServedModels::connect(catalog.clone(), &make, None).providers;
        let app = TestApp::builder().models(Arc::new(catalog)).providers(providers).build().await;
        let (project, key) = app.project(budget(1.0), Policy::default()).await;
        Self { app, project, key, got }
    }

    async fn ask(&self, members: Value) -> kit::Reply {
        let mut body = json!({"model": "m", "max_output_tokens": 100, "service_tier": "flex", "tools": tools()});
        for (name, value) in members.as_object().unwrap() {
            body[name] = value.clone();
        }
        send(&self.app.router(), "POST", PATH, &self.key, &[], body.to_string()).await
    }

    fn got(&self) -> Value {
        self.got.lock().unwrap().last().unwrap().clone()
    }
}

fn tools() -> Value {
    let patch = json!({"type": "custom", "name": "patch", "format": {"type": "grammar", "syntax": "lark", "definition": "start: \"a\""}});
    json!([{"type": "function", "name": "look", "parameters": {"type": "object"}}, patch, {"type": "web_search"}])
}

/// 16 tokens of input at 1 micro-dollar, 4 from the cache at 0.5, 4 of output at 2, and 5 thoughts at 3.
const COST: u64 = 16 + 2 + 8 + 15;

#[tokio::test]
async fn a_response_keeps_what_chat_completions_cannot_carry() {
    let native = Native::start().await;
    let asked = json!({"input": "What is this?", "stream": true, "reasoning": {"effort": "high", "summary": "auto"}, "text": {"verbosity": "low"}});
    let stream = native.ask(asked).await;
    let sent = native.got();
    assert_eq!((&sent["store"], &sent["include"]), (&json!(false), &json!(["reasoning.encrypted_content"])));
    assert_eq!(sent["reasoning"], json!({"effort": "high", "summary": "auto"}));
    assert_eq!((&sent["text"]["verbosity"], &sent["max_output_tokens"]), (&json!("low"), &json!(100)));
    assert_eq!(sent["tools"][1]["format"], tools()[1]["format"]);
    assert_eq!(sent["tools"].as_array().unwrap().len(), 2);

    let told = events(stream.text(), 0);
    assert_eq!(streamed_text(&told), "A 🐱.");
    let names: Vec<&str> = told.iter().filter_map(|event| event["type"].as_str()).collect();
    for name in ["response.reasoning_summary_part.added", "response.custom_tool_call_input.done"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let response = &told.last().unwrap()["response"];
    assert_eq!((&response["status"], &response["service_tier"]), (&json!("completed"), &json!("flex")));
    let output = response["output"].as_array().unwrap();
    let kinds: Vec<&str> = output.iter().filter_map(|item| item["type"].as_str()).collect();
    assert_eq!(kinds, ["reasoning", "message", "reasoning", "function_call", "custom_tool_call"]);
    let summary = |text: &str| json!({"type": "summary_text", "text": text});
    assert_eq!(output[0]["summary"], json!([summary("**Looking**"), summary("It is a cat.")]));
    // Ids are weir's. Clients cannot read what only the model can.
    let made = response["id"].as_str().unwrap().replacen("resp_", "", 1);
    assert!(output.iter().all(|item| item["id"].as_str().unwrap().contains(&made)), "{output:?}");
    assert!(!stream.text().contains("rs_1") && !stream.text().contains("resp_1"));
    assert_eq!(native.app.books(&native.project).await, (COST, 0));
}

#[tokio::test]
async fn the_next_turn_gives_the_model_its_reasoning_back() {
    let native = Native::start().await;
    let first = native.ask(json!({"input": "What is this?"})).await.json();
    let output = |kind: &str, id: &str| json!({"type": format!("{kind}_output"), "call_id": id, "output": "x"});
    let outputs = json!([output("function_call", "call_1"), output("custom_tool_call", "call_2")]);
    let next = native.ask(json!({"input": outputs, "previous_response_id": first["id"]})).await;
    assert_eq!(next.status, 200, "{}", next.text());
    let input = native.got()["input"].clone();
    let kinds: Vec<&str> = input.as_array().unwrap().iter().filter_map(|item| item["type"].as_str()).collect();
    let expected = [
        "message",
        "reasoning",
        "message",
        "reasoning",
        "function_call",
        "custom_tool_call",
        "function_call_output",
        "custom_tool_call_output",
    ];
    assert_eq!(kinds, expected, "{input:#}");
    assert_eq!((&input[1]["encrypted_content"], &input[3]["encrypted_content"]), (&json!("ZW5j"), &json!("bW9yZQ==")));
    assert_eq!(native.app.books(&native.project).await, (2 * COST, 0));
}

#[tokio::test]
async fn chat_completions_and_messages_reach_models_that_only_responses_have() {
    let native = Native::start().await;
    let ask = json!({"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "What is this?"}]});
    for (path, text) in [("/v1/chat/completions", "/choices/0/message/content"), ("/v1/messages", "/content/1/text")] {
        let reply = send(&native.app.router(), "POST", path, &native.key, &[], ask.to_string()).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(reply.json().pointer(text).is_some_and(|text| text == "A cat."), "{path}: {}", reply.text());
        assert_eq!(native.got()["max_output_tokens"], 100);
    }
    let (_, held) = native.app.books(&native.project).await;
    assert_eq!(held, 0);
}

#[tokio::test]
async fn a_background_response_is_made_paid_and_followed() {
    let Native { app, got, .. } = Native::start().await;
    let jobs = Jobs::of(app, budget(1.0)).await;
    let body = json!({"model": "m", "input": "What is this?", "background": true, "max_output_tokens": 100, "service_tier": "flex", "tools": tools()});
    let queued = jobs.post(&body, &[]).await;
    assert_eq!((queued.status, queued.json()["status"].as_str()), (200, Some("queued")), "{}", queued.text());
    let id = queued.json()["id"].as_str().unwrap().to_owned();
    jobs.settle().await;
    let made = jobs.ended(&id, "completed").await;
    assert_eq!(made["output"][0]["summary"][1]["text"], "It is a cat.");
    assert_eq!(jobs.books().await, (COST, 0));
    // The provider knows nothing of jobs.
    let sent = got.lock().unwrap().last().unwrap().clone();
    assert_eq!((sent.get("background"), &sent["store"]), (None, &json!(false)));
    let rest = jobs.stream(&id, Some(6)).await;
    assert!(jobs.stream(&id, None).await.ends_with(&rest));
    assert_eq!(events(&rest, 7).last().unwrap()["response"], made);
}

#[tokio::test]
async fn a_model_without_reasoning_is_asked_for_it_once() {
    let native = Native::start().await;
    let router = native.app.router();
    for _ in 0..2 {
        let body = json!({"model": "n", "input": "hi", "max_output_tokens": 100}).to_string();
        let reply = send(&router, "POST", PATH, &native.key, &[], body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let asked: Vec<bool> = native.got.lock().unwrap().iter().map(|sent| sent.get("include").is_some()).collect();
    assert_eq!(asked, [true, false, false]);
}
