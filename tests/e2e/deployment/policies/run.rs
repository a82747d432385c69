//! A run through everything that the functions do, each on an instance of its own, also when others die.

use std::time::Duration;

use axum::Router;
use kit::{ADMIN_KEY, AwsCalls, Fault, Hook, HookReply, Reply, Script, TestApp, send};
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

    /// Whole, streamed, replayed, cached, large, failed: of each function that passes calls on.
    async fn calls_of_models(&self) {
        let chat = json!({"model": "priced", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]});
        let embedding = json!({"model": "embedding", "input": "Hello"});
        for (path, call) in [("/v1/chat/completions", &chat), ("/v1/embeddings", &embedding)] {
            for (words, key) in [("Hello there.", "small"), (&*self.large, "large")] {
                self.answers(words);
                for _ in 0..2 {
                    self.send("POST", path, &self.key, &[("idempotency-key", key)], call).await;
                    self.send("POST", path, &self.key, &[("cache-control", "max-age=60")], call).await;
                    self.app.clock.advance_ms(2 * MINUTE_MS); // No cache entry lives that long.
                }
            }
            self.fails();
            for _ in 0..10 {
                let failed = self.send("POST", path, &self.key, &[("idempotency-key", "bad")], call).await;
                assert!(failed.status >= 500, "{}", failed.text());
            }
            self.app.clock.advance_ms(2 * MINUTE_MS);
            self.answers("Hello there.");
            self.send("POST", path, &self.key, &[], call).await; // The breaker closes.
        }
        self.answers("one two three four");
        let mut streamed = chat.clone();
        streamed["stream"] = true.into();
        self.app.first.always(Script::Paced { text: "one two three four".into(), gap: Duration::from_secs(1) });
        let key = [("idempotency-key", "stream")];
        let stream = || self.send("POST", "/v1/chat/completions", &self.key, &key, &streamed);
        let (first, follower) = tokio::join!(stream(), stream());
        assert_eq!(first.text(), follower.text());
        self.answers("Hello there.");
        self.send("POST", "/v1/completions", &self.key, &[], &json!({"model": "priced", "prompt": "Hello"})).await;
        self.send("POST", "/v1/moderations", &self.key, &[], &json!({"model": "moderation", "input": "Hello"})).await;
        self.get("/v1/models").await;
        self.get("/v1/models/priced").await;
    }

    /// Budgets that are changed, nearly spent, spent, and those of a new month: every move between shards.
    async fn limits(&self) {
        let chat = json!({"model": "priced", "max_tokens": 4_000, "messages": [{"role": "user", "content": "Hello"}]});
        let (project, key) =
            self.new_project(&json!({"name": "Small", "limits": {"budget_usd_per_month": 0.02}})).await;
        for path in ["/v1/chat/completions", "/v1/embeddings", "/v1/responses"] {
            let call = match path {
                "/v1/embeddings" => json!({"model": "embedding", "input": "Hello"}),
                "/v1/responses" => json!({"model": "priced", "max_output_tokens": 4_000, "input": "Hello"}),
                _ => chat.clone(),
            };
            for month in 1..=2 {
                let limits = json!({"limits": {"budget_usd_per_month": 0.02 * f64::from(month)}});
                self.post(&format!("/v1/organization/projects/{project}"), limits).await;
                for _ in 0..4 {
                    self.send("POST", path, &key, &[], &call).await;
                }
                // So much that the meter gets more shards.
                let limits = json!({"limits": {"budget_usd_per_month": 100}});
                self.post(&format!("/v1/organization/projects/{project}"), limits).await;
                let limits = json!({"limits": {"budget_usd_per_month": 0.000_001}});
                self.post(&format!("/v1/organization/projects/{project}"), limits).await;
                let refused = self.send("POST", path, &key, &[], &call).await;
                assert_eq!(refused.code(), "budget_exceeded", "{}", refused.text());
                self.app.clock.advance_ms(31 * 24 * 60 * MINUTE_MS);
            }
        }
    }

    async fn response(&self, body: Value) -> String {
        text(&self.post("/v1/responses", body).await["id"])
    }

    async fn responses(&self) {
        let ask = |input: &str| json!({"model": "priced", "input": input, "max_output_tokens": 100});
        for input in ["Hello", &*self.large] {
            self.answers(input);
            let first = self.response(ask(input)).await;
            let mut next = ask("And then?");
            next["previous_response_id"] = first.clone().into();
            let second = self.response(next).await;
            self.get(&format!("/v1/responses/{second}/input_items")).await;
            self.get(&format!("/v1/responses/{second}")).await;
            let stream = format!("/v1/responses/{first}?stream=true");
            self.send("GET", &stream, &self.key, &[], &Value::Null).await;
            self.delete(&format!("/v1/responses/{first}")).await;
            self.post("/v1/responses/input_tokens", ask(input)).await;
            self.post("/v1/quote", ask(input)).await;
            let mut streamed = ask(input);
            streamed["stream"] = true.into();
            for _ in 0..2 {
                self.send("POST", "/v1/responses", &self.key, &[("idempotency-key", &input[..5])], &streamed).await;
            }
            let job = self.background(input).await;
            self.work().await;
            self.get(&format!("/v1/responses/{job}")).await;
            self.delete(&format!("/v1/responses/{job}")).await;
            // Deletions that die at their first step.
            let job = self.background(input).await;
            self.work().await;
            self.app.faults.at(1, Fault::HangAfter);
            let path = format!("/v1/responses/{job}");
            let deletion = self.send("DELETE", &path, &self.key, &[], &Value::Null);
            assert!(self.app.faults.or_die(deletion).await.is_none());
            self.app.faults.clear();
            self.app.clock.advance_ms(61 * MINUTE_MS);
            self.sweep().await;
        }
        self.fails();
        for _ in 0..5 {
            self.background("Hello").await;
        }
        self.work().await;
        self.app.clock.advance_ms(20_000);
        self.answers("Hello there.");
        self.background("Hello").await;
        self.work().await; // The breaker closes.
        self.app.clock.advance_ms(5 * MINUTE_MS);
        self.work().await;
        let waiting = self.background("Hello").await;
        self.post(&format!("/v1/responses/{waiting}/cancel"), json!({})).await;
        self.work().await;
    }

    async fn background(&self, input: &str) -> String {
        self.response(json!({"model": "priced", "input": input, "max_output_tokens": 100, "background": true})).await
    }

    async fn conversations(&self) {
        let item = |text: &str| json!({"type": "message", "role": "user", "content": text});
        let conversation = self.post("/v1/conversations", json!({"items": [item("Hello")]})).await;
        let path = format!("/v1/conversations/{}", text(&conversation["id"]));
        self.get(&path).await;
        self.post(&path, json!({"metadata": {"a": "b"}})).await;
        let items = format!("{path}/items");
        for words in ["More", &*self.large] {
            let added = self.post(&items, json!({"items": [item(words)]})).await;
            let one = format!("{items}/{}", text(&added["data"][0]["id"]));
            self.get(&one).await;
            self.get(&items).await;
            self.delete(&one).await;
        }
        let ask = json!({"model": "priced", "input": self.large, "conversation": conversation["id"], "max_output_tokens": 100});
        self.response(ask.clone()).await;
        let mut background = ask;
        background["background"] = true.into();
        self.response(background.clone()).await;
        self.work().await;
        // Deleted before their turn is added: by the worker, and by the sweep for one that died.
        self.response(background.clone()).await;
        self.delete(&path).await;
        self.work().await;
        let conversation = self.post("/v1/conversations", json!({})).await;
        background["conversation"] = conversation["id"].clone();
        self.response(background).await;
        let mut ended = 0;
        self.app.faults.set(move |operation| {
            ended += usize::from(ended > 0 || operation == "TransactWriteItems");
            if ended == 2 { Fault::Hang } else { Fault::None }
        });
        self.work().await;
        self.app.faults.clear();
        self.delete(&format!("/v1/conversations/{}", text(&conversation["id"]))).await;
        self.app.clock.advance_ms(2 * MINUTE_MS);
        self.sweep().await;
    }

    /// An endpoint that every event goes to, from here on.
    async fn webhooks(&self) {
        const ENDPOINTS: &str = "/v1/webhook_endpoints";
        let all = ["response.completed", "response.failed", "response.cancelled", "response.incomplete"];
        let endpoint = self.post(ENDPOINTS, json!({"url": self.hook.url(), "event_types": all})).await;
        let path = format!("{ENDPOINTS}/{}", text(&endpoint["id"]));
        self.get(ENDPOINTS).await;
        self.get(&path).await;
        self.post(&path, json!({"description": "x"})).await;
        self.post(&format!("{path}/rotate_secret"), json!({})).await;
        self.hook.then(HookReply::status(500));
        self.background("Hello").await;
        self.work().await;
        let deliveries = self.get(&format!("{path}/deliveries")).await;
        let delivery = format!("{path}/deliveries/{}", text(&deliveries["data"][0]["id"]));
        self.get(&delivery).await;
        self.app.clock.advance_ms(10 * MINUTE_MS);
        self.work().await;
        self.post(&format!("{delivery}/redeliver"), json!({})).await;
        self.work().await;
        // One that is gone for good.
        let gone = self.post(ENDPOINTS, json!({"url": self.hook.url(), "event_types": all})).await;
        let waiting = self.background("Hello").await;
        self.post(&format!("/v1/responses/{waiting}/cancel"), json!({})).await;
        self.hook.then(HookReply::status(410));
        self.hook.then(HookReply::status(410));
        self.work().await;
        self.delete(&format!("{ENDPOINTS}/{}", text(&gone["id"]))).await;
        self.post(&path, json!({"status": "enabled"})).await;
    }

    /// A process that answers, and one that works, each die at a step; the sweep finds what they left.
    async fn deaths(&self) {
        self.app.first.always(Script::Paced { text: "one two three four".into(), gap: Duration::from_secs(1) });
        let conversation = self.post("/v1/conversations", json!({})).await;
        for is_background in [true, false] {
            for input in ["Hello", &*self.large] {
                let body = json!({
                    "model": "priced", "input": input, "instructions": input, "max_output_tokens": 100,
                    "conversation": conversation["id"], "background": is_background, "stream": !is_background,
                });
                self.dies(&body, |calls_since_begin, _| calls_since_begin == 8).await;
                self.dies(&body, |_, calls_since_end| calls_since_end == 2).await;
            }
        }
        self.answers("Hello there.");
        let chat = json!({"model": "priced", "max_tokens": 100, "messages": [{"role": "user", "content": "Bye"}]});
        self.app.faults.at(3, Fault::Hang);
        let call = self.send("POST", "/v1/chat/completions", &self.key, &[], &chat);
        self.app.faults.or_die(call).await;
        self.app.faults.clear();
        self.app.clock.advance_ms(24 * 60 * MINUTE_MS);
        self.sweep().await;
        self.month_ends().await;
    }

    /// Whoever makes this response dies at the call that `now` chooses by the calls since it began, and since its end was
    /// written.
    async fn dies(&self, body: &Value, now: fn(usize, usize) -> bool) {
        let (mut begun, mut ended) = (0, 0);
        let dies = move |operation: &str| {
            begun += 1;
            ended += usize::from(ended > 0 || operation == "TransactWriteItems");
            if now(begun, ended) { Fault::Hang } else { Fault::None }
        };
        let post = self.send("POST", "/v1/responses", &self.key, &[], body);
        if body["background"] == true {
            post.await;
            self.app.faults.set(dies);
            self.work().await;
        } else {
            self.app.faults.set(dies);
            self.app.faults.or_die(post).await;
        }
        self.app.faults.clear();
        for _ in 0..3 {
            self.app.clock.advance_ms(2 * MINUTE_MS);
            self.sweep().await;
            self.work().await;
        }
    }

    /// A worker dies before it has written the end, just before the month ends: the next run is admitted in a month that has no meter yet.
    async fn month_ends(&self) {
        let clock = &self.app.clock;
        while clock.now().plus_ms(60 * MINUTE_MS).month() == clock.now().month() {
            clock.advance_ms(60 * MINUTE_MS);
        }
        self.background("Hello").await;
        let dies = |operation: &str| if operation == "TransactWriteItems" { Fault::Hang } else { Fault::None };
        self.app.faults.set(dies);
        self.work().await;
        self.app.faults.clear();
        clock.advance_ms(60 * MINUTE_MS);
        self.sweep().await;
        self.work().await;
    }

    async fn sweep(&self) {
        sweep::job(self.app.instance_of("sweep").sweeper()).await.unwrap();
    }

    /// Lets both workers do what there is to do.
    async fn work(&self) {
        let respond = |event| respond::job(event, self.app.instance_of("respond").response_worker(), None);
        let deliver = |event| deliver::job(event, self.app.instance_of("deliver").deliverer());
        for _ in 0..10 {
            let done = self.app.work_once(Queue::Respond, respond).await;
            if done + self.app.work_once(Queue::Deliver, deliver).await == 0 {
                break;
            }
        }
    }

    /// Messages that no worker can read, until they are dead letters; replayed by an operator.
    async fn dead_letters(&self) {
        for queue in Queue::ALL {
            self.app.stores.queues.send(queue, "project", "{}".to_owned(), Duration::ZERO).await.unwrap();
            for _ in 0..6 {
                self.work().await;
                self.app.clock.advance_ms(91 * MINUTE_MS);
            }
            let dead = self.get(&format!("/v1/organization/dead_letters?queue={}", queue.name())).await;
            assert_eq!(dead["data"].as_array().map(Vec::len), Some(1), "{dead}");
            self.app.clock.advance_ms(MINUTE_MS);
            self.post("/v1/organization/dead_letters/replay", json!({"queue": queue.name()})).await;
        }
    }

    /// A key that an administrator made is used in both functions that take one.
    async fn admin_keys(&self, start: u64) {
        let made = self.post("/v1/organization/admin_api_keys", json!({"name": "second"})).await;
        let (id, key) = (text(&made["id"]), text(&made["value"]));
        for path in [&format!("costs?start_time={start}"), "admin_api_keys", &format!("admin_api_keys/{id}")] {
            let path = format!("/v1/organization/{path}");
            assert_eq!(self.send("GET", &path, &key, &[], &Value::Null).await.status, 200, "{path}");
        }
        self.delete(&format!("/v1/organization/admin_api_keys/{id}")).await;
    }

    async fn administration(&self) {
        let waiting = self.background("Hello").await;
        for path in
            ["jobs", "jobs?status=queued", &format!("jobs?project_id={}", self.project), &format!("jobs/{waiting}")]
        {
            self.get(&format!("/v1/organization/{path}")).await;
        }
        self.post(&format!("/v1/organization/jobs/{waiting}/cancel"), json!({})).await;
        self.get("/v1/organization/providers").await;
        self.get("/v1/organization/projects").await;
        let project = format!("/v1/organization/projects/{}", self.project);
        for path in ["", "/service_accounts", "/api_keys", "/spend_limit", "/rate_limits", "/storage"] {
            self.get(&format!("{project}{path}")).await;
        }
        self.post(
            &format!("{project}/spend_limit"),
            json!({"threshold_amount": 5_000, "currency": "USD", "interval": "month"}),
        )
        .await;
        self.delete(&format!("{project}/spend_limit")).await;
        self.post(&format!("{project}/rate_limits/rl_all"), json!({"max_requests_per_1_minute": 60})).await;
        let keys = self.get(&format!("{project}/api_keys")).await;
        let key = format!("{project}/api_keys/{}", text(&keys["data"][0]["id"]));
        self.get(&key).await;
        let accounts = self.get(&format!("{project}/service_accounts")).await;
        let account = format!("{project}/service_accounts/{}", text(&accounts["data"][0]["id"]));
        self.get(&account).await;
        let start = self.app.clock.now().seconds() - 86_400;
        for path in ["usage/completions", "usage/embeddings", "usage/moderations", "costs"] {
            self.get(&format!("/v1/organization/{path}?start_time={start}")).await;
        }
        let (other, _) = self.new_project(&json!({"name": "Other"})).await;
        let keys = self.get(&format!("/v1/organization/projects/{other}/api_keys")).await;
        self.delete(&format!("/v1/organization/projects/{other}/api_keys/{}", text(&keys["data"][0]["id"]))).await;
        self.delete(&account).await;
        self.get("/v1/organization/audit_logs?limit=1").await;
        self.admin_keys(start).await;
        self.post(&format!("{project}/archive"), json!({})).await;
        self.post(&format!("{project}/purge"), json!({})).await;
        for _ in 0..50 {
            self.work().await;
            self.app.clock.advance_ms(61 * MINUTE_MS);
            self.sweep().await;
        }
        assert_eq!(self.get(&project).await["purge"]["status"], "completed");
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
