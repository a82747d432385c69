//! How long a project's content is kept: to the second, whenever DynamoDB and S3 delete it.

use kit::{ADMIN_KEY, Reply, Script, TestApp, send};
use serde_json::{Value, json};
use shared::data::Queue;
use shared::model::id::random;
use shared::model::project::{Limits, Policy, Project};
use shared::model::retention::Retention;

use crate::{CHAT, PATH, STREAM};

const RESPONSES: &str = "/v1/responses";
const CONVERSATIONS: &str = "/v1/conversations";
const DAY_MS: u64 = 86_400_000;
const MINUTE_MS: u64 = 60_000;
const KEY: &[(&str, &str)] = &[("idempotency-key", "one")];

/// A project, and a word that its requests and answers have.
struct Client {
    app: TestApp,
    project: Project,
    key: String,
    word: String,
}

impl Client {
    async fn new(retention: Retention) -> Self {
        let app = TestApp::new().await;
        let policy = Policy { retention: Some(retention), cache_ttl_seconds: Some(30 * 86_400), ..Policy::default() };
        let (project, key) = app.project(Limits::default(), policy).await;
        let word = random(20);
        app.first.always(Script::answer(&format!("I say {word}."), 10, 5));
        Self { app, project, key, word }
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        send(&self.app.router(), method, path, &self.key, headers, body).await
    }

    async fn post(&self, path: &str, body: Value) -> Reply {
        self.send("POST", path, &[], &body).await
    }

    async fn get(&self, path: &str) -> u16 {
        self.send("GET", path, &[], &Value::Null).await.status
    }

    /// Makes something and returns its path.
    async fn made(&self, path: &str, body: Value) -> String {
        let made = self.post(path, body).await;
        assert_eq!(made.status, 200, "{path}: {}", made.text());
        format!("{path}/{}", made.json()["id"].as_str().unwrap())
    }

    fn ask(&self, members: Value) -> Value {
        let mut body = json!({"model": "priced", "input": format!("Say {}", self.word), "max_output_tokens": 100});
        for (name, value) in members.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    }

    async fn work(&self) {
        let worker = self.app.instance().response_worker();
        self.app.work_once(Queue::Respond, |event| respond::job(event, worker, None)).await;
    }

    async fn sweep(&self) {
        self.app.instance().sweeper().sweep().await.unwrap();
    }

    async fn jobs(&self) -> usize {
        let path = format!("/v1/organization/jobs?project_id={}", self.project.id);
        send(&self.app.router(), "GET", &path, ADMIN_KEY, &[], "").await.json()["data"].as_array().unwrap().len()
    }

    /// Advances the clock to a time after the start of the test.
    fn advance_to(&self, ms: u64) {
        self.app.clock.advance_ms(kit::START_MS + ms - self.app.clock.now().0);
    }
}

fn message(id: &str) -> Value {
    json!({"id": id, "type": "message", "role": "user", "content": "Hi"})
}

#[tokio::test]
async fn responses_and_answers_in_the_cache_are_read_to_the_last_second_and_not_after() {
    for days in [1, 7, 30] {
        let client = Client::new(Retention::Days(days)).await;
        let streamed = client.ask(json!({"stream": true}));
        let streamed = client.send("POST", RESPONSES, &[], &streamed).await.text().to_owned();
        let at = streamed.find("resp_").unwrap();
        let paths = [
            client.made(RESPONSES, client.ask(json!({}))).await,
            client.made(RESPONSES, client.ask(json!({"instructions": random(180_000)}))).await,
            format!("{RESPONSES}/{}", streamed[at..].split('"').next().unwrap()),
            client.made(RESPONSES, client.ask(json!({"background": true}))).await,
        ];
        client.work().await;
        let chat: Value = serde_json::from_str(CHAT).unwrap();
        assert_eq!(client.post(PATH, chat.clone()).await.header("x-weir-cache"), "miss");

        client.advance_to(days * DAY_MS - 1_000);
        for path in &paths {
            assert_eq!(client.get(path).await, 200, "{days} days: {path}");
        }
        assert_eq!((client.jobs().await, client.post(PATH, chat.clone()).await.header("x-weir-cache")), (1, "hit"));
        client.advance_to(days * DAY_MS);
        for path in &paths {
            for (method, path) in [
                ("GET", path.clone()),
                ("GET", format!("{path}/input_items")),
                ("GET", format!("{path}?stream=true")),
                ("DELETE", path.clone()),
            ] {
                let gone = client.send(method, &path, &[], &Value::Null).await;
                assert_eq!((gone.status, &*gone.code()), (404, "not_found"), "{days} days: {method} {path}");
            }
            let id = path.rsplit('/').next().unwrap();
            let next = client.post(RESPONSES, client.ask(json!({"previous_response_id": id}))).await;
            assert_eq!(next.code(), "previous_response_not_found", "{days} days: {path}");
        }
        assert_eq!((client.jobs().await, client.post(PATH, chat).await.header("x-weir-cache")), (0, "miss"));
    }
}

#[tokio::test]
async fn items_of_a_conversation_expire_one_by_one_and_the_conversation_with_the_last() {
    let client = Client::new(Retention::Days(7)).await;
    let path = client.made(CONVERSATIONS, json!({"items": [message("m1")]})).await;
    let items = format!("{path}/items");
    client.advance_to(3 * DAY_MS);
    assert_eq!(client.post(&items, json!({"items": [message("m2")]})).await.status, 200);
    let conversation = path.rsplit('/').next().unwrap();
    let ask = client.ask(json!({"conversation": conversation, "input": [message("m3")]}));
    client.advance_to(4 * DAY_MS);
    assert_eq!(client.post(RESPONSES, ask).await.status, 200);

    let has = async || {
        let mut found = Vec::new();
        for id in ["m1", "m2", "m3"] {
            let status = client.get(&format!("{items}/{id}")).await;
            found.push(status);
        }
        found
    };
    client.advance_to(7 * DAY_MS - 1_000);
    assert_eq!(has().await, [200, 200, 200]);
    client.advance_to(7 * DAY_MS);
    assert_eq!(has().await, [404, 200, 200]);
    let listed = client.send("GET", &format!("{items}?order=asc"), &[], &Value::Null).await.json();
    assert_eq!((&listed["data"][0]["id"], listed["data"].as_array().unwrap().len()), (&json!("m2"), 3));
    // An item that has expired does not keep its id.
    let again = client.ask(json!({"conversation": conversation, "input": [message("m1")]}));
    assert_eq!(client.post(RESPONSES, again).await.status, 200);
    assert_eq!(has().await, [200, 200, 200]);
    client.advance_to(14 * DAY_MS - 1_000);
    assert_eq!((client.get(&path).await, has().await), (200, vec![200, 404, 404]));
    client.advance_to(14 * DAY_MS + 1_000);
    for (method, path, body) in [
        ("GET", &path, Value::Null),
        ("POST", &path, json!({"metadata": {}})),
        ("GET", &items, Value::Null),
        ("POST", &items, json!({"items": [message("m9")]})),
        ("DELETE", &path, Value::Null),
    ] {
        let gone = client.send(method, path, &[], &body).await;
        assert_eq!((gone.status, &*gone.code()), (404, "not_found"), "{method} {path}");
    }
}

#[tokio::test]
async fn without_a_retention_conversations_stay_until_they_are_deleted() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let body = json!({"items": [message("m1")]}).to_string();
    let made = send(&app.router(), "POST", CONVERSATIONS, &key, &[], body).await.json();
    app.clock.advance_ms(400 * DAY_MS);
    let path = format!("{CONVERSATIONS}/{}/items/m1", made["id"].as_str().unwrap());
    assert_eq!(send(&app.router(), "GET", &path, &key, &[], "").await.status, 200);
}

#[tokio::test]
async fn where_nothing_is_kept_a_call_leaves_nothing() {
    let client = Client::new(Retention::Nothing).await;
    let response = client.post(RESPONSES, client.ask(json!({"store": true}))).await.json();
    assert_eq!((&response["store"], &response["status"]), (&json!(false), &json!("completed")));
    assert_eq!(client.get(&format!("{RESPONSES}/{}", response["id"].as_str().unwrap())).await, 404);
    let streamed = client.post(RESPONSES, client.ask(json!({"stream": true}))).await;
    assert!(streamed.text().contains(&client.word) && streamed.text().contains(r#""store":false"#));
    for body in [CHAT, STREAM] {
        let body = body.replace("Hello", &client.word);
        for _ in 0..2 {
            let answer = client.post(PATH, serde_json::from_str(&body).unwrap()).await;
            assert_eq!((answer.status, answer.header("x-weir-cache")), (200, "off"));
        }
    }
    assert_eq!((client.app.places_of(&client.word).await, client.app.objects().await), (Vec::new(), Vec::new()));
    for (path, body) in [
        (CONVERSATIONS.to_owned(), json!({})),
        (format!("{CONVERSATIONS}/conv_1"), json!({"metadata": {}})),
        (format!("{CONVERSATIONS}/conv_1/items"), json!({"items": [message("m1")]})),
        (RESPONSES.to_owned(), client.ask(json!({"conversation": "conv_1"}))),
    ] {
        let refused = client.post(&path, body).await;
        assert_eq!((refused.status, &*refused.code()), (400, "nothing_is_kept"), "{path}: {}", refused.text());
        assert!(refused.text().contains("policy.retention"), "{}", refused.text());
    }
}

#[tokio::test]
async fn where_nothing_is_kept_a_job_can_be_polled_for_ten_minutes_after_its_end_and_is_erased() {
    for is_large in [false, true] {
        let client = Client::new(Retention::Nothing).await;
        let padding = if is_large { random(180_000) } else { String::new() };
        let body = client.ask(json!({"background": true, "instructions": padding}));
        let accepted = client.send("POST", RESPONSES, KEY, &body).await;
        let path = format!("{RESPONSES}/{}", accepted.json()["id"].as_str().unwrap());
        client.advance_to(5 * MINUTE_MS);
        client.sweep().await; // Nothing is erased before a worker had the job.
        client.work().await;
        client.advance_to(15 * MINUTE_MS - 1_000);
        let polled = client.send("GET", &path, &[], &Value::Null).await;
        assert!(polled.text().contains(&client.word), "{}", polled.text());
        assert_eq!((&polled.json()["status"], &polled.json()["store"]), (&json!("completed"), &json!(false)));
        client.advance_to(15 * MINUTE_MS);
        assert_eq!((client.get(&path).await, client.jobs().await), (404, 0));
        client.sweep().await;
        let left = (client.app.places_of(&client.word).await, client.app.objects().await);
        assert_eq!(left, (Vec::new(), Vec::new()), "large: {is_large}");
        // The key remembers that it was used, as long as an SDK repeats a request.
        assert_eq!(client.send("POST", RESPONSES, KEY, &body).await.code(), "response_deleted");
        assert_eq!(client.app.first.call_count(), 1);
        client.advance_to(26 * MINUTE_MS);
        assert_eq!(client.send("POST", RESPONSES, KEY, &body).await.status, 200);
    }
}

#[tokio::test]
async fn where_nothing_is_kept_a_key_repeats_its_answer_for_as_long_as_an_sdk_tries() {
    for (path, stream) in [(RESPONSES, false), (RESPONSES, true), (PATH, false), (PATH, true)] {
        let client = Client::new(Retention::Nothing).await;
        let body = match path {
            RESPONSES => client.ask(json!({"stream": stream})),
            _ => json!({"model": "priced", "max_tokens": 100, "stream": stream,
                        "messages": [{"role": "user", "content": client.word}]}),
        };
        let first = client.send("POST", path, KEY, &body).await;
        client.advance_to(25 * MINUTE_MS - 1_000);
        let again = client.send("POST", path, KEY, &body).await;
        assert_eq!((again.header("idempotent-replayed"), &again.body), ("true", &first.body), "{path} {stream}");
        client.advance_to(25 * MINUTE_MS);
        let next = client.send("POST", path, KEY, &body).await;
        assert_eq!((next.status, next.header("idempotent-replayed")), (200, ""), "{path} {stream}");
        // DynamoDB deletes the key's record, the sweeper the response that it names.
        client.advance_to(4 * 60 * MINUTE_MS);
        client.sweep().await;
        let now = client.app.clock.now().seconds();
        for item in client.app.items().await {
            let is_kept =
                item.get("expires_at").and_then(|at| at.as_n().ok()).is_none_or(|at| at.parse::<u64>().unwrap() > now);
            let text = |name: &str| item[name].as_s().unwrap().clone();
            assert!(
                !is_kept
                    || !client.app.places_of(&client.word).await.contains(&format!("{}/{}", text("pk"), text("sk"))),
                "{path} {stream}: {item:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_retention_is_set_read_and_checked() {
    let client = Client::new(Retention::Days(3)).await;
    let path = format!("/v1/organization/projects/{}", client.project.id);
    let change = async |retention: Value| {
        let body = json!({"policy": {"retention": retention}}).to_string();
        send(&client.app.router(), "POST", &path, ADMIN_KEY, &[], body).await
    };
    for retention in [json!("none"), json!(1), json!(30), json!(null)] {
        assert_eq!(change(retention.clone()).await.json()["policy"]["retention"], retention);
        let read = send(&client.app.router(), "GET", &path, ADMIN_KEY, &[], "").await;
        assert_eq!(read.json()["policy"]["retention"], retention);
    }
    for wrong in [json!(0), json!(31), json!("all"), json!(true)] {
        let refused = change(wrong.clone()).await;
        assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!("policy.retention")), "{wrong}");
        let message = refused.json()["error"]["message"].as_str().unwrap().to_owned();
        let expected =
            format!("`policy.retention` is {wrong}, expected \"none\" or 1 to 30 days, or null for the default.");
        assert_eq!(message, expected);
    }
}
