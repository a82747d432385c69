//! Deleted is gone: whatever dies, and whoever adds to the response meanwhile. And what is kept of a response that is not stored.

use kit::{Fault, Reply, Script, TestApp, send};
use serde_json::{Value, json};
use shared::data::Queue;
use shared::model::id::random;
use shared::model::message::ResponseKey;
use shared::model::project::{Limits, Policy, Project};

use super::{PATH, ask_with, status};

const KEY: &[(&str, &str)] = &[("idempotency-key", "one")];
const DAY_MS: u64 = 86_400_000;
/// Nothing that was at work writes any more.
const QUIET_MS: u64 = 3_600_000;

/// One project whose requests and answers have a word that nothing else has.
struct Client {
    app: TestApp,
    project: Project,
    key: String,
    word: String,
}

impl Client {
    async fn new() -> Self {
        let app = TestApp::new().await;
        let (project, key) = app.project(Limits::default(), Policy::default()).await;
        let word = random(20);
        app.first.always(Script::answer(&format!("I say {word}."), 10, 5));
        Self { app, project, key, word }
    }

    /// A request with the word, and so long that its bodies are in the bucket if `is_large`.
    fn body(&self, is_large: bool, members: Value) -> Value {
        let padding = if is_large { random(180_000) } else { String::new() };
        let mut body = ask_with(json!({"input": format!("Say {}", self.word), "instructions": padding}));
        for (name, value) in members.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    }

    async fn post(&self, body: &Value) -> Reply {
        send(&self.app.router(), "POST", PATH, &self.key, KEY, body.to_string()).await
    }

    async fn delete(&self, id: &str) -> Reply {
        send(&self.app.router(), "DELETE", &format!("{PATH}/{id}"), &self.key, &[], "").await
    }

    async fn status(&self, id: &str) -> u16 {
        status(&self.app.router(), &self.key, &format!("{PATH}/{id}")).await
    }

    async fn work(&self) {
        let worker = self.app.instance().response_worker();
        self.app.work_once(Queue::Respond, |event| respond::job(event, worker, None)).await;
    }

    async fn sweep(&self) {
        self.app.instance().sweeper().sweep().await.unwrap();
    }

    /// Places that hold the word.
    async fn places(&self) -> Vec<String> {
        self.app.places_of(&self.word).await
    }
}

fn id_of(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let text = reply.text();
    text[text.find("resp_").unwrap()..].split('"').next().unwrap().to_owned()
}

/// Every way to make a response.
fn kinds() -> [Value; 4] {
    [
        json!({}),
        json!({"stream": true}),
        json!({"background": true}),
        // A request that follows its response would wait for the worker.
        json!({"background": true, "metadata": {"kind": "other"}}),
    ]
}

#[tokio::test]
async fn a_deleted_response_is_gone_and_its_key_neither_tells_it_nor_runs_again() {
    for is_large in [false, true] {
        for members in kinds() {
            let client = Client::new().await;
            let body = client.body(is_large, members.clone());
            let id = id_of(&client.post(&body).await);
            client.work().await;
            assert!(client.places().await.len() > 1 && client.status(&id).await == 200, "{members}");
            assert_eq!(client.post(&body).await.header("idempotent-replayed"), "true");
            let calls = client.app.first.call_count();

            assert_eq!(client.delete(&id).await.status, 200);
            assert_eq!(client.places().await, [""; 0], "{members}, large: {is_large}");
            assert_eq!(client.app.objects().await, [""; 0], "{members}");
            assert_eq!((client.status(&id).await, client.delete(&id).await.status), (404, 404));
            for _ in 0..2 {
                let again = client.post(&body).await;
                assert_eq!((again.status, again.code().as_str()), (404, "response_deleted"), "{}", again.text());
                assert_eq!(again.header("x-should-retry"), "false");
                assert!(again.text().contains(&id) && !again.text().contains(&client.word), "{}", again.text());
            }
            let other = client.post(&client.body(false, json!({"input": "Other"}))).await;
            assert_eq!((other.status, other.code().as_str()), (422, "idempotency_key_reused"));
            assert_eq!(client.app.first.call_count(), calls, "{members}");

            // The key is forgotten a day after it was used.
            client.app.clock.advance_ms(DAY_MS + QUIET_MS);
            let next = client.post(&body).await;
            assert_eq!((next.status, next.header("idempotent-replayed")), (200, ""), "{}", next.text());
        }
    }
}

#[tokio::test]
async fn a_deletion_that_died_is_ended_by_the_sweep() {
    for members in [json!({}), json!({"stream": true})] {
        for fault in [Fault::Hang, Fault::HangAfter] {
            let mut interrupted = 0;
            for step in 0.. {
                let client = Client::new().await;
                let body = client.body(false, members.clone());
                let id = id_of(&client.post(&body).await);
                client.app.faults.at(step, fault);
                let reply = client.app.faults.or_die(client.delete(&id)).await;
                client.app.faults.clear();
                if reply.is_some() {
                    assert!(step > 5, "a deletion has more steps than {step}");
                    break;
                }
                if client.status(&id).await == 404 {
                    assert_eq!(client.post(&body).await.code(), "response_deleted", "{fault:?} at step {step}");
                }
                client.app.clock.advance_ms(QUIET_MS + 1);
                client.sweep().await;
                let places = client.places().await;
                assert!(places.is_empty() || client.status(&id).await == 200, "{fault:?} at step {step}: {places:?}");
                interrupted += usize::from(places.is_empty());
            }
            assert!(interrupted > 3, "{members}, {fault:?}: {interrupted}");
        }
    }
}

#[tokio::test]
async fn what_a_run_adds_to_a_response_that_was_deleted_does_not_stay() {
    let client = Client::new().await;
    let id = id_of(&client.post(&client.body(false, json!({"background": true}))).await);
    let key = ResponseKey { project_id: client.project.id.clone(), response_id: id.clone() };
    let (records, now) = (client.app.stores.responses(), client.app.clock.now());
    let run = records.claim(&key, now, now.plus_ms(30_000)).await.unwrap().unwrap();
    assert_eq!(client.delete(&id).await.status, 200);
    // A worker that does not know it yet.
    for (first, padding) in [(2, String::new()), (3, random(180_000))] {
        let events = format!("event: a\ndata: {} {padding}\n\n", client.word);
        records.put_events(&run, first, &events.into()).await.unwrap();
    }
    assert_eq!(client.places().await.len(), 2);
    client.app.clock.advance_ms(QUIET_MS + 1);
    client.sweep().await;
    assert_eq!((client.places().await, client.app.objects().await), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn a_deletion_spares_the_answer_of_a_later_request_with_the_same_key() {
    let client = Client::new().await;
    let body = client.body(false, json!({}));
    let first = id_of(&client.post(&body).await);
    client.app.clock.advance_ms(DAY_MS + QUIET_MS);
    let second = client.post(&body).await;
    assert_ne!(id_of(&second), first);
    assert_eq!(client.delete(&first).await.status, 200);
    let again = client.post(&body).await;
    assert_eq!((again.header("idempotent-replayed"), &again.body), ("true", &second.body));
}

#[tokio::test]
async fn of_a_response_that_is_not_stored_a_key_keeps_the_answer_for_a_day_and_not_the_question() {
    for stream in [false, true] {
        let client = Client::new().await;
        client.app.first.always(Script::answer("I say nothing.", 10, 5));
        let body = client.body(false, json!({"store": false, "stream": stream}));
        let first = client.post(&body).await;
        assert_eq!(client.status(&id_of(&first)).await, 404);
        assert_eq!(client.places().await, [""; 0], "stream: {stream}");
        let again = client.post(&body).await;
        assert_eq!((again.header("idempotent-replayed"), &again.body), ("true", &first.body));

        let kept = client.app.items().await;
        let kept = kept
            .iter()
            .filter(|item| ["IDEM#", "RESP#"].iter().any(|kind| item["pk"].as_s().unwrap().starts_with(kind)));
        let last = client.app.clock.now().seconds() + 86_400 + 3_600;
        assert!(kept.clone().count() > 0);
        for item in kept {
            let expires_at: u64 = item["expires_at"].as_n().unwrap().parse().unwrap();
            assert!(expires_at <= last, "{item:?}");
        }
    }
}
