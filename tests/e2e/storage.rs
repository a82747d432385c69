//! How much a project stores: counted exactly, with limits, and read a page at a time.

use axum::Router;
use futures_util::future::join_all;
use kit::{ADMIN_KEY, Consumed, Reply, Script, TestApp, router_of, send};
use serde_json::{Value, json};
use shared::model::id::random;
use shared::model::project::{Limits, Policy};
use shared::model::retention::Retention;

const CONVERSATIONS: &str = "/v1/conversations";
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

struct Client {
    router: Router,
    project_id: String,
    key: String,
}

impl Client {
    async fn new(app: &TestApp, policy: Policy) -> Self {
        let (project, key) = app.project(Limits::default(), policy).await;
        Self { router: app.router(), project_id: project.id, key }
    }

    async fn send(&self, method: &str, path: &str, body: Value) -> Reply {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        send(&self.router, method, path, &self.key, &[], body).await
    }

    async fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let reply = self.send(method, path, body).await;
        assert_eq!(reply.status, 200, "{method} {path}: {}", reply.text());
        reply.json()
    }

    async fn conversation(&self, body: Value) -> String {
        format!("{CONVERSATIONS}/{}", self.ok("POST", CONVERSATIONS, body).await["id"].as_str().unwrap())
    }

    /// The bytes and objects that the project stores, as its administrator sees them.
    async fn stored(&self) -> (u64, u64) {
        let path = format!("/v1/organization/projects/{}/storage", self.project_id);
        let storage = send(&self.router, "GET", &path, ADMIN_KEY, &[], "").await.json();
        let number = |name: &str| storage["stored"][name].as_u64().unwrap();
        (number("bytes"), number("objects"))
    }

    /// The bytes of the items of a conversation, as they are listed, and their number.
    async fn listed(&self, path: &str) -> (u64, u64) {
        let listed = self.ok("GET", &format!("{path}/items?limit=100"), Value::Null).await;
        let items = listed["data"].as_array().unwrap();
        (items.iter().map(|item| item.to_string().len() as u64).sum(), items.len() as u64)
    }
}

fn message(id: &str, text: &str) -> Value {
    json!({"type": "message", "id": id, "role": "user", "content": text})
}

fn messages(count: usize, text: &str) -> Vec<Value> {
    (0..count).map(|n| message(&format!("m{n}"), text)).collect()
}

#[tokio::test]
async fn what_is_stored_is_counted_until_it_is_deleted() {
    let app = TestApp::new().await;
    let client = Client::new(&app, Policy::default()).await;
    assert_eq!(client.stored().await, (0, 0));
    let path = client.conversation(json!({"items": messages(3, "Hello")})).await;
    client.ok("POST", &format!("{path}/items"), json!({"items": [message("m3", &random(150_000))]})).await;
    let (bytes, items) = client.listed(&path).await;
    assert_eq!((client.stored().await, items), ((bytes, 5), 4), "the items and the conversation");

    let id = path.rsplit('/').next().unwrap();
    let ask = json!({"model": "priced", "conversation": id, "input": [message("m0", "Hello"), message("m4", "Go on")]});
    client.ok("POST", "/v1/responses", ask).await;
    let (bytes, items) = client.listed(&path).await;
    assert_eq!((client.stored().await, items), ((bytes, 7), 6), "the turn of a response, without what was there");

    client.ok("DELETE", &format!("{path}/items/m3"), Value::Null).await;
    assert_eq!(client.send("DELETE", &format!("{path}/items/m3"), Value::Null).await.status, 404);
    let (bytes, items) = client.listed(&path).await;
    assert_eq!((client.stored().await, items), ((bytes, 6), 5));
    client.conversation(Value::Null).await;
    client.ok("DELETE", &path, Value::Null).await;
    assert_eq!(client.stored().await, (0, 1), "the empty one");
}

#[tokio::test]
async fn additions_and_deletions_at_one_time_are_all_counted() {
    let app = TestApp::new().await;
    let client = Client::new(&app, Policy::default()).await;
    let paths = join_all((0..8).map(|_| client.conversation(json!({"items": messages(2, "Hello")})))).await;
    let (bytes, _) = client.listed(&paths[0]).await;
    assert_eq!(client.stored().await, (8 * bytes, 24));
    let item = format!("{}/items/m0", paths[0]);
    let deleted = join_all((0..8).map(|_| client.send("DELETE", &item, Value::Null))).await;
    assert!(deleted.iter().any(|reply| reply.status == 200));
    assert_eq!(client.stored().await, (8 * bytes - bytes / 2, 23), "once");
    let deletions = paths.iter().flat_map(|path| [path, path]);
    join_all(deletions.map(|path| client.send("DELETE", path, Value::Null))).await;
    assert_eq!(client.stored().await, (0, 0));
}

#[tokio::test]
async fn a_project_stores_no_more_than_it_may() {
    let app = TestApp::new().await;
    let policy = Policy { max_stored_bytes: Some(1_000), max_stored_objects: Some(4), ..Policy::default() };
    let client = Client::new(&app, policy).await;
    let refused = async |method: &str, path: &str, body: Value, message: &str| {
        let reply = client.send(method, path, body).await;
        assert_eq!((reply.status, reply.code().as_str()), (403, "storage_limit_exceeded"), "{}", reply.text());
        assert_eq!(reply.json()["error"]["type"], "insufficient_quota");
        let text = reply.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(text.contains(message), "{text}");
    };
    let path = client.conversation(json!({"items": messages(2, "Hello")})).await;
    let (id, items) = (path.rsplit('/').next().unwrap(), format!("{path}/items"));
    let text = "a".repeat(2_000);
    let (bytes, _) = client.stored().await;
    let too_large = json!({"items": [message("m2", &text)]});
    let needed = 2_000 + bytes / 2 - 5;
    let full = format!(
        "may store 1000 bytes in conversations and files and has {bytes}; this request needs {needed}. Delete some of \
         them, or ask an administrator to raise `policy.max_stored_bytes`."
    );
    refused("POST", &items, too_large.clone(), &full).await;
    refused("POST", CONVERSATIONS, too_large, &full).await;
    refused(
        "POST",
        CONVERSATIONS,
        json!({"items": messages(1, "Hello")}),
        "may store 4 objects in conversations and files and has 3;",
    )
    .await;
    client.ok("POST", &items, json!({"items": [message("m2", "Hello")]})).await;
    let ask = json!({"model": "priced", "conversation": id, "input": "Hi"});
    refused("POST", "/v1/responses", ask.clone(), "`policy.max_stored_objects`").await;
    let background = json!({"model": "priced", "conversation": id, "input": "Hi", "background": true});
    refused("POST", "/v1/responses", background, "`policy.max_stored_objects`").await;
    assert_eq!(app.first.call_count(), 0, "a response is refused before it is made");
    // Reading, counting and changing need no room.
    for (method, path, body) in [
        ("GET", &*items, Value::Null),
        ("POST", &*path, json!({"metadata": {"a": "b"}})),
        ("POST", "/v1/responses/input_tokens", ask.clone()),
        ("POST", "/v1/responses", json!({"model": "priced", "input": "Hi"})),
    ] {
        client.ok(method, path, body).await;
    }
    client.ok("DELETE", &format!("{items}/m0"), Value::Null).await;
    assert_eq!(client.send("POST", "/v1/responses", ask).await.status, 200, "deleting makes room");
}

#[tokio::test]
async fn expired_content_counts_until_its_day_ends() {
    let app = TestApp::new().await;
    let policy = Policy { retention: Some(Retention::Days(2)), ..Policy::default() };
    let client = Client::new(&app, policy).await;
    // To one o'clock.
    app.clock.advance_ms(DAY_MS - app.clock.now().0 % DAY_MS + HOUR_MS);
    let path = client.conversation(json!({"items": messages(1, "Hello")})).await;
    app.clock.advance_ms(DAY_MS + HOUR_MS);
    client.ok("POST", &format!("{path}/items"), json!({"items": [message("m1", "Hello")]})).await;
    let (bytes, _) = client.stored().await;
    app.clock.advance_ms(DAY_MS);
    assert_eq!(client.listed(&path).await.1, 1);
    assert_eq!(client.stored().await, (bytes, 3), "the first has expired today");
    app.clock.advance_ms(23 * HOUR_MS);
    assert_eq!(client.stored().await, (bytes / 2, 1));
    client.ok("DELETE", &path, Value::Null).await;
    assert_eq!(client.stored().await, (0, 0), "only what is still counted is taken off");
}

#[tokio::test]
async fn a_page_costs_about_a_page() {
    let app = TestApp::new().await;
    let mut client = Client::new(&app, Policy::default()).await;
    let path = client.conversation(Value::Null).await;
    let items = format!("{path}/items");
    for n in 0..20 {
        let some: Vec<Value> = (0..20).map(|m| message(&format!("m{:03}", n * 20 + m), &random(9_000))).collect();
        client.ok("POST", &items, json!({"items": some})).await;
    }
    for n in 0..100 {
        client.ok("DELETE", &format!("{items}/m{n:03}"), Value::Null).await;
    }
    let consumed = Consumed::default();
    client.router = router_of(&app.instance_metered(&consumed));
    client.ok("GET", &path, Value::Null).await; // The key and the project are known from now on.
    for (query, first, units) in [
        ("order=asc&limit=1", "m100", 20.0),
        ("limit=1", "m399", 20.0),
        ("order=asc&limit=1&after=m250", "m251", 30.0),
        ("limit=1&after=m050", "", 10.0),
        ("limit=10&after=m250", "m249", 60.0),
    ] {
        let _ = consumed.take();
        let page = client.ok("GET", &format!("{items}?{query}"), Value::Null).await;
        assert_eq!(page["first_id"].as_str().unwrap_or_default(), first, "{query}");
        let read = consumed.take().read_units;
        assert!(read <= units, "{query} reads {read} units");
    }
}

#[tokio::test]
async fn pages_lead_through_a_conversation_in_both_directions() {
    let app = TestApp::new().await;
    let client = Client::new(&app, Policy::default()).await;
    let path = client.conversation(json!({"items": messages(20, "Hello")})).await;
    let id = path.rsplit('/').next().unwrap();
    // A turn of several parts.
    app.first.then(Script::answer("Fine.", 10, 5));
    let input: Vec<Value> = (20..95).map(|n| message(&format!("m{n}"), "Hello")).collect();
    let response =
        client.ok("POST", "/v1/responses", json!({"model": "priced", "conversation": id, "input": input})).await;
    client.ok("POST", &format!("{path}/items"), json!({"items": [message("m95", "Hello")]})).await;
    let mut expected: Vec<String> = (0..95).map(|n| format!("m{n}")).collect();
    expected.extend([response["output"][0]["id"].as_str().unwrap().to_owned(), "m95".to_owned()]);
    for gone in ["m0", "m19", "m20", "m49", "m50", "m51"] {
        client.ok("DELETE", &format!("{path}/items/{gone}"), Value::Null).await;
        expected.retain(|id| id != gone);
    }
    for order in ["asc", "desc"] {
        for limit in [1, 7, 30, 100] {
            let (mut seen, mut after) = (Vec::new(), String::new());
            loop {
                let query = format!("{path}/items?order={order}&limit={limit}{after}");
                let page = client.ok("GET", &query, Value::Null).await;
                seen.extend(
                    page["data"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()),
                );
                if page["has_more"] == false {
                    break;
                }
                after = format!("&after={}", page["last_id"].as_str().unwrap());
            }
            assert_eq!(seen, expected, "{order}, {limit}");
        }
        expected.reverse();
    }
    let after_a_deleted = client.ok("GET", &format!("{path}/items?order=asc&limit=1&after=m49"), Value::Null).await;
    assert_eq!(after_a_deleted["first_id"], "m52");
}

#[tokio::test]
async fn a_page_of_large_items_ends_early() {
    let app = TestApp::new().await;
    let client = Client::new(&app, Policy::default()).await;
    let path = client.conversation(Value::Null).await;
    for n in 0..5 {
        let items = json!({"items": [message(&format!("m{n}"), &"a".repeat(1_600_000))]});
        client.ok("POST", &format!("{path}/items"), items).await;
    }
    let ids = async |query: &str| {
        let page = client.ok("GET", &format!("{path}/items?order=asc&{query}"), Value::Null).await;
        let ids: Vec<_> = page["data"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect();
        (json!(ids), page["has_more"].clone())
    };
    assert_eq!(ids("limit=100").await, (json!(["m0", "m1"]), json!(true)));
    assert_eq!(ids("limit=100&after=m1").await, (json!(["m2", "m3"]), json!(true)));
    assert_eq!(ids("limit=100&after=m3").await, (json!(["m4"]), json!(false)));
}
