//! A deployment with a project, and the function.

use std::path::Path;

use kit::{ADMIN_KEY, TestApp, send};
use runtime_api::{Answer, Chunk, Deployment, Function, Upstream, UpstreamCall, request_event};
use serde_json::{Value, json};
use shared::model::clock::Clock;
use shared::model::money::MicroUsd;
use shared::model::project::{Limits, Policy, Project};
use shared::model::tokens::Usage;
use shared::model::usage::UsageCount;

pub(crate) const PATH: &str = "/v1/chat/completions";

/// What the provider says that every call used: at 1 and 2 micro-dollars per token, 20.
pub(crate) const USAGE: &str = r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}"#;
pub(crate) const COST: u64 = 20;

pub(crate) struct ChatFunction {
    deployment: Deployment,
    pub(crate) upstream: Upstream,
    pub(crate) function: Function,
    project: Project,
    key: String,
}

impl ChatFunction {
    pub(crate) async fn new(mode: &str) -> Self {
        let upstream = Upstream::start().await.unwrap();
        let app = TestApp::builder().clock(Clock::system()).build().await;
        let deployment = Deployment::start(app, &upstream.models(), ADMIN_KEY).await.unwrap();
        let limits = Limits { budget: Some(MicroUsd(1_000_000)), ..Limits::default() };
        let (project, key) = deployment.app.project(limits, Policy::default()).await;
        let function = start(&deployment, mode).await;
        Self { deployment, upstream, function, project, key }
    }

    /// Another process of the function, in place of the one that was there.
    pub(crate) async fn restart(&mut self) {
        self.function = start(&self.deployment, "stream").await;
    }

    /// Hands the function a request for a chat completion, with an `Idempotency-Key` of its own.
    pub(crate) fn event(&self, stream: bool, idempotency_key: &str) -> String {
        let authorization = format!("Bearer {}", self.key);
        let headers = [("Authorization", &*authorization), ("Idempotency-Key", idempotency_key)];
        request_event("POST", PATH, &headers, Some(&body(stream)))
    }

    /// Sends a request, and gives its answer and the provider's end of the call as soon as both are there.
    pub(crate) async fn streams(&mut self, idempotency_key: &str, first_word: &str) -> (Answer, UpstreamCall) {
        let event = self.event(true, idempotency_key);
        let (function, upstream) = (&mut self.function, &mut self.upstream);
        // The answer begins with the provider's first event, which the test holds.
        let called = async {
            let call = upstream.call().await.unwrap();
            call.event(word(first_word));
            call
        };
        let (answer, call) = tokio::join!(function.invoke(event), called);
        (answer.unwrap(), call)
    }

    /// Micro-dollars spent and held.
    pub(crate) async fn books(&self) -> (u64, u64) {
        self.deployment.app.books(&self.project).await
    }

    /// Asserts that calls that cost [`COST`] each are settled and counted, and the records of these keys complete: another
    /// instance replays them.
    pub(crate) async fn assert_closed(&self, calls: u64, idempotency_keys: &[&str]) {
        assert_eq!(self.books().await, (calls * COST, 0));
        let tokens = Usage { input: 10 * calls, output: 5 * calls, ..Usage::default() };
        assert_eq!(
            self.deployment.app.counted(&self.project).await,
            UsageCount { requests: calls, tokens, cost: MicroUsd(calls * COST) }
        );
        let router = self.deployment.app.router();
        for key in idempotency_keys {
            let headers = [("idempotency-key", *key)];
            let replay = send(&router, "POST", PATH, &self.key, &headers, body(true).to_string()).await;
            assert_eq!(replay.header("idempotent-replayed"), "true", "{key}: {}", replay.text());
        }
        assert_eq!(self.deployment.app.first.call_count(), 0);
    }
}

async fn start(deployment: &Deployment, mode: &str) -> Function {
    deployment.function(Path::new(env!("CARGO_BIN_EXE_chat")), mode).await.unwrap()
}

fn body(stream: bool) -> Value {
    let mut body = json!({"model": "priced", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 50});
    if stream {
        body["stream"] = true.into();
    }
    body
}

/// A chunk of the provider with one word.
pub(crate) fn word(word: &str) -> String {
    chunk(&json!([{"index": 0, "delta": {"content": word}, "finish_reason": null}]), "null")
}

/// The provider's last chunks: the end, the usage, and that there is no more.
pub(crate) fn finish(call: UpstreamCall) {
    call.event(chunk(&json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]), "null"));
    call.event(chunk(&json!([]), USAGE));
    call.event("[DONE]");
}

fn chunk(choices: &Value, usage: &str) -> String {
    format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1790000000,"model":"upstream-1","choices":{choices},"usage":{usage}}}"#
    )
}

/// Reads chunks of an answer until one of them has `text`; the text of all of them.
pub(crate) async fn until(answer: &mut Answer, text: &str) -> String {
    let mut read = String::new();
    while !read.contains(text) {
        let Some(Chunk { bytes, .. }) = answer.chunk().await.unwrap() else { panic!("it ended with {read}") };
        read.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    read
}
