//! Runs that their provider may bill and that end without a usage.

use std::sync::Arc;
use std::time::Duration;

use kit::{Script, TestApp};
use serde_json::json;
use shared::model::catalog::Catalog;
use tokio::time::{Instant, sleep};

use super::project::{COST, Jobs, background};
use crate::budget;

/// A model that thinks for minutes, at 50 tokens a second at most.
const THINKER: &str = r#"
[[provider]]
name = "first"
kind = "simulator"

[[model]]
name = "priced"
kind = "chat"
price = { input = 1.0, output = 2.0 }
context_tokens = 128000
max_output_tokens = 50000
tokens_per_second = 50
targets = [{ provider = "first", model = "thinker" }]
"#;

/// Cancels a job after a time in which its model only thinks. Returns when its worker left, and the charge.
async fn cancelled_after(time: Duration, limit: u64) -> (Duration, u64) {
    let app = TestApp::builder().models(Arc::new(Catalog::parse(THINKER).unwrap())).build().await;
    let jobs = Jobs::of(app, budget(1.0)).await;
    jobs.app.first.always(Script::Hang);
    let mut body = background();
    body["max_output_tokens"] = json!(limit);
    let id = jobs.post(&body, &[]).await.json()["id"].as_str().unwrap().to_owned();
    let begun = Instant::now();
    let worked = async {
        jobs.work().await;
        begun.elapsed()
    };
    let cancel = async {
        sleep(time).await;
        jobs.cancel(&id).await
    };
    let (left_after, cancelled) = tokio::join!(worked, cancel);
    assert_eq!(cancelled.json()["status"], "cancelled");
    jobs.settle().await;
    jobs.ended(&id, "cancelled").await;
    (left_after, jobs.books().await.0)
}

#[tokio::test(start_paused = true)]
async fn a_job_that_only_thought_is_charged_by_the_time_until_it_was_cancelled() {
    let (early, of_3_seconds) = cancelled_after(Duration::from_secs(3), 10_000).await;
    let (late, of_30_seconds) = cancelled_after(Duration::from_secs(30), 10_000).await;
    assert!(early < Duration::from_secs(14) && late > Duration::from_secs(29), "{early:?} {late:?}");
    // A second is 50 tokens at 2 micro-dollars.
    let seconds = u64::try_from((late - early).as_millis()).unwrap() / 1_000;
    assert_eq!(of_30_seconds - of_3_seconds, 100 * seconds);
    assert!(of_3_seconds > 300, "{of_3_seconds}");
    let (_, at_most) = cancelled_after(Duration::from_secs(30), 100).await;
    assert!(at_most < 2 * 100 + 300, "never more than its hold: {at_most}");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_may_be_billed_is_paid_and_the_next_one_holds_for_itself() {
    let jobs = Jobs::new().await;
    jobs.app.first.then(Script::Hang);
    let id = jobs.accept().await;
    let held = jobs.books().await.1;
    jobs.work().await;
    assert_eq!(jobs.get(&id).await.json()["status"], "queued");
    assert_eq!((jobs.app.first.call_count(), jobs.books().await), (1, (held, 0)));
    jobs.settle().await;
    jobs.ended(&id, "completed").await;
    assert_eq!(jobs.books().await, (held + COST, 0));
}

#[tokio::test(start_paused = true)]
async fn four_runs_that_may_be_billed_are_four_holds() {
    let jobs = Jobs::new().await;
    jobs.app.first.always(Script::Hang);
    let id = jobs.accept().await;
    let held = jobs.books().await.1;
    jobs.settle().await;
    let failed = jobs.ended(&id, "failed").await;
    assert!(failed["error"]["message"].as_str().unwrap().contains("USD are charged"), "{failed}");
    assert_eq!((jobs.app.first.call_count(), jobs.books().await), (4, (4 * held, 0)));
    assert_eq!(jobs.app.counted(&jobs.project).await.cost.0, 4 * held);
}

#[tokio::test(start_paused = true)]
async fn the_run_after_one_that_stalled_begins_with_another_target() {
    let jobs = Jobs::new().await;
    jobs.app.first.always(Script::Hang);
    let mut body = background();
    body["model"] = json!("two-targets");
    let id = jobs.post(&body, &[]).await.json()["id"].as_str().unwrap().to_owned();
    jobs.settle().await;
    let made = jobs.ended(&id, "completed").await;
    assert_eq!(made["output"][0]["content"][0]["text"], "From the second.");
    assert_eq!((jobs.app.first.call_count(), jobs.app.second.call_count()), (1, 1));
}
