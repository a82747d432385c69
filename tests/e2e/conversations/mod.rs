//! Conversations: their items in order, each once; and what responses make of them.

mod counting;
mod deleting;

use axum::Router;
use futures_util::future::join_all;
use kit::{Reply, Script, TestApp, send};
use serde_json::{Value, json};
use shared::data::Queue;
use shared::model::message::ResponseKey;
use shared::model::project::{Limits, Policy};

use crate::responses::asked;

const PATH: &str = "/v1/conversations";

/// One instance and the key of a project.
struct Client {
    router: Router,
    project_id: String,
    key: String,
}

impl Client {
    async fn new(app: &TestApp) -> Self {
        let (project, key) = app.project(Limits::default(), Policy::default()).await;
        Self { router: app.router(), project_id: project.id, key }
    }

    async fn send(&self, method: &str, path: &str, body: Value) -> Reply {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        send(&self.router, method, path, &self.key, &[], body).await
    }

    async fn post(&self, path: &str, body: Value) -> Reply {
        self.send("POST", path, body).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, Value::Null).await
    }

    /// Makes a conversation and returns its path.
    async fn conversation(&self, body: Value) -> String {
        let made = self.post(PATH, body).await;
        assert_eq!(made.status, 200, "{}", made.text());
        format!("{PATH}/{}", made.json()["id"].as_str().unwrap())
    }

    /// The ids of a page, and `+` if there are more.
    async fn page(&self, conversation: &str, query: &str) -> String {
        let page = self.get(&format!("{conversation}/items?{query}")).await.json();
        let ids: Vec<&str> = page["data"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect();
        assert_eq!(page["first_id"].as_str(), Some(ids.first().copied().unwrap_or_default()));
        assert_eq!(page["last_id"].as_str(), Some(ids.last().copied().unwrap_or_default()));
        format!("{}{}", ids.join(" "), if page["has_more"] == true { "+" } else { "" })
    }

    /// The texts of a conversation, oldest first.
    async fn texts(&self, conversation: &str) -> Vec<String> {
        let page = self.get(&format!("{conversation}/items?order=asc&limit=100")).await.json();
        let text = |item: &Value| item["content"][0]["text"].as_str().unwrap_or_default().to_owned();
        page["data"].as_array().unwrap().iter().map(text).collect()
    }
}

fn message(id: &str, text: &str) -> Value {
    json!({"type": "message", "id": id, "role": "user", "content": text})
}

/// The same as it is kept.
fn kept(id: &str, text: &str) -> Value {
    json!({
        "id": id, "type": "message", "status": "completed", "role": "user",
        "content": [{"type": "input_text", "text": text}],
    })
}

#[tokio::test]
async fn a_conversation_is_made_changed_and_deleted() {
    let app = TestApp::new().await;
    let client = Client::new(&app).await;
    let made = client.post(PATH, json!({"metadata": {"topic": "demo"}, "items": [message("m1", "One")]})).await.json();
    let id = made["id"].as_str().unwrap();
    assert!(id.starts_with("conv_"));
    let created_at = app.clock.now().seconds();
    let expected =
        |metadata: Value| json!({"id": id, "object": "conversation", "created_at": created_at, "metadata": metadata});
    assert_eq!(made, expected(json!({"topic": "demo"})));
    let path = format!("{PATH}/{id}");
    assert_eq!(client.get(&path).await.json(), made);
    let changed = client.post(&path, json!({"metadata": {"other": "1"}})).await.json();
    assert_eq!(changed, expected(json!({"other": "1"})));
    assert_eq!(client.get(&path).await.json(), changed);
    let gone = client.send("DELETE", &path, Value::Null).await.json();
    assert_eq!(gone, json!({"id": id, "object": "conversation.deleted", "deleted": true}));
    for (method, path, body) in [
        ("GET", path.clone(), Value::Null),
        ("POST", path.clone(), json!({"metadata": {}})),
        ("DELETE", path.clone(), Value::Null),
        ("GET", format!("{path}/items"), Value::Null),
        ("POST", format!("{path}/items"), json!({"items": [message("m2", "Two")]})),
        ("GET", format!("{path}/items/m1"), Value::Null),
        ("DELETE", format!("{path}/items/m1"), Value::Null),
        ("POST", "/v1/responses".to_owned(), json!({"model": "priced", "input": "Hi", "conversation": id})),
    ] {
        let reply = client.send(method, &path, body).await;
        assert_eq!((reply.status, reply.code().as_str()), (404, "not_found"), "{method} {path}");
        let message = reply.json()["error"]["message"].as_str().unwrap().to_owned();
        assert_eq!(message, format!("No conversation found with id '{id}'."));
    }
    assert_eq!(client.post(PATH, Value::Null).await.json()["metadata"], json!({}));
}

#[tokio::test]
async fn items_are_added_listed_read_and_taken_out() {
    let app = TestApp::new().await;
    let client = Client::new(&app).await;
    let path = client.conversation(json!({"items": [message("m1", "One"), message("m2", "Two")]})).await;
    let items = format!("{path}/items");
    let call = json!({"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}", "id": "fc_1"});
    let added = client.post(&items, json!({"items": [message("m3", "Three"), call]})).await.json();
    let call = json!({"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "c1", "name": "f", "arguments": "{}"});
    let expected = json!({
        "object": "list", "data": [kept("m3", "Three"), call], "first_id": "m3", "last_id": "fc_1", "has_more": false,
    });
    assert_eq!(added, expected);
    for (query, expected) in [
        ("", "fc_1 m3 m2 m1"),
        ("order=asc", "m1 m2 m3 fc_1"),
        ("limit=2", "fc_1 m3+"),
        ("limit=2&after=m3", "m2 m1"),
        ("limit=1&order=asc&after=m1&include[]=message.output_text.logprobs", "m2+"),
        ("after=m1", ""),
    ] {
        assert_eq!(client.page(&path, query).await, expected, "{query}");
    }
    assert_eq!(client.get(&format!("{items}/m3")).await.json(), kept("m3", "Three"));

    let conversation = client.get(&path).await.json();
    assert_eq!(client.send("DELETE", &format!("{items}/m2"), Value::Null).await.json(), conversation);
    for method in ["GET", "DELETE"] {
        let gone = client.send(method, &format!("{items}/m2"), Value::Null).await;
        assert_eq!((gone.status, gone.code().as_str()), (404, "not_found"));
    }
    assert_eq!(client.page(&path, "order=asc").await, "m1 m3 fc_1");
    assert_eq!(client.page(&path, "after=m2").await, "m1", "those who delete what they list can go on");
    client.post(&items, json!({"items": [message("m2", "Two again")]})).await;
    assert_eq!(client.page(&path, "order=asc").await, "m1 m3 fc_1 m2", "a deleted item may come back, at the end");
}

#[tokio::test]
async fn an_id_is_in_a_conversation_once() {
    let app = TestApp::new().await;
    let client = Client::new(&app).await;
    let path = client.conversation(json!({"items": [message("m1", "One")]})).await;
    let again =
        client.post(&format!("{path}/items"), json!({"items": [message("m2", "Two"), message("m1", "!")]})).await;
    assert_eq!((again.status, again.code().as_str()), (400, "duplicate_item"));
    assert_eq!(again.json()["error"]["param"], "items");
    assert_eq!(client.texts(&path).await, ["One"], "all or nothing");
    let other = client.conversation(json!({"items": [message("m1", "Another")]})).await;
    assert_eq!(client.texts(&other).await, ["Another"]);
}

#[tokio::test]
async fn additions_at_one_time_all_stay_and_follow_each_other() {
    let app = TestApp::new().await; // Its clock stands still.
    let client = Client::new(&app).await;
    let path = client.conversation(Value::Null).await;
    let items = format!("{path}/items");
    let add = |n: usize| {
        client.post(&items, json!({"items": [message(&format!("a{n}"), "a"), message(&format!("b{n}"), "b")]}))
    };
    let replies = join_all((0..8).map(add)).await;
    assert!(replies.iter().all(|reply| reply.status == 200));
    let ids = client.page(&path, "order=asc&limit=100").await;
    let ids: Vec<&str> = ids.split(' ').collect();
    assert_eq!(ids.len(), 16);
    assert!(ids.chunks(2).all(|pair| pair[0][1..] == pair[1][1..] && pair[0] < pair[1]), "{ids:?}");
    for n in 8..12 {
        add(n).await;
    }
    assert!(client.page(&path, "order=asc&limit=100").await.ends_with("a8 b8 a9 b9 a10 b10 a11 b11"));
}

#[tokio::test]
async fn what_is_wrong_is_refused_before_anything_is_kept() {
    let app = TestApp::new().await;
    let client = Client::new(&app).await;
    let path = client.conversation(Value::Null).await;
    let items = format!("{path}/items");
    let reference = json!({"items": [{"type": "item_reference", "id": "m1"}]});
    for (path, body, param) in [
        (items.as_str(), json!({}), "items"),
        (items.as_str(), json!({"items": vec![json!({"role": "user", "content": "Hi"}); 21]}), "items"),
        (items.as_str(), reference.clone(), "items[0]"),
        (items.as_str(), json!({"items": [{"role": "nobody", "content": "Hi"}]}), "items[0].role"),
        (PATH, reference, "items[0]"),
        (PATH, json!({"metadata": {"a": 1}}), "metadata.a"),
        (path.as_str(), json!({}), "metadata"),
    ] {
        let refused = client.post(path, body.clone()).await;
        assert_eq!((refused.status, refused.json()["error"]["param"].as_str()), (400, Some(param)), "{body}");
    }
    for (query, param) in
        [("limit=0", "limit"), ("order=up", "order"), ("after=m9", "after"), ("include[]=x", "include[0]")]
    {
        let refused = client.get(&format!("{items}?{query}")).await;
        assert_eq!((refused.status, refused.json()["error"]["param"].as_str()), (400, Some(param)), "{query}");
    }
    assert_eq!(client.page(&path, "").await, "");
}

#[tokio::test]
async fn what_cannot_be_an_id_is_not_looked_up() {
    let app = TestApp::new().await;
    let client = Client::new(&app).await;
    let path = client.conversation(Value::Null).await;
    let _ = app.log.take();
    let long = "x".repeat(129);
    for id in ["a%23b", "a%2Fb", "%20", "a.b", "%C3%A4", &long] {
        for path in [format!("{PATH}/{id}"), format!("{PATH}/{id}/items"), format!("{path}/items/{id}")] {
            assert_eq!(client.get(&path).await.status, 404, "{path}");
        }
    }
    let inside = client.post("/v1/responses", json!({"model": "priced", "input": "Hi", "conversation": "a#b"})).await;
    assert_eq!(inside.status, 404);
    for id in ["a#b", "resp_1#META", &long] {
        let ask = json!({"model": "priced", "input": "Hi", "previous_response_id": id});
        let refused = client.post("/v1/responses", ask).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "previous_response_not_found"));
    }
    assert_eq!(app.log.take(), Vec::<String>::new());
}

#[tokio::test]
async fn another_projects_conversation_does_not_exist() {
    let app = TestApp::new().await;
    let (owner, stranger) = (Client::new(&app).await, Client::new(&app).await);
    let path = owner.conversation(json!({"items": [message("m1", "One")]})).await;
    let id = path.rsplit('/').next().unwrap();
    for (method, path, body) in [
        ("GET", path.clone(), Value::Null),
        ("POST", path.clone(), json!({"metadata": {}})),
        ("DELETE", path.clone(), Value::Null),
        ("GET", format!("{path}/items"), Value::Null),
        ("POST", format!("{path}/items"), json!({"items": [message("m2", "Two")]})),
        ("GET", format!("{path}/items/m1"), Value::Null),
        ("DELETE", format!("{path}/items/m1"), Value::Null),
        ("POST", "/v1/responses".to_owned(), json!({"model": "priced", "input": "Hi", "conversation": id})),
    ] {
        assert_eq!(stranger.send(method, &path, body).await.status, 404, "{method} {path}");
    }
    assert_eq!(owner.texts(&path).await, ["One"]);
}

#[tokio::test]
async fn large_items_are_kept_whole_and_leave_with_their_conversation() {
    let app = TestApp::new().await;
    let client = Client::new(&app).await;
    let large = shared::model::id::random(300_000);
    let path = client.conversation(json!({"items": [message("m1", &large), message("m2", "small")]})).await;
    assert_eq!(client.texts(&path).await, [large.as_str(), "small"]);
    let item = format!("{path}/items/m1");
    assert_eq!(client.send("DELETE", &item, Value::Null).await.status, 200);
    assert_eq!(client.texts(&path).await, ["small"]);
    client.post(&format!("{path}/items"), json!({"items": [message("m1", &large)]})).await;
    assert_eq!(client.send("DELETE", &path, Value::Null).await.status, 200);
    assert_eq!(client.get(&path).await.status, 404);
}

#[tokio::test]
async fn responses_are_made_from_a_conversation_and_add_their_turns() {
    let app = TestApp::new().await; // Its clock stands still.
    let client = Client::new(&app).await;
    let path = client.conversation(json!({"items": [message("m1", "Be brief.")]})).await;
    let id = path.rsplit('/').next().unwrap();
    for (n, stream) in [(1, false), (2, true), (3, false)] {
        app.first.then(Script::answer(&format!("Answer {n}."), 10, 5));
        let ask =
            json!({"model": "priced", "conversation": {"id": id}, "input": format!("Question {n}?"), "stream": stream});
        let reply = client.post("/v1/responses", ask).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(reply.text().contains(&format!(r#""conversation":{{"id":"{id}"}}"#)), "{}", reply.text());
    }
    let said = ["Be brief.", "Question 1?", "Answer 1.", "Question 2?", "Answer 2.", "Question 3?", "Answer 3."];
    assert_eq!(client.texts(&path).await, said);
    let expected = [
        "user: Be brief.",
        "user: Question 1?",
        "assistant: Answer 1.",
        "user: Question 2?",
        "assistant: Answer 2.",
        "user: Question 3?",
    ];
    assert_eq!(asked(&app), expected);

    // What a client sends again although the conversation has it is neither said nor kept twice.
    let ask =
        json!({"model": "priced", "conversation": id, "input": [message("m1", "Be brief."), message("m8", "Last?")]});
    assert_eq!(client.post("/v1/responses", ask).await.status, 200);
    assert_eq!(asked(&app).iter().filter(|said| said.ends_with("Be brief.")).count(), 1);
    assert_eq!(client.texts(&path).await.len(), said.len() + 2);
}

#[tokio::test]
async fn an_item_that_the_input_names_twice_is_added_once() {
    let app = TestApp::new().await;
    let client = Client::new(&app).await;
    let reference = |id: &str| json!({"type": "item_reference", "id": id});
    for background in [false, true] {
        let path = client.conversation(json!({"items": [message("m1", "One")]})).await;
        let id = path.rsplit('/').next().unwrap();
        let input = [reference("m2"), message("m2", "Two"), reference("m1")];
        let ask = json!({"model": "priced", "conversation": id, "input": input, "background": background});
        let reply = client.post("/v1/responses", ask).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let worker = app.instance().response_worker();
        app.work_once(Queue::Respond, |event| respond::job(event, worker, None)).await;
        assert_eq!(client.texts(&path).await, ["One", "Two", "Hello there."], "background: {background}");
    }
}

#[tokio::test]
async fn a_failed_response_adds_nothing() {
    let app = TestApp::new().await;
    let client = Client::new(&app).await;
    let path = client.conversation(Value::Null).await;
    let id = path.rsplit('/').next().unwrap();
    for stream in [false, true] {
        app.first.then(Script::broken("one two three", 2));
        client
            .post("/v1/responses", json!({"model": "priced", "conversation": id, "input": "Hi", "stream": stream}))
            .await;
    }
    assert_eq!(client.page(&path, "").await, "");
}

#[tokio::test]
async fn a_background_response_adds_its_turn_once() {
    let app = TestApp::new().await;
    let (project, key) = app.project(Limits::default(), Policy::default()).await;
    let instance = app.instance();
    let client = Client { router: kit::router_of(&instance), project_id: project.id.clone(), key };
    let path = client.conversation(Value::Null).await;
    let id = path.rsplit('/').next().unwrap();
    let ask = json!({"model": "priced", "conversation": id, "input": "Question?", "background": true});
    let queued = client.post("/v1/responses", ask).await.json();
    let job = ResponseKey { project_id: project.id, response_id: queued["id"].as_str().unwrap().to_owned() };
    let worker = instance.response_worker();
    worker.work(&job, None).await.unwrap();
    worker.work(&job, None).await.unwrap();
    assert_eq!(client.texts(&path).await, ["Question?", "Hello there."]);
}

#[tokio::test]
async fn a_response_is_refused_where_the_items_are_too_large_for_a_context() {
    let app = TestApp::new().await;
    let client = Client::new(&app).await;
    let conversation = client.conversation(json!({"items": [message("m1", &"a".repeat(4_300_000))]})).await;
    let id = conversation.rsplit_once('/').unwrap().1;
    let ask = json!({"model": "priced", "input": "Go on", "conversation": id, "max_output_tokens": 20});
    assert_eq!(client.post("/v1/responses", ask.clone()).await.status, 200);
    let more = json!({"items": [message("m2", &"a".repeat(4_300_000))]});
    assert_eq!(client.post(&format!("{conversation}/items"), more).await.status, 200);
    let refused = client.post("/v1/responses", ask).await;
    assert_eq!((refused.status, refused.code().as_str()), (400, "context_length_exceeded"), "{}", refused.text());
    assert_eq!(app.first.call_count(), 1);
}
