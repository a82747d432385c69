//! Batches: each line of a file has one result, whatever dies, comes twice or throttles, and the money adds up.

mod deaths;
mod files;
mod keys;
mod life;
mod limits;
mod money;
mod native;
mod quotes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use kit::{FORM, Reply, TestApp, file_form, send};
use serde_json::{Value, json};
use shared::app::{BatchWorker, Components};
use shared::data::Queue;
use shared::edge::render;
use shared::model::catalog::Catalog;
use shared::model::project::{Limits, Policy, Project};

/// What `line` with five output tokens costs: 10 input tokens at 1 micro-dollar, 5 output tokens at 2.
const LINE_COST: u64 = 20;

/// A project with batches.
struct Site {
    app: TestApp,
    router: Router,
    instance: Components,
    worker: Arc<BatchWorker>,
    project: Project,
    key: String,
}

/// A request for a chat completion.
fn line(custom_id: &str) -> String {
    chat(custom_id, "priced", json!({}))
}

fn chat(custom_id: &str, model: &str, members: Value) -> String {
    let mut body = json!({"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": custom_id}]});
    for (name, value) in members.as_object().unwrap() {
        body[name] = value.clone();
    }
    json!({"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}).to_string()
}

fn lines(count: usize) -> String {
    (0..count).map(|n| line(&format!("line-{n}")) + "\n").collect()
}

impl Site {
    async fn new(limits: Limits) -> Self {
        Self::of(TestApp::new().await, limits).await
    }

    /// The model may take minutes, and has one target.
    async fn with_patience(limits: Limits) -> Self {
        let catalog = "[[provider]]\nname='first'\nkind='simulator'\n[[model]]\nname='priced'\nkind='chat'\n\
                       context_tokens=9000\nmax_output_tokens=100\nprice={input=1,output=2}\ntargets=[{provider='first',model='m'}]";
        Self::of(TestApp::builder().models(Arc::new(Catalog::parse(catalog).unwrap())).build().await, limits).await
    }

    async fn of(app: TestApp, limits: Limits) -> Self {
        let (project, key) = app.project(limits, Policy::default()).await;
        let instance = app.instance();
        let worker = instance.batch_worker(render);
        Self { router: app.router(), app, instance, worker, project, key }
    }

    async fn upload(&self, content: &[u8]) -> String {
        let form = file_form(Some(("in.jsonl", content)), &[("purpose", "batch")]);
        let made = send(&self.router, "POST", "/v1/files", &self.key, &[("content-type", FORM)], form).await;
        assert_eq!(made.status, 200, "{}", made.text());
        made.json()["id"].as_str().unwrap().to_owned()
    }

    async fn create(&self, file_id: &str, endpoint: &str) -> Reply {
        let body = json!({"input_file_id": file_id, "endpoint": endpoint, "completion_window": "24h", "metadata": {"of": "test"}});
        send(&self.router, "POST", "/v1/batches", &self.key, &[], body.to_string()).await
    }

    /// The id of a new batch of chat completions.
    async fn submit(&self, content: &str) -> String {
        let file_id = self.upload(content.as_bytes()).await;
        let made = self.create(&file_id, "/v1/chat/completions").await;
        assert_eq!((made.status, made.json()["status"].as_str()), (200, Some("validating")), "{}", made.text());
        made.json()["id"].as_str().unwrap().to_owned()
    }

    async fn get(&self, batch_id: &str) -> Value {
        let reply = send(&self.router, "GET", &format!("/v1/batches/{batch_id}"), &self.key, &[], "").await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    async fn cancel(&self, batch_id: &str) -> Reply {
        send(&self.router, "POST", &format!("/v1/batches/{batch_id}/cancel"), &self.key, &[], "").await
    }

    /// Gives the visible messages to the worker. Returns their number.
    async fn work_once(&self) -> usize {
        self.app.work_once(Queue::Batch, |event| batch::job(event, Arc::clone(&self.worker), None)).await
    }

    async fn work(&self) {
        while self.work_once().await > 0 {}
    }

    /// Works until the batch has ended; a sweep each minute, as on AWS.
    async fn run(&self, batch_id: &str) -> Value {
        for _ in 0..100 {
            self.work().await;
            let batch = self.get(batch_id).await;
            if ["completed", "failed", "expired", "cancelled"].contains(&batch["status"].as_str().unwrap()) {
                return batch;
            }
            self.app.clock.advance_ms(61_000);
            self.instance.sweeper().sweep().await.unwrap();
        }
        panic!("the batch does not end: {}", self.get(batch_id).await);
    }

    /// The rows of a file by their `custom_id`.
    async fn rows(&self, file_id: &Value) -> BTreeMap<String, Value> {
        let Some(file_id) = file_id.as_str() else { return BTreeMap::new() };
        let reply = send(&self.router, "GET", &format!("/v1/files/{file_id}/content"), &self.key, &[], "").await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let mut rows = BTreeMap::new();
        for text in reply.text().lines() {
            let row: Value = serde_json::from_str(text).unwrap();
            let custom_id = row["custom_id"].as_str().unwrap().to_owned();
            assert!(rows.insert(custom_id.clone(), row).is_none(), "{custom_id} is there twice");
        }
        rows
    }

    /// The rows of both files. Each of `count` lines is in one of them.
    async fn results(&self, batch: &Value, count: usize) -> (BTreeMap<String, Value>, BTreeMap<String, Value>) {
        let (output, errors) = (self.rows(&batch["output_file_id"]).await, self.rows(&batch["error_file_id"]).await);
        let mut ids: Vec<&String> = output.keys().chain(errors.keys()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!((output.len() + errors.len(), ids.len()), (count, count), "{batch}");
        let counts = &batch["request_counts"];
        assert_eq!(counts, &json!({"total": count, "completed": output.len(), "failed": errors.len()}));
        (output, errors)
    }

    /// The sum of what the rows of a batch cost, in micro-dollars.
    fn cost(batch: &Value) -> u64 {
        shared::model::money::MicroUsd::from_dollars(batch["weir"]["cost_usd"].as_f64().unwrap()).unwrap().0
    }

    /// What is left in the table and the bucket of a batch that has ended.
    async fn leftovers(&self) -> Vec<String> {
        let items = self.app.items().await;
        let keys = items.iter().map(|item| item["pk"].as_s().unwrap().clone());
        keys.filter(|pk| pk.starts_with("BATCH#")).collect()
    }

    /// As if the leases of dead processes had ended.
    fn end_leases(&self) {
        self.app.clock.advance_ms(61_000);
    }
}

const SECOND: Duration = Duration::from_secs(1);
