//! Every route with every kind of key and every kind of id: nothing of a project is reached with another's key, and what
//! belongs to somebody else looks like what does not exist.
//!
//! The routes are the routers' own; one without a row here fails.

use std::collections::BTreeSet;

use axum::Router;
use kit::{ADMIN_KEY, FORM, Reply, TestApp, file_form, form_of, new_key, router_of, routes_of, send};
use serde_json::{Value, json};
use shared::app::Components;
use shared::app::webhooks::Announcer;
use shared::model::project::{Limits, Policy, Project};
use shared::model::webhook::{EventType, WebhookEvent};

use crate::{PATH, budget};

/// Whom a route serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    Everybody,
    /// Callers with the key of a project; what its path names is theirs alone.
    Project,
    /// The operator of the deployment.
    Admin,
}

/// Route, whom it serves, and a body that it takes, or the query of a `GET`. A text that begins with `@` makes the body a form with a
/// file.
type Row = (&'static str, For, &'static str);

const ROWS: [Row; 120] = [
    ("GET /healthz", For::Everybody, ""),
    ("POST /v1/chat/completions", For::Project, r#"{"model":"priced","messages":[{"role":"user","content":"Hi"}]}"#),
    ("POST /v1/completions", For::Project, r#"{"model":"priced","prompt":"Hi"}"#),
    ("POST /v1/moderations", For::Project, r#"{"model":"moderation","input":"Hi"}"#),
    ("POST /v1/embeddings", For::Project, r#"{"model":"embedding","input":"Hi"}"#),
    ("POST /v1/images/generations", For::Project, r#"{"model":"image","prompt":"A cat"}"#),
    ("POST /v1/images/edits", For::Project, r#"{"model":"image","prompt":"A cat","image":"@a.png"}"#),
    ("POST /v1/audio/speech", For::Project, r#"{"model":"speech","input":"Hi","voice":"alloy"}"#),
    ("POST /v1/audio/transcriptions", For::Project, r#"{"model":"transcription","file":"@a.mp3"}"#),
    ("POST /v1/audio/translations", For::Project, r#"{"model":"transcription","file":"@a.mp3"}"#),
    (
        "POST /v1/messages",
        For::Project,
        r#"{"model":"priced","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#,
    ),
    (
        "POST /v1/messages/count_tokens",
        For::Project,
        r#"{"model":"priced","messages":[{"role":"user","content":"Hi"}]}"#,
    ),
    ("GET /v1/files", For::Project, ""),
    ("POST /v1/files", For::Project, r#"{"purpose":"user_data","file":"@a.txt"}"#),
    ("GET /v1/files/{file_id}", For::Project, ""),
    ("DELETE /v1/files/{file_id}", For::Project, ""),
    ("GET /v1/files/{file_id}/content", For::Project, ""),
    (
        "POST /v1/uploads",
        For::Project,
        r#"{"filename":"a.txt","purpose":"user_data","bytes":5,"mime_type":"text/plain"}"#,
    ),
    ("POST /v1/uploads/{upload_id}/parts", For::Project, r#"{"data":"@a.txt"}"#),
    ("POST /v1/uploads/{upload_id}/complete", For::Project, r#"{"part_ids":["{part_id}"]}"#),
    ("POST /v1/uploads/{upload_id}/cancel", For::Project, ""),
    ("GET /v1/batches", For::Project, ""),
    (
        "POST /v1/batches",
        For::Project,
        r#"{"input_file_id":"{batch_file_id}","endpoint":"/v1/chat/completions","completion_window":"24h"}"#,
    ),
    ("GET /v1/batches/{batch_id}", For::Project, ""),
    ("POST /v1/batches/{batch_id}/cancel", For::Project, ""),
    ("GET /v1/vector_stores", For::Project, ""),
    ("POST /v1/vector_stores", For::Project, r#"{"name":"n","file_ids":["{file_id}"]}"#),
    ("GET /v1/vector_stores/{vector_store_id}", For::Project, ""),
    ("POST /v1/vector_stores/{vector_store_id}", For::Project, r#"{"name":"m"}"#),
    ("DELETE /v1/vector_stores/{vector_store_id}", For::Project, ""),
    ("POST /v1/vector_stores/{vector_store_id}/search", For::Project, r#"{"query":"Hi"}"#),
    ("GET /v1/vector_stores/{vector_store_id}/files", For::Project, ""),
    ("POST /v1/vector_stores/{vector_store_id}/files", For::Project, r#"{"file_id":"{file_id}"}"#),
    ("GET /v1/vector_stores/{vector_store_id}/files/{file_id}", For::Project, ""),
    ("POST /v1/vector_stores/{vector_store_id}/files/{file_id}", For::Project, r#"{"attributes":{"a":1}}"#),
    ("DELETE /v1/vector_stores/{vector_store_id}/files/{file_id}", For::Project, ""),
    ("GET /v1/vector_stores/{vector_store_id}/files/{file_id}/content", For::Project, ""),
    ("GET /v1/models", For::Project, ""),
    ("GET /v1/models/{*model}", For::Project, ""),
    ("POST /v1/responses", For::Project, r#"{"model":"priced","input":"Hi"}"#),
    ("POST /v1/quote", For::Project, r#"{"model":"priced","input":"Hi"}"#),
    ("POST /v1/responses/input_tokens", For::Project, r#"{"model":"priced","input":"Hi"}"#),
    ("POST /v1/responses/compact", For::Project, r#"{"model":"priced","input":"Hi"}"#),
    ("GET /v1/responses/{id}", For::Project, ""),
    ("DELETE /v1/responses/{id}", For::Project, ""),
    ("POST /v1/responses/{id}/cancel", For::Project, ""),
    ("GET /v1/responses/{id}/input_items", For::Project, ""),
    ("POST /v1/conversations", For::Project, "{}"),
    ("GET /v1/conversations/{id}", For::Project, ""),
    ("POST /v1/conversations/{id}", For::Project, r#"{"metadata":{}}"#),
    ("DELETE /v1/conversations/{id}", For::Project, ""),
    ("GET /v1/conversations/{id}/items", For::Project, ""),
    (
        "POST /v1/conversations/{id}/items",
        For::Project,
        r#"{"items":[{"type":"message","role":"user","content":"Hi"}]}"#,
    ),
    ("GET /v1/conversations/{id}/items/{item_id}", For::Project, ""),
    ("DELETE /v1/conversations/{id}/items/{item_id}", For::Project, ""),
    ("GET /v1/webhook_endpoints", For::Project, ""),
    (
        "POST /v1/webhook_endpoints",
        For::Project,
        r#"{"name":"a","url":"http://127.0.0.1:9/","event_types":["response.completed"]}"#,
    ),
    ("GET /v1/webhook_endpoints/{endpoint_id}", For::Project, ""),
    ("POST /v1/webhook_endpoints/{endpoint_id}", For::Project, r#"{"name":"x"}"#),
    ("DELETE /v1/webhook_endpoints/{endpoint_id}", For::Project, ""),
    ("POST /v1/webhook_endpoints/{endpoint_id}/rotate_secret", For::Project, ""),
    ("POST /v1/webhook_endpoints/{endpoint_id}/test", For::Project, r#"{"event_type":"response.completed"}"#),
    ("GET /v1/webhook_event_types", For::Project, ""),
    ("GET /v1/webhook_endpoints/{endpoint_id}/deliveries", For::Project, ""),
    ("GET /v1/webhook_endpoints/{endpoint_id}/deliveries/{delivery_id}", For::Project, ""),
    ("POST /v1/webhook_endpoints/{endpoint_id}/deliveries/{delivery_id}/redeliver", For::Project, ""),
    ("GET /v1/organization/projects", For::Admin, ""),
    ("POST /v1/organization/projects", For::Admin, r#"{"name":"New"}"#),
    ("GET /v1/organization/projects/{project_id}", For::Admin, ""),
    ("POST /v1/organization/projects/{project_id}", For::Admin, r#"{"name":"Other"}"#),
    ("POST /v1/organization/projects/{project_id}/archive", For::Admin, ""),
    ("POST /v1/organization/projects/{project_id}/purge", For::Admin, ""),
    ("GET /v1/organization/projects/{project_id}/service_accounts", For::Admin, ""),
    ("POST /v1/organization/projects/{project_id}/service_accounts", For::Admin, r#"{"name":"app"}"#),
    ("GET /v1/organization/projects/{project_id}/service_accounts/{account_id}", For::Admin, ""),
    ("DELETE /v1/organization/projects/{project_id}/service_accounts/{account_id}", For::Admin, ""),
    ("GET /v1/organization/projects/{project_id}/api_keys", For::Admin, ""),
    ("GET /v1/organization/projects/{project_id}/api_keys/{key_id}", For::Admin, ""),
    ("POST /v1/organization/projects/{project_id}/api_keys/{key_id}", For::Admin, "{}"),
    ("DELETE /v1/organization/projects/{project_id}/api_keys/{key_id}", For::Admin, ""),
    ("GET /v1/organization/projects/{project_id}/spend_limit", For::Admin, ""),
    (
        "POST /v1/organization/projects/{project_id}/spend_limit",
        For::Admin,
        r#"{"threshold_amount":1,"currency":"USD","interval":"month"}"#,
    ),
    ("DELETE /v1/organization/projects/{project_id}/spend_limit", For::Admin, ""),
    ("GET /v1/organization/projects/{project_id}/model_permissions", For::Admin, ""),
    (
        "POST /v1/organization/projects/{project_id}/model_permissions",
        For::Admin,
        r#"{"mode":"allow_list","model_ids":["priced"]}"#,
    ),
    ("DELETE /v1/organization/projects/{project_id}/model_permissions", For::Admin, ""),
    ("GET /v1/organization/projects/{project_id}/storage", For::Admin, ""),
    ("GET /v1/organization/projects/{project_id}/rate_limits", For::Admin, ""),
    (
        "POST /v1/organization/projects/{project_id}/rate_limits/{rate_limit_id}",
        For::Admin,
        r#"{"max_requests_per_1_minute":9}"#,
    ),
    ("GET /v1/organization/admin_api_keys", For::Admin, ""),
    ("POST /v1/organization/admin_api_keys", For::Admin, r#"{"name":"second"}"#),
    ("GET /v1/organization/admin_api_keys/{admin_key_id}", For::Admin, ""),
    ("DELETE /v1/organization/admin_api_keys/{admin_key_id}", For::Admin, ""),
    ("GET /v1/organization/audit_logs", For::Admin, ""),
    ("GET /v1/organization/jobs", For::Admin, ""),
    ("GET /v1/organization/jobs/{id}", For::Admin, ""),
    ("POST /v1/organization/jobs/{id}/cancel", For::Admin, ""),
    ("GET /v1/organization/providers", For::Admin, ""),
    ("GET /v1/organization/dead_letters", For::Admin, ""),
    ("POST /v1/organization/dead_letters/replay", For::Admin, r#"{"queue":"respond"}"#),
    ("GET /v1/organization/usage/completions", For::Admin, "start_time=1795000000"),
    ("GET /v1/organization/usage/embeddings", For::Admin, "start_time=1795000000"),
    ("GET /v1/organization/usage/moderations", For::Admin, "start_time=1795000000"),
    ("GET /v1/organization/usage/images", For::Admin, "start_time=1795000000"),
    ("GET /v1/organization/usage/audio_speeches", For::Admin, "start_time=1795000000"),
    ("GET /v1/organization/usage/audio_transcriptions", For::Admin, "start_time=1795000000"),
    ("GET /v1/organization/costs", For::Admin, "start_time=1795000000"),
    // Ids that are in bodies.
    (
        "POST /v1/responses previous_response_id",
        For::Project,
        r#"{"model":"priced","input":"Hi","previous_response_id":"{id}"}"#,
    ),
    (
        "POST /v1/responses conversation",
        For::Project,
        r#"{"model":"priced","input":"Hi","conversation":"{conversation}"}"#,
    ),
    (
        "POST /v1/responses background",
        For::Project,
        r#"{"model":"priced","input":"Hi","background":true,"previous_response_id":"{id}"}"#,
    ),
    (
        "POST /v1/responses stream",
        For::Project,
        r#"{"model":"priced","input":"Hi","stream":true,"previous_response_id":"{id}"}"#,
    ),
    (
        "POST /v1/responses/input_tokens previous_response_id",
        For::Project,
        r#"{"model":"priced","input":"Hi","previous_response_id":"{id}"}"#,
    ),
    (
        "POST /v1/chat/completions file",
        For::Project,
        r#"{"model":"priced","messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"{file_id}"}}]}]}"#,
    ),
    (
        "POST /v1/messages file",
        For::Project,
        r#"{"model":"priced","max_tokens":9,"messages":[{"role":"user","content":[{"type":"document","source":{"type":"file","file_id":"{file_id}"}}]}]}"#,
    ),
    (
        "POST /v1/messages/count_tokens file",
        For::Project,
        r#"{"model":"priced","messages":[{"role":"user","content":[{"type":"document","source":{"type":"file","file_id":"{file_id}"}}]}]}"#,
    ),
    (
        "POST /v1/responses file",
        For::Project,
        r#"{"model":"priced","input":[{"role":"user","content":[{"type":"input_file","file_id":"{file_id}"}]}]}"#,
    ),
    (
        "POST /v1/responses background_file",
        For::Project,
        r#"{"model":"priced","background":true,"input":[{"role":"user","content":[{"type":"input_image","file_id":"{file_id}"}]}]}"#,
    ),
    (
        "POST /v1/responses/input_tokens file",
        For::Project,
        r#"{"model":"priced","input":[{"role":"user","content":[{"type":"input_file","file_id":"{file_id}"}]}]}"#,
    ),
    (
        "POST /v1/responses/compact file",
        For::Project,
        r#"{"model":"priced","input":[{"role":"user","content":[{"type":"input_file","file_id":"{file_id}"}]}]}"#,
    ),
    (
        "POST /v1/quote file",
        For::Project,
        r#"{"model":"priced","input":[{"role":"user","content":[{"type":"input_file","file_id":"{file_id}"}]}]}"#,
    ),
];

/// A project with one of everything, and the key of its first service account.
struct Tenant {
    project: Project,
    key: String,
    response: String,
    job: String,
    conversation: String,
    item: String,
    endpoint: String,
    delivery: String,
    file: String,
    upload: String,
    part: String,
    batch_file: String,
    batch: String,
    store: String,
    account: String,
    account_key: String,
    admin_key: String,
}

/// What ids a request names: those of a tenant, or such as nobody has.
type Names = Vec<(&'static str, String)>;

async fn made(router: &Router, key: &str, path: &str, body: Value) -> Value {
    let reply = send(router, "POST", path, key, &[], body.to_string()).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    reply.json()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

async fn new_file(router: &Router, key: &str, purpose: &str) -> String {
    let body = file_form(Some(("a.txt", b"Hello")), &[("purpose", purpose)]);
    let reply = send(router, "POST", "/v1/files", key, &[("content-type", FORM)], body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    text(&reply.json()["id"])
}

/// An upload with one part, which is the whole file.
async fn new_upload(router: &Router, key: &str) -> (String, String) {
    let upload = json!({"filename": "a.txt", "purpose": "user_data", "bytes": 6, "mime_type": "text/plain"});
    let upload = text(&made(router, key, "/v1/uploads", upload).await["id"]);
    let (path, body) = (format!("/v1/uploads/{upload}/parts"), form_of(r#"{"data":"@a.txt"}"#));
    let reply = send(router, "POST", &path, key, &[("content-type", FORM)], body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let part = text(&reply.json()["id"]);
    (upload, part)
}

impl Tenant {
    async fn new(app: &TestApp, instance: &Components, limits: Limits) -> Self {
        let (project, key) = app.project(limits, Policy::default()).await;
        let router = &router_of(instance);
        let accounts = format!("/v1/organization/projects/{}/service_accounts", project.id);
        let account = made(router, ADMIN_KEY, &accounts, json!({"name": "app"})).await;
        let response = made(router, &key, "/v1/responses", json!({"model": "priced", "input": "Hi"})).await;
        let background = json!({"model": "priced", "input": "Hi", "background": true});
        let job = made(router, &key, "/v1/responses", background).await;
        let message = json!({"type": "message", "role": "user", "content": "Hi"});
        let conversation = made(router, &key, "/v1/conversations", json!({"items": [message]})).await;
        let conversation = text(&conversation["id"]);
        let items = send(router, "GET", &format!("/v1/conversations/{conversation}/items"), &key, &[], "").await;
        let hook = json!({"name": "a", "url": "http://127.0.0.1:9/", "event_types": ["response.completed"]});
        let endpoint = text(&made(router, &key, "/v1/webhook_endpoints", hook).await["id"]);
        let event = WebhookEvent::new(EventType::ResponseCompleted, "resp_1", app.clock.now());
        let announcer = Announcer::new(&app.stores, app.clock.clone());
        announcer.announce(&project.id, &event, None, 86_400).await.unwrap();
        let path = format!("/v1/webhook_endpoints/{endpoint}/deliveries");
        let deliveries = send(router, "GET", &path, &key, &[], "").await;
        let (upload, part) = new_upload(router, &key).await;
        let file = new_file(router, &key, "user_data").await;
        let store = made(router, &key, "/v1/vector_stores", json!({"file_ids": [file]})).await;
        let batch_file = new_file(router, &key, "batch").await;
        let batch =
            json!({"input_file_id": batch_file, "endpoint": "/v1/chat/completions", "completion_window": "24h"});
        Self {
            batch: text(&made(router, &key, "/v1/batches", batch).await["id"]),
            batch_file,
            response: text(&response["id"]),
            job: text(&job["id"]),
            item: text(&items.json()["data"][0]["id"]),
            delivery: text(&deliveries.json()["data"][0]["id"]),
            account: text(&account["id"]),
            account_key: text(&account["api_key"]["id"]),
            admin_key: text(
                &made(router, ADMIN_KEY, "/v1/organization/admin_api_keys", json!({"name": "a"})).await["id"],
            ),
            conversation,
            file,
            store: text(&store["id"]),
            upload,
            part,
            endpoint,
            project,
            key,
        }
    }

    fn names(&self, route: &str) -> Names {
        let id = match route {
            route if route.contains("/jobs/") || route.ends_with("/cancel") => &self.job,
            route if route.contains("/conversations/") => &self.conversation,
            _ => &self.response,
        };
        vec![
            ("{id}", id.clone()),
            ("{conversation}", self.conversation.clone()),
            ("{file_id}", self.file.clone()),
            ("{upload_id}", self.upload.clone()),
            ("{part_id}", self.part.clone()),
            ("{batch_file_id}", self.batch_file.clone()),
            ("{batch_id}", self.batch.clone()),
            ("{vector_store_id}", self.store.clone()),
            ("{item_id}", self.item.clone()),
            ("{endpoint_id}", self.endpoint.clone()),
            ("{delivery_id}", self.delivery.clone()),
            ("{project_id}", self.project.id.clone()),
            ("{account_id}", self.account.clone()),
            ("{key_id}", self.account_key.clone()),
            ("{admin_key_id}", self.admin_key.clone()),
            ("{rate_limit_id}", "rl_all".to_owned()),
            ("{*model}", "priced".to_owned()),
        ]
    }
}

/// Ids of the same form that nobody has.
fn unknown(names: &Names) -> Names {
    let other = |id: &str| match id.find(['_', '-']) {
        Some(end) if id != "rl_all" => format!("{}{}", &id[..=end], "x".repeat(id.len() - end - 1)),
        _ => id.to_owned(),
    };
    names.iter().map(|(name, id)| (*name, other(id))).collect()
}

fn filled(template: &str, names: &Names) -> String {
    names.iter().fold(template.to_owned(), |text, (name, id)| text.replace(name, id))
}

/// What an answer says, with the ids of the request blotted out.
fn said(reply: &Reply, names: &Names) -> (u16, String) {
    // Anthropic's envelope has the id of the request.
    let text = reply.text().replace(reply.header("x-request-id"), "*");
    let text = names.iter().fold(text, |text, (_, id)| text.replace(id.as_str(), "*"));
    (reply.status, text)
}

struct Case<'a> {
    router: Router,
    row: &'a Row,
}

impl Case<'_> {
    async fn send(&self, key: &str, names: &Names) -> Reply {
        let mut words = self.row.0.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let (path, sent) = (filled(path, names), filled(self.row.2, names));
        // The tag of everything that exists: a 304 would say so.
        let held = [("if-none-match", "*")];
        let reply = match method {
            "GET" => send(&self.router, method, &format!("{path}?{sent}"), key, &held, "").await,
            _ if sent.contains("\"@") => {
                let held = [held[0], ("content-type", FORM)];
                send(&self.router, method, &path, key, &held, form_of(&sent)).await
            }
            _ => send(&self.router, method, &path, key, &held, sent).await,
        };
        let (copies, vary) = (reply.header("cache-control"), reply.header("vary"));
        let expected = match (self.row.0, reply.status) {
            ("GET /v1/models" | "GET /v1/models/{*model}", 200 | 304) => "private, max-age=60",
            ("GET /v1/responses/{id}" | "GET /v1/files/{file_id}/content", 200 | 304) => "private, no-cache",
            ("POST /v1/responses stream", 200) => "no-cache",
            _ => "no-store",
        };
        assert_eq!((copies, vary), (expected, "authorization, x-api-key"), "{}", self.row.0);
        reply
    }

    async fn refuses(&self, key: &str, what: &str, names: &Names) {
        let reply = self.send(key, names).await;
        let context = format!("{} with {what}: {}", self.row.0, reply.text());
        assert_eq!((reply.status, &*reply.code()), (401, "invalid_api_key"), "{context}");
    }

    /// Whether what the request names belongs to somebody.
    fn names_something(&self) -> bool {
        let named = format!("{}{}", self.row.0, self.row.2);
        named.contains("{id}") || named.contains("_id}") || named.contains("{conversation}")
    }
}

async fn check(row: &Row) {
    let app = TestApp::new().await;
    let instance = app.instance();
    // A limit that is read must be there; with one, models need prices.
    let limits = if row.0.contains("spend_limit") { budget(1.0) } else { Limits::default() };
    let (own, other) = (Tenant::new(&app, &instance, limits).await, Tenant::new(&app, &instance, limits).await);
    let revoked = {
        let router = router_of(&instance);
        let accounts = format!("/v1/organization/projects/{}/service_accounts", own.project.id);
        let account = made(&router, ADMIN_KEY, &accounts, json!({"name": "old"})).await;
        let key = text(&account["api_key"]["value"]);
        assert_eq!(send(&router, "GET", "/v1/models", &key, &[], "").await.status, 200);
        let path = format!("/v1/organization/projects/{}/api_keys/{}", own.project.id, text(&account["api_key"]["id"]));
        assert_eq!(send(&router, "DELETE", &path, ADMIN_KEY, &[], "").await.status, 200);
        key
    };
    app.clock.advance_ms(31_000); // Processes remember keys for 30 s.
    let case = Case { router: router_of(&instance), row };
    let (own_names, other_names) = (own.names(row.0), other.names(row.0));
    let unknown_names = unknown(&own_names);
    let stranger = new_key(&own.project.id);
    let without = [("no key", ""), ("a wrong key", stranger.secret().expose()), ("a revoked key", &revoked)];
    for names in [&own_names, &other_names, &unknown_names] {
        for (what, key) in without {
            match row.1 {
                For::Everybody => assert_eq!(case.send(key, names).await.status, 200),
                For::Project | For::Admin => case.refuses(key, what, names).await,
            }
        }
        match row.1 {
            For::Everybody => {}
            For::Project => case.refuses(ADMIN_KEY, "the admin key", names).await,
            For::Admin => {
                case.refuses(&own.key, "a project's key", names).await;
                case.refuses(&other.key, "another project's key", names).await;
            }
        }
    }
    let key = if row.1 == For::Admin { ADMIN_KEY } else { &own.key };
    if case.names_something() {
        let absent = said(&case.send(key, &unknown_names).await, &unknown_names);
        assert!([400, 404].contains(&absent.0), "{} with an unknown id: {absent:?}", row.0);
        if row.1 == For::Project {
            let foreign = said(&case.send(key, &other_names).await, &other_names);
            assert_eq!(foreign, absent, "{}: what is another's must look as if it did not exist", row.0);
            let stolen = said(&case.send(&other.key, &own_names).await, &own_names);
            assert_eq!(stolen, absent, "{} with another project's key", row.0);
        }
    }
    let reply = case.send(key, &own_names).await;
    // It is too early, or nobody listens at the endpoint.
    const EXPECTED: [&str; 3] = ["delivery_pending", "project_not_archived", "webhook_endpoint_unanswered"];
    assert!(reply.status < 400 || EXPECTED.contains(&&*reply.code()), "{}: {}", row.0, reply.text());
    untouched(&case.router, &other).await;
}

/// Nothing of a project has changed by what was sent with other keys.
async fn untouched(router: &Router, tenant: &Tenant) {
    for path in [
        format!("/v1/responses/{}", tenant.response),
        format!("/v1/responses/{}", tenant.job),
        format!("/v1/conversations/{}/items/{}", tenant.conversation, tenant.item),
        format!("/v1/files/{}", tenant.file),
        format!("/v1/batches/{}", tenant.batch),
        format!("/v1/vector_stores/{}/files/{}", tenant.store, tenant.file),
        format!("/v1/webhook_endpoints/{}/deliveries/{}", tenant.endpoint, tenant.delivery),
    ] {
        let reply = send(router, "GET", &path, &tenant.key, &[], "").await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        let status = text(&reply.json().get("status").cloned().unwrap_or_else(|| json!("")));
        assert!(!status.starts_with("cancel"), "{path}: {status}");
    }
    let path = format!("/v1/uploads/{}/complete", tenant.upload);
    let completed = made(router, &tenant.key, &path, json!({"part_ids": [tenant.part]})).await;
    assert_eq!(completed["status"], "completed", "{completed}");
}

#[tokio::test]
async fn no_key_reaches_what_is_another_s() {
    for row in &ROWS {
        check(row).await;
    }
}

#[tokio::test]
async fn every_route_has_a_row() {
    let routes = routes_of(&TestApp::new().await.router()).await;
    let routes: BTreeSet<String> = routes.iter().map(|(method, path)| format!("{method} {path}")).collect();
    let rows: BTreeSet<String> =
        ROWS.iter().map(|row| row.0.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(routes, rows);
    assert!(rows.iter().any(|row| row.ends_with(PATH)));
}
