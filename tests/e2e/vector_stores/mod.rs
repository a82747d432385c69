//! Vector stores: what is attached is found, what is detached or deleted is not, whatever dies, and each embedding is paid for.

mod deaths;
mod files;
mod life;
mod races;
mod search;

use std::sync::Arc;

use axum::Router;
use ingest::FileReader;
use kit::{FORM, Reply, TestApp, file_form, send};
use serde_json::{Value, json};
use shared::app::{Components, IngestWorker};
use shared::data::Queue;
use shared::edge::render;
use shared::model::project::{Limits, Policy, Project};

use crate::budget;

const STORES: &str = "/v1/vector_stores";

/// A project with vector stores.
struct Site {
    app: TestApp,
    router: Router,
    instance: Components,
    worker: Arc<IngestWorker>,
    project: Project,
    key: String,
}

impl Site {
    async fn new() -> Self {
        Self::with(budget(100.0)).await
    }

    async fn with(limits: Limits) -> Self {
        let app = TestApp::new().await;
        let (project, key) = app.project(limits, Policy::default()).await;
        let instance = app.instance();
        let worker = instance.ingest_worker(Arc::new(FileReader), render);
        Self { router: app.router(), app, instance, worker, project, key }
    }

    async fn send(&self, method: &str, path: &str, body: Value) -> Reply {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        send(&self.router, method, path, &self.key, &[], body).await
    }

    async fn get(&self, path: &str) -> Value {
        let reply = self.send("GET", path, Value::Null).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let reply = self.send("POST", path, body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    async fn delete(&self, path: &str) {
        let reply = self.send("DELETE", path, Value::Null).await;
        assert_eq!((reply.status, reply.json()["deleted"].as_bool()), (200, Some(true)), "{}", reply.text());
    }

    /// A millisecond later than what was made before, so that the order of ids is known.
    async fn upload(&self, name: &str, content: &str) -> String {
        self.app.clock.advance_ms(1);
        let form = file_form(Some((name, content.as_bytes())), &[("purpose", "assistants")]);
        let made = send(&self.router, "POST", "/v1/files", &self.key, &[("content-type", FORM)], form).await;
        assert_eq!(made.status, 200, "{}", made.text());
        made.json()["id"].as_str().unwrap().to_owned()
    }

    /// The path of a new store.
    async fn store(&self) -> String {
        self.app.clock.advance_ms(1);
        let made = self.post(STORES, json!({"name": "store"})).await;
        format!("{STORES}/{}", made["id"].as_str().unwrap())
    }

    /// Uploads a file and attaches it. Returns its id.
    async fn attach(&self, store: &str, name: &str, content: &str, attributes: Value) -> String {
        let file_id = self.upload(name, content).await;
        let made = self.post(&format!("{store}/files"), json!({"file_id": file_id, "attributes": attributes})).await;
        assert_eq!(made["status"], "in_progress", "{made}");
        file_id
    }

    /// A store in which the files are searched, each with its name as an attribute. Returns its path.
    async fn store_with(&self, files: &[(&str, &str)]) -> String {
        let store = self.store().await;
        for (name, content) in files {
            self.attach(&store, name, content, json!({"name": name})).await;
        }
        self.work().await;
        let counts = &self.get(&store).await["file_counts"];
        assert_eq!(counts["completed"].as_u64(), Some(files.len() as u64), "{counts}");
        store
    }

    /// Gives the visible messages to the worker. Returns their number.
    async fn work_once(&self) -> usize {
        self.app.work_once(Queue::Ingest, |event| ingest::job(event, Arc::clone(&self.worker), None)).await
    }

    async fn work(&self) {
        while self.work_once().await > 0 {}
    }

    /// Lets some minutes pass, with a sweep in each, as on AWS.
    async fn minutes(&self, count: u32) {
        for _ in 0..count {
            self.app.clock.advance_ms(61_000);
            self.instance.sweeper().sweep().await.unwrap();
            self.work().await;
        }
    }

    async fn search(&self, store: &str, body: Value) -> Value {
        self.post(&format!("{store}/search"), body).await
    }

    /// The names of the files that a query finds, the best first.
    async fn found(&self, store: &str, query: &str) -> Vec<String> {
        names(&self.search(store, json!({"query": query})).await)
    }

    /// The partitions that have anything of stores or their files.
    async fn leftovers(&self) -> Vec<String> {
        let items = self.app.items().await;
        let keys = items.iter().map(|item| item["pk"].as_s().unwrap().clone());
        keys.filter(|pk| ["VSTORE", "CHUNKS#", "FILESTORES#"].iter().any(|kind| pk.starts_with(kind))).collect()
    }
}

fn names(page: &Value) -> Vec<String> {
    page["data"].as_array().unwrap().iter().map(|found| found["filename"].as_str().unwrap().to_owned()).collect()
}

const PUMPS: &str = "# Pumps\n\nThe pump of the second line is an XK-4471 with a pressure of twelve bar.";
const CATS: &str = "Cats sleep most of the day and hunt mice at night.";
const TAXES: &str = "The value added tax in Germany is nineteen percent.";
