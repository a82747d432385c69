//! Messages that come twice, late, out of order, never, or that cannot be read.

use std::time::Duration;

use kit::{ADMIN_KEY, Fault, Script, send};
use serde_json::json;
use shared::data::Queue;

use super::project::{COST, Jobs};

const JOBS: usize = 10;

#[tokio::test]
async fn messages_that_come_twice_and_out_of_order_are_one_run_each() {
    let jobs = Jobs::new().await;
    jobs.app.first.always(Script::slow(Duration::from_millis(30), "Hello there.", 10, 5));
    let mut ids = Vec::new();
    for _ in 0..JOBS {
        ids.push(jobs.accept().await);
    }
    jobs.app.queues.duplicate_all("respond").unwrap();
    let mut event = jobs.app.take_messages(Queue::Respond);
    assert_eq!(event.records.len(), 2 * JOBS);
    event.records.reverse();
    let (one, other) = (jobs.app.instance().response_worker(), jobs.app.instance().response_worker());
    let (one, other) = tokio::join!(respond::job(event.clone(), one, None), respond::job(event.clone(), other, None));
    assert!(one.batch_item_failures.is_empty() && other.batch_item_failures.is_empty());
    // And once more after the end.
    respond::job(event, jobs.app.instance().response_worker(), None).await;
    for id in &ids {
        jobs.ended(id, "completed").await;
    }
    assert_eq!((jobs.app.first.call_count(), jobs.books().await), (JOBS, (COST * JOBS as u64, 0)));
    jobs.settle().await;
    assert_eq!(jobs.app.first.call_count(), JOBS);
}

#[tokio::test]
async fn a_message_that_was_never_sent_is_sent_by_the_sweeper() {
    let jobs = Jobs::new().await;
    jobs.app.faults.set(|operation| if operation == "SendMessage" { Fault::Lose } else { Fault::None });
    let id = jobs.accept().await;
    jobs.app.faults.clear();
    assert_eq!(jobs.work().await, 0, "nothing was sent");
    jobs.app.clock.advance_ms(61_000);
    // Any number of sweepers at once send it once.
    tokio::join!(jobs.sweep(), jobs.sweep(), jobs.sweep());
    assert_eq!(jobs.app.queues.bodies("respond").unwrap().len(), 1);
    jobs.settle().await;
    jobs.ended(&id, "completed").await;
    assert_eq!(jobs.books().await, (COST, 0));
}

#[tokio::test]
async fn a_job_that_waits_for_a_day_fails_and_costs_nothing() {
    let jobs = Jobs::new().await;
    let id = jobs.accept().await;
    jobs.app.clock.advance_ms(24 * 3_600_000);
    jobs.sweep().await;
    let failed = jobs.ended(&id, "failed").await;
    assert!(failed["error"]["message"].as_str().unwrap().contains("24 hours"), "{failed}");
    assert_eq!(jobs.books().await, (0, 0));
    assert_eq!(jobs.work().await, 1, "its message comes late");
    jobs.ended(&id, "failed").await;
    assert_eq!(jobs.app.first.call_count(), 0);
}

#[tokio::test]
async fn what_is_no_message_becomes_a_dead_letter_that_can_be_listed_and_replayed() {
    let jobs = Jobs::new().await;
    let good = jobs.accept().await;
    let poison = r#"{"version": 7, "project_id": "proj_1"}"#.to_owned();
    jobs.app.stores.queues.send(Queue::Respond, "proj_1", poison.clone(), Duration::ZERO).await.unwrap();
    for _ in 0..6 {
        jobs.work().await;
        jobs.app.clock.advance_ms(5_400_001);
    }
    jobs.ended(&good, "completed").await;
    let router = jobs.app.router();
    let listed = send(&router, "GET", "/v1/organization/dead_letters?queue=respond", ADMIN_KEY, &[], "").await.json();
    let letters = listed["data"].as_array().unwrap();
    assert_eq!(letters.len(), 1, "{listed}");
    assert_eq!((letters[0]["queue"].as_str(), letters[0]["body"].as_str()), (Some("respond"), Some(poison.as_str())));
    let replay = json!({"queue": "respond", "ids": [letters[0]["id"]]}).to_string();
    let again = || send(&router, "POST", "/v1/organization/dead_letters/replay", ADMIN_KEY, &[], replay.clone());
    jobs.app.faults.set(|operation| if operation == "SendMessage" { Fault::Lose } else { Fault::None });
    let failed = again().await;
    assert_eq!((failed.status, failed.code().as_str()), (503, "store_unavailable"));
    jobs.app.faults.clear();
    let replayed = again().await;
    assert_eq!(replayed.json()["replayed"], 1, "{}", replayed.text());
    assert_eq!(jobs.app.queues.bodies("respond").unwrap(), [poison]);
    assert_eq!(jobs.app.queues.bodies("respond-dead-letters").unwrap().len(), 0);
}

#[tokio::test]
async fn an_operator_sees_and_cancels_the_jobs_of_all_projects() {
    let jobs = Jobs::new().await;
    let (done, waiting) = (jobs.accept().await, {
        jobs.work().await;
        jobs.app.clock.advance_ms(1);
        jobs.accept().await
    });
    let _taken = jobs.app.take_messages(Queue::Respond); // By a worker that never comes back.
    let router = jobs.app.router();
    let get = async |path: &str| send(&router, "GET", path, ADMIN_KEY, &[], "").await.json();
    jobs.work().await;
    let all = get("/v1/organization/jobs").await;
    let ids: Vec<_> = all["data"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [waiting.as_str(), done.as_str()], "newest first: {all}");
    let queued = get("/v1/organization/jobs?status=queued").await;
    assert_eq!(queued["data"][0]["id"], waiting.as_str());
    assert_eq!(queued["data"].as_array().unwrap().len(), 1);
    let path = format!("/v1/organization/jobs/{waiting}");
    assert_eq!(get(&path).await["status"], "queued");
    let cancelled = send(&router, "POST", &format!("{path}/cancel"), ADMIN_KEY, &[], "").await.json();
    assert_eq!(cancelled["status"], "cancelled", "{cancelled}");
    let with_project_key = send(&router, "GET", "/v1/organization/jobs", &jobs.key, &[], "").await;
    assert_eq!(with_project_key.status, 401);
    assert_eq!(send(&router, "GET", "/v1/organization/jobs/resp_x", ADMIN_KEY, &[], "").await.status, 404);
}
