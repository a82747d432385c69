//! Bodies that are almost right, on every route that takes one: each gets an answer, in the envelope if it is an error, is
//! counted, and holds nothing afterwards.
//!
//! The corpus are the recorded events.

use kit::{ADMIN_KEY, Reply, TestApp, mutated_json, mutated_text, send};
use proptest::prelude::*;
use serde_json::{Value, json};
use shared::app::Components;
use shared::model::project::{Limits, Policy, Project};
use tokio::runtime::Runtime;

use crate::budget;

/// A recorded request: where it goes and what it says, as `{"method", "path", "body"}`.
fn corpus() -> Vec<Value> {
    let events = super::files("events", "json").into_iter().map(|event| serde_json::from_str(&event).unwrap());
    let requests: Vec<_> = events.filter_map(|event| request_of(&event)).collect();
    assert!(requests.len() >= 15, "{} recorded bodies", requests.len());
    requests
}

fn request_of(event: &Value) -> Option<Value> {
    let body = serde_json::from_str::<Value>(event["body"].as_str()?).ok()?;
    let model = match body["model"].as_str() {
        Some(name) if name.contains("embedding") => "embedding",
        Some(name) if name.contains("moderation") => "moderation",
        Some(name) if name.contains("image") => "image",
        Some(name) if name.contains("speech") => "speech",
        _ => "priced",
    };
    let text = body.to_string().replace(body["model"].as_str().unwrap_or("\u{0}"), model);
    Some(
        json!({ "method": event["httpMethod"], "path": event["path"], "body": serde_json::from_str::<Value>(&text).unwrap() }),
    )
}

/// A service with one project, whose budget no case can spend, and one that nobody may touch.
pub(super) struct FuzzedApi {
    runtime: Runtime,
    app: TestApp,
    instance: Components,
    project: Project,
    other: Project,
    key: String,
}

impl FuzzedApi {
    pub(super) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let (app, project, other, key) = runtime.block_on(async {
            let app = TestApp::new().await;
            let (project, key) = app.project(budget(1e6), Policy::default()).await;
            let (other, _) = app.project(Limits::default(), Policy::default()).await;
            (app, project, other, key)
        });
        let instance = app.instance();
        Self { runtime, app, instance, project, other, key }
    }

    fn send(&self, request: &Value, body: Vec<u8>) -> Reply {
        self.send_with(request, &[], body)
    }

    pub(super) fn send_with(&self, request: &Value, headers: &[(&str, &str)], body: Vec<u8>) -> Reply {
        let (method, path) = (request["method"].as_str().unwrap(), request["path"].as_str().unwrap());
        let key = if path.starts_with("/v1/organization") { ADMIN_KEY } else { &self.key };
        let path = path.replace("proj_EventProject0000000000000", &self.project.id);
        self.runtime.block_on(async {
            let (_, held) = self.app.books(&self.project).await;
            let reply = send(&kit::router_of(&self.instance), method, &path, key, headers, body).await;
            let (_, holds) = self.app.books(&self.project).await;
            // Only a response in the background keeps its hold, until it is made.
            assert!(holds == held || path == "/v1/responses", "{path} left a hold of {}", holds - held);
            assert_eq!(self.app.books(&self.other).await, (0, 0));
            reply
        })
    }
}

/// Every answer is one: no failure of our own, and the whole envelope if it is an error.
pub(super) fn check(request: &Value, reply: &Reply) -> Result<(), TestCaseError> {
    let text = String::from_utf8_lossy(&reply.body);
    prop_assert!(reply.status < 500, "{} {}: {} {text}", request["method"], request["path"], reply.status);
    prop_assert!(reply.header("x-request-id").starts_with("req_"));
    if reply.status < 400 {
        return Ok(());
    }
    let body = serde_json::from_str::<Value>(&text).unwrap_or_default();
    let error = &body["error"];
    let mut members: Vec<_> = error.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    members.retain(|name| *name != "details");
    members.sort_unstable();
    match body["type"].as_str() {
        // Anthropic's envelope.
        Some("error") => prop_assert_eq!(members, ["message", "type"], "{}", text),
        _ => prop_assert_eq!(members, ["code", "message", "param", "type"], "{}", text),
    }
    prop_assert!(error["message"].as_str().is_some_and(|message| message.len() > 10), "{}", text);
    Ok(())
}

#[test]
fn every_json_body_gets_an_answer() {
    let api = FuzzedApi::new();
    let any = proptest::sample::select(corpus())
        .prop_flat_map(|request| (mutated_json(vec![request["body"].clone()]), Just(request)));
    let tried = super::runner("e2e/fuzz/corpus/requests.txt")
        .run(&any, |(body, request)| check(&request, &api.send(&request, body.to_string().into_bytes())));
    tried.unwrap_or_else(|failed| panic!("{failed}"));
}

#[test]
fn every_text_for_a_body_gets_an_answer() {
    let api = FuzzedApi::new();
    let corpus = corpus();
    let bodies: Vec<String> = corpus.iter().map(|request| request["body"].to_string()).collect();
    let any_route = proptest::sample::select(corpus);
    let tried = super::runner("e2e/fuzz/corpus/requests.txt")
        .run(&(any_route, mutated_text(bodies)), |(request, body)| check(&request, &api.send(&request, body.0)));
    tried.unwrap_or_else(|failed| panic!("{failed}"));
}
