//! The batch APIs of OpenAI and Anthropic: the tests compare the requests that weir sends, and give it recorded answers to read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures_util::TryStreamExt as _;
use serde_json::{Value, json};
use shared::model::clock::Timestamp;
use shared::model::provider::{Endpoint, Failure, Provider, ProviderRequest};
use shared::model::provider_batch::{BatchRefusal, BatchState, EndedBatch, Exchange, NewBatch, RequestEnd};

use crate::play::{call, failure, json as parsed, provider, whole};

/// A server that has one answer for each method and path, and records its requests.
#[derive(Clone, Default)]
struct Played(Arc<Mutex<State_>>);

#[derive(Default)]
struct State_ {
    answers: BTreeMap<String, (u16, String)>,
    got: Vec<(String, Bytes)>,
}

async fn play(State(played): State<Played>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    assert!(parts.headers.contains_key("authorization") || parts.headers.contains_key("x-api-key"));
    let key = format!("{} {}", parts.method, parts.uri);
    let mut state = played.0.lock().unwrap();
    let answer = state.answers.get(&key).cloned();
    state.got.push((key, body));
    let (status, body) = answer.unwrap_or((404, r#"{"error":{"message":"There is none."}}"#.to_owned()));
    (StatusCode::from_u16(status).unwrap(), [("content-type", "application/json")], body).into_response()
}

impl Played {
    async fn start(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let router = Router::new().fallback(play).with_state(self.clone());
        #[expect(clippy::disallowed_methods, reason = "the server lives beside the test, not in a function")]
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        base_url
    }

    fn answer(&self, method: &Method, path: &str, status: u16, body: &str) {
        self.0.lock().unwrap().answers.insert(format!("{method} /v1{path}"), (status, body.to_owned()));
    }

    fn got(&self) -> Vec<(String, Bytes)> {
        std::mem::take(&mut self.0.lock().unwrap().got)
    }
}

async fn start(kind: &str) -> (Played, Arc<dyn Provider>) {
    let played = Played::default();
    let base_url = played.start().await;
    let toml =
        format!("[[provider]]\nname = \"it\"\nkind = \"{kind}\"\nbase_url = \"{base_url}\"\napi_key_env = \"KEY\"\n");
    (played, provider(&toml))
}

fn chat(text: &str, exchange: Exchange) -> ProviderRequest {
    let body = json!({"model": "chat", "max_tokens": 10, "messages": [{"role": "user", "content": text}]});
    ProviderRequest { exchange, ..call(Endpoint::ChatCompletions, &body.to_string(), false) }
}

/// The requests of a batch, as the provider would get them one by one.
async fn written(provider: &dyn Provider, texts: &[&str]) -> NewBatch {
    let mut new = NewBatch { tag: "batch_1-0-1".to_owned(), path: String::new(), requests: Vec::new() };
    for (n, text) in texts.iter().enumerate() {
        let place = Arc::new(OnceLock::new());
        let failed = failure(provider.send(&chat(text, Exchange::Written(Arc::clone(&place)))).await);
        assert!(matches!(failed, Failure::NotSent), "{failed:?}");
        let request = place.get().unwrap();
        new.path.clone_from(&request.path);
        new.requests.push((n.to_string(), request.body.clone()));
    }
    new
}

fn answered(status: u16, body: &Value) -> Exchange {
    Exchange::Answered { status, body: body.to_string().into() }
}

fn recorded(name: &str) -> &'static str {
    match name {
        "openai" => include_str!("../fixtures/batches/openai.json"),
        "openai-results" => include_str!("../fixtures/batches/openai-results.jsonl"),
        "openai-errors" => include_str!("../fixtures/batches/openai-errors.jsonl"),
        "anthropic" => include_str!("../fixtures/batches/anthropic.json"),
        _ => include_str!("../fixtures/batches/anthropic-results.jsonl"),
    }
}

#[tokio::test]
async fn openais_batches_are_files_with_a_line_for_each_request() {
    let (played, provider) = start("openai").await;
    let new = written(&*provider, &["One", "Two"]).await;
    assert!(played.got().is_empty(), "nothing is sent while requests are written");
    played.answer(&Method::POST, "/files", 200, r#"{"id":"file-in","object":"file"}"#);
    played.answer(&Method::POST, "/batches", 200, recorded("openai"));
    let batches = provider.batches().unwrap();
    assert_eq!(batches.submit(&new).await.unwrap(), "batch_68f0a1");
    let got = played.got();
    let form = String::from_utf8_lossy(&got[0].1).into_owned();
    assert!(
        form.contains("name=\"purpose\"\r\n\r\nbatch") && form.contains("filename=\"batch_1-0-1.jsonl\""),
        "{form}"
    );
    let lines: Vec<Value> = form.lines().filter(|line| line.starts_with('{')).map(parsed).collect();
    let body =
        |text| json!({"model": "their-model", "max_tokens": 10, "messages": [{"role": "user", "content": text}]});
    let line = |id, text| json!({"custom_id": id, "method": "POST", "url": "/v1/chat/completions", "body": body(text)});
    assert_eq!(lines, [line("0", "One"), line("1", "Two")]);
    let expected = json!({
        "input_file_id": "file-in", "endpoint": "/v1/chat/completions", "completion_window": "24h",
        "metadata": {"weir_tag": "batch_1-0-1"},
    });
    assert_eq!((got[1].0.as_str(), parsed(&got[1].1)), ("POST /v1/batches", expected));
}

#[tokio::test]
async fn openais_batches_are_found_asked_for_cancelled_read_and_deleted() {
    let (played, provider) = start("openai").await;
    let batches = provider.batches().unwrap();
    let page = |tag: &str, more: bool| {
        json!({"data": [{"id": format!("b-{tag}"), "metadata": {"weir_tag": tag}}, {"id": "last", "metadata": null, "created_at": 9_800}], "has_more": more})
            .to_string()
    };
    played.answer(&Method::GET, "/batches?limit=100", 200, &page("one", true));
    played.answer(&Method::GET, "/batches?limit=100&after=last", 200, &page("two", false));
    assert_eq!(batches.find("two", Timestamp(10_000_000)).await.unwrap().as_deref(), Some("b-two"));
    assert_eq!(batches.find("three", Timestamp(10_000_000)).await.unwrap(), None);
    // Those before the submission are not looked at.
    let old = page("old", true).replace("9800", "9600");
    played.answer(&Method::GET, "/batches?limit=100", 200, &old);
    assert_eq!(batches.find("two", Timestamp(10_000_000)).await.unwrap(), None);

    let path = "/batches/batch_68f0a1";
    let with = |members: Value| {
        let mut batch = parsed(recorded("openai"));
        batch.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        batch.to_string()
    };
    for status in ["validating", "in_progress", "finalizing", "cancelling"] {
        played.answer(&Method::GET, path, 200, &with(json!({"status": status})));
        assert_eq!(batches.state("batch_68f0a1").await.unwrap(), BatchState::Running, "{status}");
    }
    for (code, is_full) in [("token_limit_exceeded", true), ("invalid_json_line", false)] {
        let errors =
            json!({"object": "list", "data": [{"code": code, "message": "in organization org-1", "line": null}]});
        played.answer(&Method::GET, path, 200, &with(json!({"status": "failed", "errors": errors})));
        let refusal = BatchRefusal { is_full, reason: code.to_owned(), input: Some("file-in".to_owned()) };
        assert_eq!(batches.state("batch_68f0a1").await.unwrap(), BatchState::Refused(refusal));
    }
    let files = json!({"output_file_id": "file-out", "error_file_id": "file-err"});
    let ended = EndedBatch {
        id: "batch_68f0a1".to_owned(),
        results: vec!["file-out".to_owned(), "file-err".to_owned()],
        input: Some("file-in".to_owned()),
    };
    for status in ["completed", "expired", "cancelled"] {
        let mut members = files.clone();
        members["status"] = status.into();
        played.answer(&Method::GET, path, 200, &with(members));
        assert_eq!(batches.state("batch_68f0a1").await.unwrap(), BatchState::Ended(ended.clone()), "{status}");
    }
    played.answer(&Method::GET, "/files/file-out/content", 200, recorded("openai-results"));
    played.answer(&Method::GET, "/files/file-err/content", 200, recorded("openai-errors"));
    let ends: Vec<RequestEnd> = batches.results(&ended).await.unwrap().try_collect().await.unwrap();
    let told: Vec<_> =
        ends.iter().map(|end| (end.id.as_str(), end.answer.as_ref().map(|(status, _)| *status))).collect();
    assert_eq!(
        told,
        [("1", Some(200)), ("0", Some(200)), ("2", Some(400)), ("3", None), ("4", None), ("5", Some(500))]
    );
    let (status, body) = ends[0].answer.clone().unwrap();
    let reply = whole(provider.send(&chat("Two", Exchange::Answered { status, body })).await.unwrap());
    assert_eq!(parsed(&reply.body)["choices"][0]["message"]["content"], "Hello two.");
    assert_eq!(reply.usage.map(|usage| (usage.input, usage.output)), Some((9, 4)));

    played.got();
    for (method, path) in [(Method::POST, "/batches/batch_68f0a1/cancel"), (Method::DELETE, "/files/file-out")] {
        played.answer(&method, path, 200, "{}");
    }
    batches.cancel("batch_68f0a1").await.unwrap();
    let refused = batches.delete(&ended).await.unwrap_err();
    assert!(matches!(refused, Failure::Refused { status: 404, .. }), "{refused:?}");
    let got: Vec<String> = played.got().into_iter().map(|(key, _)| key).collect();
    let expected = ["POST /v1/batches/batch_68f0a1/cancel", "DELETE /v1/files/file-out", "DELETE /v1/files/file-err"];
    assert_eq!(got, expected);
}

#[tokio::test]
async fn a_file_of_a_refused_batch_is_deleted_and_a_lost_answer_may_be_billed() {
    let (played, provider) = start("openai").await;
    let new = written(&*provider, &["One"]).await;
    let batches = provider.batches().unwrap();
    let refused = batches.submit(&new).await.unwrap_err();
    assert!(matches!(refused, Failure::Refused { status: 404, .. }) && !refused.may_be_billed(), "{refused:?}");
    played.answer(&Method::POST, "/files", 500, "");
    let broken = batches.submit(&new).await.unwrap_err();
    assert!(matches!(broken, Failure::Unreachable(_)), "no batch was made: {broken:?}");
    played.answer(&Method::POST, "/files", 200, r#"{"id":"file-in"}"#);
    played.got();
    batches.submit(&new).await.unwrap_err();
    let got: Vec<String> = played.got().into_iter().map(|(key, _)| key).collect();
    // A file that was just uploaded may be unknown for a moment.
    let tries = ["POST /v1/batches"; 4];
    assert_eq!(got, [&["POST /v1/files"][..], &tries, &["DELETE /v1/files/file-in"]].concat());
    played.answer(&Method::POST, "/batches", 200, "not JSON");
    let unknown = batches.submit(&new).await.unwrap_err();
    assert!(unknown.may_be_billed(), "the batch may be there: {unknown:?}");
}

#[tokio::test]
async fn anthropics_batches_have_messages_and_their_results_are_those_of_calls() {
    let (played, provider) = start("anthropic").await;
    let new = written(&*provider, &["One", "Two"]).await;
    assert_eq!(new.path, "/messages");
    played.answer(&Method::POST, "/messages/batches", 200, recorded("anthropic"));
    let batches = provider.batches().unwrap();
    assert_eq!(batches.submit(&new).await.unwrap(), "msgbatch_013Z");
    let sent = parsed(&played.got()[0].1);
    assert_eq!(
        (&sent["requests"][1]["custom_id"], &sent["requests"][1]["params"]["model"]),
        (&json!("1"), &json!("their-model"))
    );
    assert_eq!(sent["requests"][1]["params"]["messages"][0]["role"], "user");
    let unknown = batches.find("batch_1-0-1", Timestamp(0)).await.unwrap_err();
    assert!(matches!(unknown, Failure::Unsupported { .. }), "{unknown:?}");

    let path = "/messages/batches/msgbatch_013Z";
    for status in ["in_progress", "canceling"] {
        let mut batch = parsed(recorded("anthropic"));
        batch["processing_status"] = status.into();
        played.answer(&Method::GET, path, 200, &batch.to_string());
        assert_eq!(batches.state("msgbatch_013Z").await.unwrap(), BatchState::Running, "{status}");
    }
    let mut batch = parsed(recorded("anthropic"));
    batch["processing_status"] = "ended".into();
    // The key is not sent to a server that an answer names.
    batch["results_url"] = "http://elsewhere.example/results".into();
    played.answer(&Method::GET, path, 200, &batch.to_string());
    let ended = EndedBatch { id: "msgbatch_013Z".to_owned(), ..EndedBatch::default() };
    assert_eq!(batches.state("msgbatch_013Z").await.unwrap(), BatchState::Ended(ended.clone()));
    played.answer(&Method::GET, &format!("{path}/results"), 200, recorded("anthropic-results"));
    let ends: Vec<RequestEnd> = batches.results(&ended).await.unwrap().try_collect().await.unwrap();
    let told: Vec<_> =
        ends.iter().map(|end| (end.id.as_str(), end.answer.as_ref().map(|(status, _)| *status))).collect();
    assert_eq!(told, [("1", Some(200)), ("0", Some(400)), ("2", Some(529)), ("3", None), ("4", None)]);
    let (status, body) = ends[0].answer.clone().unwrap();
    let reply = whole(provider.send(&chat("Two", Exchange::Answered { status, body })).await.unwrap());
    assert_eq!(parsed(&reply.body)["choices"][0]["message"]["content"], "Hello two.");
    assert_eq!(reply.usage.map(|usage| (usage.input, usage.output)), Some((10, 5)));
    let (status, body) = ends[1].answer.clone().unwrap();
    let refused = failure(provider.send(&chat("One", Exchange::Answered { status, body })).await);
    assert!(
        matches!(&refused, Failure::Refused { status: 400, refusal } if refusal.message == "max_tokens: too large"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn an_answer_of_a_batch_is_read_as_one_of_a_call() {
    let (_, provider) = start("openai").await;
    let error = json!({"error": {"message": "Slow down", "type": "requests"}});
    let throttled = failure(provider.send(&chat("One", answered(429, &error))).await);
    assert!(matches!(throttled, Failure::Throttled { .. }), "{throttled:?}");
    let broken = failure(provider.send(&chat("One", answered(1_000, &error))).await);
    assert!(matches!(broken, Failure::Malformed(_)), "{broken:?}");
}
