//! `Idempotency-Key` on `POST /v1/batches`: one key makes one batch, however often its request is sent.

use futures_util::future::join_all;
use kit::{Fault, Reply, send};
use serde_json::{Value, json};
use shared::model::project::{Limits, Policy};

use super::{Site, lines};

const KEY: &[(&str, &str)] = &[("idempotency-key", "one")];

fn batch_of(file_id: &str) -> Value {
    json!({"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h"})
}

impl Site {
    async fn post(&self, key: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
        send(&self.router, "POST", "/v1/batches", key, headers, body.to_string()).await
    }

    /// The ids of the project's batches.
    async fn batches(&self) -> Vec<String> {
        let list = send(&self.router, "GET", "/v1/batches", &self.key, &[], "").await.json();
        list["data"].as_array().unwrap().iter().map(|batch| batch["id"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_repeated_request_gets_the_batch_as_it_is_then() {
    let site = Site::new(Limits::default()).await;
    let file_id = site.upload(lines(3).as_bytes()).await;
    let first = site.post(&site.key, KEY, &batch_of(&file_id)).await;
    assert_eq!((first.status, first.header("idempotent-replayed")), (200, ""), "{}", first.text());
    let again = site.post(&site.key, KEY, &batch_of(&file_id)).await;
    assert_eq!((again.header("idempotent-replayed"), again.json()), ("true", first.json()));
    let batch = site.run(first.json()["id"].as_str().unwrap()).await;
    // The file was needed once.
    send(&site.router, "DELETE", &format!("/v1/files/{file_id}"), &site.key, &[], "").await;
    let spaced = batch_of(&file_id).to_string().replace(':', " : ");
    let ended = send(&site.router, "POST", "/v1/batches", &site.key, KEY, spaced).await;
    assert_eq!((ended.status, ended.json()), (200, batch));
    assert_eq!((site.batches().await.len(), site.app.first.call_count()), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn a_key_is_for_one_body_of_one_project_for_a_day() {
    let site = Site::new(Limits::default()).await;
    let body = batch_of(&site.upload(lines(1).as_bytes()).await);
    let first = site.post(&site.key, KEY, &body).await.json();
    let mut other = body.clone();
    other["metadata"] = json!({"of": "another"});
    let refused = site.post(&site.key, KEY, &other).await;
    assert_eq!((refused.status, &*refused.code()), (422, "idempotency_key_reused"));
    assert_eq!(refused.header("x-should-retry"), "false");
    // Another project has its own.
    let (_, key) = site.app.project(Limits::default(), Policy::default()).await;
    let unknown = site.post(&key, KEY, &body).await;
    assert_eq!((unknown.status, unknown.json()["error"]["param"].as_str()), (400, Some("input_file_id")));
    site.app.clock.advance_ms(86_400_000 - 1_000);
    assert_eq!(site.post(&site.key, KEY, &body).await.json()["id"], first["id"]);
    site.app.clock.advance_ms(2_000);
    let next = site.post(&site.key, KEY, &body).await;
    assert_eq!((next.status, next.header("idempotent-replayed")), (200, ""), "{}", next.text());
    assert_ne!(next.json()["id"], first["id"]);
    // Without a key each request makes a batch.
    for expected in [3, 4] {
        site.post(&site.key, &[], &body).await;
        assert_eq!(site.batches().await.len(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_leaves_its_key_free() {
    let site = Site::new(Limits::default()).await;
    let refused = site.post(&site.key, KEY, &batch_of("file-unknown")).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    let file_id = site.upload(lines(1).as_bytes()).await;
    assert_eq!(site.post(&site.key, KEY, &batch_of(&file_id)).await.status, 200);
}

#[tokio::test]
async fn requests_with_one_key_at_the_same_moment_make_one_batch() {
    let site = Site::new(Limits::default()).await;
    let body = batch_of(&site.upload(lines(1).as_bytes()).await);
    let replies = join_all((0..20).map(|_| site.post(&site.key, KEY, &body))).await;
    let made = replies.iter().filter(|reply| reply.header("idempotent-replayed").is_empty()).count();
    assert!(replies.iter().all(|reply| reply.status == 200 && reply.json()["id"] == replies[0].json()["id"]));
    assert_eq!((made, site.batches().await.len()), (1, 1));
}

/// The answer of any write may be lost, and any process may die: the repetition finds what is there.
#[tokio::test(start_paused = true)]
async fn no_fault_makes_a_second_batch() {
    for fault in [Fault::LoseAnswer, Fault::Lose, Fault::Throttle, Fault::Conflict, Fault::HangAfter, Fault::Hang] {
        for n in 0..8 {
            let site = Site::new(Limits::default()).await;
            let body = batch_of(&site.upload(lines(1).as_bytes()).await);
            site.app.faults.at(n, fault);
            site.app.faults.or_die(site.post(&site.key, KEY, &body)).await;
            site.app.faults.clear();
            let again = site.post(&site.key, KEY, &body).await;
            assert_eq!((again.status, site.batches().await.len()), (200, 1), "{fault:?} at {n}: {}", again.text());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_sdk_s_own_retry_makes_no_second_batch_where_the_project_wants_it() {
    let site = Site::new(Limits::default()).await;
    let body = batch_of(&site.upload(lines(1).as_bytes()).await);
    let retry = [("x-stainless-retry-count", "1")];
    site.post(&site.key, &[], &body).await;
    site.post(&site.key, &retry, &body).await;
    assert_eq!(site.batches().await.len(), 2, "the policy is off");
    let policy = Policy { dedupe_retries: true, ..Policy::default() };
    let (project, key) = site.app.project(Limits::default(), policy).await;
    let site = Site { project, key, ..site };
    let body = batch_of(&site.upload(lines(1).as_bytes()).await);
    for (headers, expected) in [(&[][..], 1), (&retry, 1), (&[], 2), (&retry, 2)] {
        assert_eq!(site.post(&site.key, headers, &body).await.status, 200);
        assert_eq!(site.batches().await.len(), expected, "{headers:?}");
    }
}
