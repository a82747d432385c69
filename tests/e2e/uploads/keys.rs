//! `Idempotency-Key` on `POST /v1/uploads`: one key begins one upload, however often its request is sent.

use kit::{Fault, Reply, send};
use serde_json::{Value, json};

use super::{Client, MINUTE_MS, UPLOADS, file_of, id_of, of, text};

const KEY: &[(&str, &str)] = &[("idempotency-key", "one")];

impl Client {
    async fn create_once(&self, upload: &Value) -> Reply {
        send(&self.router, "POST", UPLOADS, &self.key, KEY, upload.to_string()).await
    }

    /// The uploads in the table.
    async fn uploads(&self) -> usize {
        let items = self.app.items().await;
        items.iter().filter(|item| item["pk"].as_s().unwrap().starts_with("UPLOADS#")).count()
    }
}

#[tokio::test]
async fn a_repeated_request_gets_the_upload_as_it_is_then() {
    let client = Client::new().await;
    let first = client.create_once(&of(5)).await;
    assert_eq!((first.status, first.header("idempotent-replayed")), (200, ""), "{}", first.text());
    let again = client.create_once(&of(5)).await;
    assert_eq!((again.header("idempotent-replayed"), again.json()), ("true", first.json()));
    let part = client.new_part(&id_of(&first), b"Hello").await;
    let completed = client.complete(&id_of(&first), &[&part]).await;
    assert_eq!(client.create_once(&of(5)).await.json(), completed.json());
    client.delete_file(&file_of(&completed)).await;
    let without = client.create_once(&of(5)).await.json();
    assert_eq!((&without["status"], &without["file"]), (&json!("completed"), &Value::Null));
    let refused = client.create_once(&of(6)).await;
    assert_eq!((refused.status, &*refused.code()), (422, "idempotency_key_reused"));
    assert_eq!(client.uploads().await, 1);
}

#[tokio::test]
async fn direct_parts_get_urls_again_for_the_time_that_is_left() {
    let client = Client::new().await;
    let mut upload = of(200 * 1024 * 1024);
    upload["weir"] = json!({"direct": true});
    let parts = |reply: &Reply| {
        let json = reply.json();
        let parts = json["weir"]["parts"].as_array().unwrap().clone();
        parts.iter().map(|part| (text(&part["id"]), part["bytes"].as_u64().unwrap())).collect::<Vec<_>>()
    };
    let first = client.create_once(&upload).await;
    client.app.clock.advance_ms(20 * MINUTE_MS);
    let again = client.create_once(&upload).await;
    assert_eq!((parts(&first).len(), parts(&again)), (4, parts(&first)));
    let url = text(&again.json()["weir"]["parts"][0]["url"]);
    assert!(url.contains("X-Amz-Expires=2400&"), "{url}");
    client.cancel(&id_of(&first)).await;
    let cancelled = client.create_once(&upload).await;
    assert_eq!((&cancelled.json()["status"], parts(&cancelled)), (&json!("cancelled"), Vec::new()));
}

/// A key that is used after its upload is gone must not begin another one: its file may be there.
#[tokio::test]
async fn an_upload_that_is_gone_is_not_begun_again() {
    let client = Client::new().await;
    client.create_once(&of(5)).await;
    client.app.clock.advance_ms(60 * MINUTE_MS);
    assert_eq!(client.create_once(&of(5)).await.json()["status"], "expired");
    client.rest().await;
    assert_eq!(client.uploads().await, 0);
    let gone = client.create_once(&of(5)).await;
    assert_eq!((gone.status, &*gone.code(), gone.header("x-should-retry")), (404, "not_found", "false"));
    assert!(gone.text().contains("send a new Idempotency-Key"), "{}", gone.text());
    client.app.clock.advance_ms(21 * 60 * MINUTE_MS);
    assert_eq!(client.create_once(&of(5)).await.json()["status"], "pending", "a day is over");
}

#[tokio::test(start_paused = true)]
async fn no_fault_begins_a_second_upload() {
    for fault in [Fault::LoseAnswer, Fault::Lose, Fault::Throttle, Fault::Conflict, Fault::HangAfter, Fault::Hang] {
        for n in 0..6 {
            let client = Client::new().await;
            client.app.faults.at(n, fault);
            client.app.faults.or_die(client.create_once(&of(5))).await;
            client.app.faults.clear();
            let again = client.create_once(&of(5)).await;
            assert_eq!((again.status, client.uploads().await), (200, 1), "{fault:?} at {n}: {}", again.text());
        }
    }
}
