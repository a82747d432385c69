//! What stops the lines of a batch, and what they wait for.

use std::time::Duration;

use kit::{ADMIN_KEY, Script, send};
use serde_json::json;
use shared::model::money::MicroUsd;
use shared::model::project::Limits;
use shared::model::provider::Failure;

use super::{LINE_COST, SECOND, Site, line, lines};

/// A budget of nothing but some lines, so that the others wait.
fn poor() -> Limits {
    Limits { budget: Some(MicroUsd(5_000)), ..Limits::default() }
}

#[tokio::test(start_paused = true)]
async fn a_revoked_key_runs_no_further_line() {
    let site = Site::new(poor()).await;
    let batch_id = site.submit(&lines(400)).await;
    site.work().await;
    let calls = site.app.first.call_count();
    assert!(calls > 0 && calls < 400, "{calls}");
    let keys = format!("/v1/organization/projects/{}/api_keys", site.project.id);
    let listed = send(&site.router, "GET", &keys, ADMIN_KEY, &[], "").await.json();
    let key_id = listed["data"][0]["id"].as_str().unwrap().to_owned();
    let batch = site.app.stores.batches();
    let revoked = send(&site.router, "DELETE", &format!("{keys}/{key_id}"), ADMIN_KEY, &[], "").await;
    assert_eq!(revoked.status, 200, "{}", revoked.text());
    let key = shared::model::batch::BatchKey { project_id: site.project.id.clone(), batch_id: batch_id.clone() };
    for _ in 0..30 {
        site.end_leases();
        site.instance.sweeper().sweep().await.unwrap();
        site.work().await;
    }
    let ended = batch.get(&key).await.unwrap().unwrap();
    assert_eq!((ended.status.name(), ended.counts.completed), ("completed", calls as u64));
    assert_eq!((site.app.first.call_count(), ended.counts.failed), (calls, 400 - calls as u64));
}

#[tokio::test(start_paused = true)]
async fn a_run_pays_no_more_than_its_budget_says() {
    let site = Site::new(Limits::default()).await;
    let file_id = site.upload(lines(400).as_bytes()).await;
    let body = json!({"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h"});
    let headers = [("x-weir-run", "nightly"), ("x-weir-run-budget-usd", "0.005")];
    let made = send(&site.router, "POST", "/v1/batches", &site.key, &headers, body.to_string()).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let batch_id = made.json()["id"].as_str().unwrap().to_owned();
    for _ in 0..5 {
        site.work().await;
        site.end_leases();
        site.instance.sweeper().sweep().await.unwrap();
    }
    site.work().await;
    let spent = site.app.first.call_count() as u64 * LINE_COST;
    assert!(spent > 0 && spent <= 5_000, "{spent}");
    let batch = site.get(&batch_id).await;
    assert!(
        batch["status"] == "in_progress" && batch["weir"]["waiting_for"].as_str().unwrap().contains("run"),
        "{batch}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_does_not_wait_for_money() {
    let site = Site::new(poor()).await;
    let batch_id = site.submit(&lines(400)).await;
    site.work().await;
    assert_eq!(site.get(&batch_id).await["status"], "in_progress");
    assert_eq!(site.cancel(&batch_id).await.status, 200);
    site.work().await;
    let batch = site.get(&batch_id).await;
    assert_eq!(batch["status"], "cancelled", "{batch}");
    site.results(&batch, 400).await;
}

#[tokio::test(start_paused = true)]
async fn no_line_begins_after_a_cancellation_was_seen() {
    let site = Site::with_patience(Limits::default()).await;
    let batch_id = site.submit(&lines(200)).await;
    site.work_once().await;
    // The pace of a process lets 64 lines run at once, so the last ones would begin after 24 seconds. Workers look every 20.
    site.app.first.always(Script::slow(Duration::from_secs(8), "Hi", 10, 5));
    let cancel = async {
        tokio::time::sleep(SECOND).await;
        site.cancel(&batch_id).await.status
    };
    let (_, cancelled) = tokio::join!(site.work_once(), cancel);
    let calls = site.app.first.call_count();
    assert!(cancelled == 200 && (64..200).contains(&calls), "{cancelled}, {calls}");
    let batch = site.run(&batch_id).await;
    let (output, _) = site.results(&batch, 200).await;
    assert_eq!((&batch["status"], output.len()), (&json!("cancelled"), calls));
}

#[tokio::test(start_paused = true)]
async fn lines_wait_for_a_provider_that_is_not_set_up() {
    let site = Site::new(Limits::default()).await;
    site.app.first.always(Script::Fail(|| Failure::wrong_entry("no key")));
    let batch_id = site.submit(&lines(3)).await;
    site.work().await;
    let batch = site.get(&batch_id).await;
    assert!(batch["status"] == "in_progress" && batch["weir"]["waiting_for"].is_string(), "{batch}");
    site.app.first.always(Script::answer("Hi", 10, 5));
    let batch = site.run(&batch_id).await;
    let (output, _) = site.results(&batch, 3).await;
    assert_eq!((output.len(), &batch["weir"]["waiting_for"]), (3, &json!(null)));
}

/// Each try is in another run of the part: the provider asks for longer pauses than a run waits.
#[tokio::test(start_paused = true)]
async fn tries_are_counted_from_run_to_run() {
    let site = Site::new(Limits::default()).await;
    site.app.first.always(Script::Fail(|| {
        let retry_after = Some(Duration::from_secs(40));
        Failure::Unavailable { status: 500, message: "down".into(), retry_after }
    }));
    let batch_id = site.submit(&line("a")).await;
    let batch = site.run(&batch_id).await;
    let (_, errors) = site.results(&batch, 1).await;
    assert_eq!(errors["a"]["response"]["status_code"], 503, "{errors:?}");
    assert!(site.app.first.call_count() <= 4 * 4, "{}", site.app.first.call_count());
}
