//! A run through everything that the functions do, each on an instance of its own, also when others die.

mod batches;
mod calls;
mod deaths;
mod operations;
mod responses;
mod vector_stores;

use std::sync::Arc;

use axum::Router;
use ingest::FileReader;
use kit::{ADMIN_KEY, AwsCalls, FORM, Hook, Reply, Script, TestApp, file_form, send};
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use shared::data::Queue;
use shared::edge::config::HttpConfig;
use shared::edge::stack;
use shared::model::provider::Failure;

/// Calls of AWS by function.
pub(super) async fn everything() -> AwsCalls {
    let run = Run::new().await;
    run.calls_of_models().await;
    run.limits().await;
    run.responses().await;
    run.conversations().await;
    run.webhooks().await;
    run.files().await;
    run.uploads().await;
    run.batches().await;
    run.vector_stores().await;
    run.deaths().await;
    run.dead_letters().await;
    run.administration().await;
    run.app.calls.clone()
}

struct Run {
    app: TestApp,
    /// Every function's routes on its own instance.
    router: Router,
    hook: Hook,
    project: String,
    key: String,
    /// Longer than what is kept in the table, and not to be compressed.
    large: String,
}

const MINUTE_MS: u64 = 60_000;

impl Run {
    async fn new() -> Self {
        let app = TestApp::new().await;
        let routers = local::function_names().filter_map(|name| local::router(name, &app.instance_of(name)));
        let router = stack(routers.fold(Router::new(), Router::merge), &HttpConfig::default());
        let hook = Hook::start(&app.clock).await;
        let mut random = rand::rngs::StdRng::seed_from_u64(1);
        let large = (0..180_000).map(|_| char::from(random.random_range(b'a'..=b'z'))).collect();
        let mut new = Self { app, router, hook, project: String::new(), key: String::new(), large };
        let policy = json!({"cache_ttl_seconds": 60, "dedupe_retries": true});
        let limits =
            json!({"requests_per_minute": 100_000, "tokens_per_minute": 100_000_000, "budget_usd_per_month": 1000});
        (new.project, new.key) = new.new_project(&json!({"name": "Run", "limits": limits, "policy": policy})).await;
        new
    }

    async fn send(&self, method: &str, path: &str, key: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        send(&self.router, method, path, key, headers, body).await
    }

    async fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let key = if path.starts_with("/v1/organization") { ADMIN_KEY } else { &self.key };
        let reply = self.send(method, path, key, &[], &body).await;
        assert_eq!(reply.status, 200, "{method} {path}: {}", reply.text());
        serde_json::from_slice(&reply.body).unwrap_or_default()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.ok("POST", path, body).await
    }

    async fn get(&self, path: &str) -> Value {
        self.ok("GET", path, Value::Null).await
    }

    async fn delete(&self, path: &str) -> Value {
        self.ok("DELETE", path, Value::Null).await
    }

    /// The id and the key of a new project.
    async fn new_project(&self, project: &Value) -> (String, String) {
        let id = text(&self.post("/v1/organization/projects", project.clone()).await["id"]);
        let accounts = format!("/v1/organization/projects/{id}/service_accounts");
        let account = self.post(&accounts, json!({"name": "app"})).await;
        (id, text(&account["api_key"]["value"]))
    }

    async fn upload(&self, content: &[u8], purpose: &str) -> Reply {
        let body = file_form(Some(("a.txt", content)), &[("purpose", purpose)]);
        send(&self.router, "POST", "/v1/files", &self.key, &[("content-type", FORM)], body).await
    }

    fn answers(&self, words: &str) {
        self.app.first.always(Script::answer(words, 10, 5));
    }

    fn fails(&self) {
        self.app.first.always(Script::Fail(|| Failure::Unavailable {
            status: 503,
            message: String::new(),
            retry_after: None,
        }));
    }

    async fn sweep(&self) {
        sweep::job(self.app.instance_of("sweep").sweeper()).await.unwrap();
    }

    /// Lets the workers do what there is to do.
    async fn work(&self) {
        let respond = |event| respond::job(event, self.app.instance_of("respond").response_worker(), None);
        let deliver = |event| deliver::job(event, self.app.instance_of("deliver").deliverer());
        let batch = |event| {
            let worker = self.app.instance_of("batch").batch_worker(shared::edge::render);
            batch::job(event, worker, None)
        };
        let ingest = |event| {
            let worker = self.app.instance_of("ingest").ingest_worker(Arc::new(FileReader), shared::edge::render);
            ingest::job(event, worker, None)
        };
        for _ in 0..10 {
            let mut done = self.app.work_once(Queue::Respond, respond).await;
            done += self.app.work_once(Queue::Batch, batch).await;
            done += self.app.work_once(Queue::Ingest, ingest).await;
            if done + self.app.work_once(Queue::Deliver, deliver).await == 0 {
                break;
            }
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
