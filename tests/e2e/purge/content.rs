//! A project with one item of every kind at least.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ingest::FileReader;
use kit::{ADMIN_KEY, FORM, Fault, Reply, Script, TestApp, file_form, form, send, shown_item};
use serde_json::{Value, json};
use shared::data::Queue;
use shared::model::id::random;
use shared::model::meter::{Run, RunName};
use shared::model::project::{Policy, Project};
use shared::model::provider::Failure;

use crate::{CHAT, PATH, budget};

/// Each function of `data::keys` that makes a key, the begins of partition and sort key that it makes (`{}` is the project),
/// and whether a purge erases the item.
const KINDS: [(&str, &str, &str, bool); 39] = [
    ("api_key", "KEY#", "KEY", false),
    ("admin_key", "KEY#", "ADMIN", false),
    ("admin_key_listing", "KEY#ADMIN", "", false),
    ("key_check", "KEY#CHECK", "CHECK", false),
    ("last_use", "USED#{}", "", false),
    ("slots", "SLOTS#{}", "", false),
    ("stored", "STORED#{}", "never#", true),
    ("project", "PROJECT#{}", "PROFILE", false),
    ("project_work", "PROJECT#{}", "WORK#", true),
    ("audit_entry", "AUDIT", "audit_log-", false),
    ("project_listing", "PROJECTS", "", false),
    ("project_api_key", "PROJECT#{}", "APIKEY#", false),
    ("service_account", "PROJECT#{}", "ACCOUNT#", false),
    ("webhook_endpoint", "PROJECT#{}", "ENDPOINT#", true),
    ("meter", "METER#{}#", "", false),
    ("usage", "PROJECT#{}", "USAGE#", false),
    ("idempotency", "IDEM#{}#", "IDEM", true),
    ("idempotency_part", "IDEM#{}#", "PART#", true),
    ("cache", "CACHE#{}#", "CACHE", true),
    ("breaker", "BREAKER#", "TARGET#", false),
    ("response", "RESP#{}#", "META", true),
    ("response_end", "RESP#{}#", "OUT", true),
    ("response_request", "RESP#{}#", "REQ", true),
    ("response_erasure", "RESP#{}#", "ERASE", true),
    ("response_events", "RESP#{}#", "EVT#", true),
    ("job", "JOBS#{}", "resp_", true),
    ("conversation", "CONV#{}#", "CONV", true),
    ("conversation_item", "CONV#{}#", "ITEM#", true),
    ("conversation_turn", "CONV#{}#", "TURN#", true),
    ("file", "FILES#{}", "file-", true),
    ("upload", "UPLOADS#{}", "upload_", true),
    ("batch", "BATCHES#{}", "batch_", true),
    ("batch_part", "BATCH#{}#", "PART#", true),
    ("vector_store", "VSTORES#{}", "vs_", true),
    ("store_file", "VSTORE#{}#", "file-", true),
    ("chunk", "CHUNKS#{}#", "000001#000000", true),
    ("chunk_words", "CHUNKS#{}#", "000001#000000#WORDS", true),
    ("store_of_file", "FILESTORES#{}#", "vs_", true),
    ("delivery", "HOOK#{}#", "wh_", true),
];

/// The functions of `data::keys` that make keys, as its source has them.
fn functions() -> Vec<String> {
    let source = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/src/data/keys.rs")).unwrap();
    let functions = source.split("\npub(super) fn ").skip(1);
    let signatures = functions.filter_map(|rest| rest.split_once("{\n").map(|(signature, _)| signature));
    let makes_a_key = |signature: &&str| signature.trim_end().ends_with("-> Key");
    signatures.filter(makes_a_key).map(|signature| signature.split('(').next().unwrap().to_owned()).collect()
}

pub(super) struct Content {
    pub(super) project: Project,
    key: String,
    endpoint: String,
    /// Every request and answer has it, and nothing else.
    pub(super) word: String,
}

impl Content {
    pub(super) async fn make(app: &TestApp) -> Self {
        app.clock.advance_ms(120_000); // A breaker that is open closes with the first call.
        let policy = Policy { cache_ttl_seconds: Some(86_400), ..Policy::default() };
        let (project, key) = app.project(budget(10.0), policy).await;
        let mut made = Self { project, key, endpoint: String::new(), word: random(20) };
        made.post(app, "/v1/organization/admin_api_keys", &[], json!({"name": "Second"})).await;
        made.add_endpoint(app).await;
        made.add_calls(app).await;
        made.add_responses(app).await;
        made.add_conversation(app).await;
        made.add_file(app).await;
        made.add_vector_store(app).await;
        made.add_batch(app).await;
        made.add_upload(app).await;
        made.open_a_breaker(app).await;
        made
    }

    async fn send(&self, app: &TestApp, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
        let key = if path.starts_with("/v1/organization") { ADMIN_KEY } else { &self.key };
        send(&app.router(), method, path, key, headers, body.to_string()).await
    }

    async fn post(&self, app: &TestApp, path: &str, headers: &[(&str, &str)], body: Value) -> Reply {
        let reply = self.send(app, "POST", path, headers, &body).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        reply
    }

    async fn add_endpoint(&mut self, app: &TestApp) {
        let accounts = format!("/v1/organization/projects/{}/service_accounts", self.project.id);
        self.post(app, &accounts, &[], json!({"name": "app"})).await;
        let all = ["response.completed", "response.failed", "response.cancelled", "response.incomplete"];
        let url = format!("http://127.0.0.1:9/{}", self.word);
        let endpoint =
            self.post(app, "/v1/webhook_endpoints", &[], json!({"name": "a", "url": url, "event_types": all})).await;
        self.endpoint = endpoint.json()["id"].as_str().unwrap().to_owned();
    }

    /// Keyed, cached, streamed in parts, of a run.
    async fn add_calls(&self, app: &TestApp) {
        let mut chat: Value = serde_json::from_str(CHAT).unwrap();
        chat["messages"][0]["content"] = json!(self.word);
        app.first.always(Script::answer(&format!("I say {}.", self.word), 10, 5));
        let headers = [("idempotency-key", "a"), ("x-weir-run", "run-1"), ("x-weir-run-budget-usd", "1")];
        self.post(app, PATH, &headers, chat.clone()).await;
        chat["stream"] = json!(true);
        let text = format!("{} one two three", self.word);
        app.first.always(Script::Paced { text, gap: Duration::from_secs(1) });
        self.post(app, PATH, &[("idempotency-key", "b")], chat.clone()).await;
        app.first.always(Script::answer(&format!("I say {}.", self.word), 10, 5));
    }

    async fn add_file(&self, app: &TestApp) {
        let body = file_form(Some((&self.word, self.word.as_bytes())), &[("purpose", "user_data")]);
        let reply = send(&app.router(), "POST", "/v1/files", &self.key, &[("content-type", FORM)], body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    /// With a file that is searched, and one that nobody ingests.
    async fn add_vector_store(&self, app: &TestApp) {
        let store = self.post(app, "/v1/vector_stores", &[], json!({"name": self.word})).await.json();
        for _ in 0..2 {
            let form = file_form(Some(("a.txt", self.word.as_bytes())), &[("purpose", "assistants")]);
            let file =
                send(&app.router(), "POST", "/v1/files", &self.key, &[("content-type", FORM)], form).await.json();
            self.ingest(app).await;
            let path = format!("/v1/vector_stores/{}/files", store["id"].as_str().unwrap());
            self.post(app, &path, &[], json!({"file_id": file["id"], "attributes": {"a": self.word}})).await;
        }
    }

    async fn ingest(&self, app: &TestApp) {
        let worker = app.instance().ingest_worker(Arc::new(FileReader), shared::edge::render);
        while app.work_once(Queue::Ingest, |event| ingest::job(event, Arc::clone(&worker), None)).await > 0 {}
    }

    /// One that has ended, and one whose worker died while it ran.
    async fn add_batch(&self, app: &TestApp) {
        let body = json!({"model": "priced", "max_tokens": 100, "messages": [{"role": "user", "content": self.word}]});
        let line = json!({"custom_id": self.word, "method": "POST", "url": PATH, "body": body}).to_string();
        let form = file_form(Some((&self.word, line.as_bytes())), &[("purpose", "batch")]);
        let file = send(&app.router(), "POST", "/v1/files", &self.key, &[("content-type", FORM)], form).await.json();
        let batch = json!({"input_file_id": file["id"], "endpoint": PATH, "completion_window": "24h"});
        let worker = app.instance().batch_worker(shared::edge::render);
        let work = |event| batch::job(event, Arc::clone(&worker), None);
        self.post(app, "/v1/batches", &[], batch.clone()).await;
        while app.work_once(Queue::Batch, work).await > 0 {}
        self.post(app, "/v1/batches", &[], batch).await;
        app.work_once(Queue::Batch, work).await;
        // The results are stored, and the process dies before it completes the part.
        app.faults.set(|operation| if operation == "TransactWriteItems" { Fault::Hang } else { Fault::None });
        app.faults.or_die(app.work_once(Queue::Batch, work)).await;
        assert!(app.faults.hangs());
        app.faults.clear();
    }

    async fn add_upload(&self, app: &TestApp) {
        let upload = json!({"filename": self.word, "purpose": "user_data", "bytes": 100, "mime_type": "text/plain"});
        let upload = self.post(app, "/v1/uploads", &[], upload).await.json();
        let path = format!("/v1/uploads/{}/parts", upload["id"].as_str().unwrap());
        let body = form(&[("data", Some("a"), self.word.as_bytes())]);
        let reply = send(&app.router(), "POST", &path, &self.key, &[("content-type", FORM)], body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    /// Small and large, streamed, ended in the background, deleted while they ran.
    async fn add_responses(&self, app: &TestApp) {
        for padding in ["", &*random(180_000)] {
            for members in [json!({}), json!({"stream": true}), json!({"background": true})] {
                let mut body = json!({"model": "priced", "max_output_tokens": 100, "instructions": padding});
                body["input"] = json!(self.word);
                for (name, value) in members.as_object().unwrap() {
                    body[name] = value.clone();
                }
                self.post(app, "/v1/responses", &[], body).await;
            }
        }
        self.work(app).await;
        let body = json!({"model": "priced", "input": self.word, "max_output_tokens": 100, "background": true});
        let doomed = self.post(app, "/v1/responses", &[("idempotency-key", "c")], body).await.json();
        let path = format!("/v1/responses/{}", doomed["id"].as_str().unwrap());
        assert_eq!(self.send(app, "DELETE", &path, &[], &Value::Null).await.status, 200);
    }

    /// Calls that fail.
    async fn open_a_breaker(&self, app: &TestApp) {
        let mut chat: Value = serde_json::from_str(CHAT).unwrap();
        app.first.always(Script::Fail(|| Failure::Unavailable {
            status: 503,
            message: String::new(),
            retry_after: None,
        }));
        // Each process counts for itself.
        let router = app.router();
        for n in 0..10 {
            chat["user"] = json!(n.to_string());
            let failed = send(&router, "POST", PATH, &self.key, &[], chat.to_string()).await;
            assert!(failed.status >= 500, "{}", failed.text());
        }
        app.first.always(Script::answer(&format!("I say {}.", self.word), 10, 5));
    }

    async fn add_conversation(&self, app: &TestApp) {
        let item = |text: &str| json!({"type": "message", "role": "user", "content": text});
        let large = format!("{} {}", self.word, random(180_000));
        let items = [item(&self.word), item(&large)];
        self.post(app, "/v1/conversations", &[], json!({"items": items, "metadata": {"a": self.word}})).await;
    }

    async fn work(&self, app: &TestApp) {
        let instance = app.instance();
        while app.work_once(Queue::Respond, |event| respond::job(event, instance.response_worker(), None)).await > 0 {}
    }

    /// Lets everything end that is due.
    pub(super) async fn settle(&self, app: &TestApp) {
        let path = format!("/v1/webhook_endpoints/{}", self.endpoint);
        self.post(app, &path, &[], json!({"status": "disabled"})).await;
        for _ in 0..3 {
            self.work(app).await;
            self.ingest(app).await;
            let worker = app.instance().batch_worker(shared::edge::render);
            while app.work_once(Queue::Batch, |event| batch::job(event, Arc::clone(&worker), None)).await > 0 {}
            let instance = app.instance();
            while app.work_once(Queue::Deliver, |event| deliver::job(event, instance.deliverer())).await > 0 {}
            app.clock.advance_ms(3_600_000);
            instance.sweeper().sweep().await.unwrap();
        }
    }

    /// The items of the table, as keys with their attributes, that this project has or that name it.
    async fn items(&self, app: &TestApp) -> BTreeMap<(String, String), String> {
        let mut found = BTreeMap::new();
        for item in app.items().await {
            let text = |name: &str| item[name].as_s().unwrap().clone();
            let whole = shown_item(&item);
            if whole.contains(&self.project.id) {
                found.insert((text("pk"), text("sk")), whole);
            }
        }
        found
    }

    /// Its items and bodies.
    pub(super) async fn all_of(&self, app: &TestApp) -> Vec<String> {
        let items = self.items(app).await.into_values();
        items.chain(self.objects(app).await).chain(app.places_of(&self.word).await).collect()
    }

    /// The keys of its bodies in the bucket.
    pub(super) async fn objects(&self, app: &TestApp) -> Vec<String> {
        app.objects().await.into_iter().filter(|key| key.contains(&self.project.id)).collect()
    }

    /// Checks that the table has an item of each kind, and that no kind is missing in [`KINDS`].
    pub(super) async fn check_that_it_has_every_kind(&self, app: &TestApp) {
        let known: Vec<&str> = KINDS.iter().map(|(name, ..)| *name).collect();
        let mut functions = functions();
        functions.sort_by_key(|name| known.iter().position(|known| known == name));
        assert_eq!(functions, known, "each function of `data::keys` has a row in `KINDS`");
        let all: Vec<(String, String)> = app
            .items()
            .await
            .iter()
            .map(|item| (item["pk"].as_s().unwrap().clone(), item["sk"].as_s().unwrap().clone()))
            .collect();
        for kind in &KINDS {
            assert!(all.iter().any(|(pk, sk)| self.is_of(kind, pk, sk)), "there is no {}", kind.0);
        }
        let run = Run::new(RunName::parse("run-1", "run").unwrap(), None, &Policy::default());
        assert!(!app.shards_of(&run.meter(&self.project.id)).await.is_empty());
        for root in ["bodies/", "kept/"] {
            assert!(self.objects(app).await.iter().any(|key| key.starts_with(root)), "there is no body in {root}");
        }
    }

    /// The items that are left, of kinds that a purge erases or that no row knows.
    pub(super) async fn erased_that_are_left(&self, app: &TestApp) -> Vec<String> {
        let stays = |(pk, sk): &(String, String)| KINDS.iter().any(|kind| !kind.3 && self.is_of(kind, pk, sk));
        let left = self.items(app).await.into_keys().filter(|key| !stays(key));
        left.map(|(pk, sk)| format!("{pk}/{sk}")).collect()
    }

    fn is_of(&self, (_, partition, sort, _): &(&str, &str, &str, bool), pk: &str, sk: &str) -> bool {
        pk.starts_with(&partition.replace("{}", &self.project.id)) && sk.starts_with(sort)
    }
}
