//! Never lost, never twice: background responses, whatever happens to messages, workers, providers and stores.

mod cancel;
mod clocks;
mod deaths;
mod faults;
mod messages;
mod project;
mod retries;
mod unanswered;

use std::time::Duration;

use kit::{Script, send};
use serde_json::json;

pub(crate) use project::{COST, Jobs, RESPONSES, background, created};

use crate::budget;

#[tokio::test]
async fn a_background_response_is_queued_then_made_by_a_worker_and_paid_once() {
    let jobs = Jobs::new().await;
    let queued = jobs.post(&background(), &[]).await;
    assert_eq!((queued.status, queued.json()["status"].as_str()), (200, Some("queued")), "{}", queued.text());
    let id = queued.json()["id"].as_str().unwrap().to_owned();
    let (spent, held) = jobs.books().await;
    assert!(spent == 0 && held > 0, "the hold is taken when the job is accepted");
    jobs.settle().await;
    let made = jobs.ended(&id, "completed").await;
    assert_eq!(made["output"][0]["content"][0]["text"], "Hello there.");
    assert_eq!(made["usage"]["total_tokens"], 15);
    assert_eq!(jobs.books().await, (COST, 0));
    assert_eq!(jobs.app.first.call_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_in_the_background_is_followed_from_any_instance_while_it_runs_and_after() {
    let jobs = Jobs::new().await;
    let text = "one two three four five six seven eight nine ten";
    jobs.app.first.always(Script::Paced { text: text.to_owned(), gap: Duration::from_millis(400) });
    let mut body = background();
    body["stream"] = json!(true);
    let (whole, ()) = tokio::join!(jobs.post(&body, &[]), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        jobs.work().await;
    });
    let id = project::created(whole.text());
    let numbers = project::numbers(whole.text());
    assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
    assert!(whole.text().contains("event: response.queued\n") && whole.text().contains("response.completed"));
    for after in [0, 3, 10, numbers.len() as u64 - 2] {
        let rest = jobs.stream(&id, Some(after)).await;
        assert!(whole.text().ends_with(&rest) && project::numbers(&rest)[0] == after + 1, "after {after}: {rest}");
    }
    assert_eq!(jobs.stream(&id, None).await, whole.text());
    let beyond = jobs.stream(&id, Some(900)).await;
    assert!(whole.text().ends_with(&beyond) && beyond.starts_with("event: response.completed\n"), "{beyond}");
}

#[tokio::test]
async fn one_key_is_one_response_with_one_hold() {
    for stream in [false, true] {
        let jobs = Jobs::new().await;
        let mut body = background();
        body["stream"] = json!(stream);
        let key: &[(&str, &str)] = &[("idempotency-key", "one")];
        let (first, again, ()) = tokio::join!(jobs.post(&body, key), jobs.post(&body, key), async {
            while jobs.work().await == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let later = jobs.post(&body, key).await;
        assert_eq!((first.text(), first.status), (again.text(), 200));
        assert_eq!((first.text(), later.header("idempotent-replayed")), (later.text(), "true"));
        jobs.settle().await;
        assert_eq!((jobs.app.first.call_count(), jobs.books().await), (1, (COST, 0)));
        let mut other = body.clone();
        other["input"] = json!("Something else");
        assert_eq!(jobs.post(&other, key).await.status, 422);
    }
}

#[tokio::test]
async fn a_budget_holds_for_jobs_that_wait() {
    let jobs = Jobs::with(budget(0.0006)).await;
    let accepted = [jobs.post(&background(), &[]).await, jobs.post(&background(), &[]).await];
    assert_eq!(accepted.map(|reply| reply.status), [200, 429], "the second does not fit beside the first's hold");
    jobs.settle().await;
    assert_eq!(jobs.books().await, (COST, 0));
    assert_eq!(jobs.post(&background(), &[]).await.status, 200, "what was not used is free again");
}

#[tokio::test]
async fn nothing_of_a_response_is_reachable_with_another_projects_key() {
    let jobs = Jobs::new().await;
    let id = jobs.accept().await;
    let (_, stranger) = jobs.app.project(budget(1.0), shared::model::project::Policy::default()).await;
    let router = jobs.app.router();
    let path = |rest: &str| format!("{RESPONSES}/{id}{rest}");
    for (method, path) in [
        ("GET", path("")),
        ("GET", path("?stream=true")),
        ("GET", path("/input_items")),
        ("POST", path("/cancel")),
        ("DELETE", path("")),
    ] {
        let reply = send(&router, method, &path, &stranger, &[], "").await;
        assert_eq!((reply.status, reply.code().as_str()), (404, "not_found"), "{method} {path}");
    }
    let chained = json!({"model": "priced", "input": "Go on", "previous_response_id": id});
    let reply = send(&router, "POST", RESPONSES, &stranger, &[], chained.to_string()).await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "previous_response_not_found"));
    jobs.settle().await;
    jobs.ended(&id, "completed").await;
}

#[tokio::test]
async fn a_deleted_response_is_gone_its_worker_stops_and_its_hold_is_settled() {
    let jobs = Jobs::new().await;
    let id = jobs.accept().await;
    let deleted = send(&jobs.app.router(), "DELETE", &format!("{RESPONSES}/{id}"), &jobs.key, &[], "").await;
    assert_eq!(deleted.json(), json!({"id": id, "object": "response", "deleted": true}));
    jobs.settle().await;
    assert_eq!(jobs.get(&id).await.status, 404);
    assert_eq!((jobs.app.first.call_count(), jobs.books().await), (0, (0, 0)));
    let again = send(&jobs.app.router(), "DELETE", &format!("{RESPONSES}/{id}"), &jobs.key, &[], "").await;
    assert_eq!(again.status, 404);
}
