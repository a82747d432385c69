//! A machine's clock is set back while jobs wait, run and have run.

use kit::{Fault, Script};
use shared::data::Queue;
use shared::model::provider::Failure;

use super::project::{COST, Jobs};

const TWO_DAYS_MS: u64 = 2 * 86_400_000;

fn unavailable() -> Failure {
    Failure::Unavailable { status: 500, message: "down".into(), retry_after: None }
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_message_is_lost_begins_although_the_clock_was_set_back() {
    let jobs = Jobs::new().await;
    let id = jobs.accept().await;
    for message in jobs.app.queues.receive("respond", 10).unwrap() {
        jobs.app.queues.delete("respond", &message.receipt_handle).unwrap();
    }
    jobs.app.clock.set_back_ms(TWO_DAYS_MS);
    jobs.settle().await;
    jobs.ended(&id, "completed").await;
    assert_eq!(jobs.books().await, (COST, 0));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_waits_for_another_run_gets_it_although_the_clock_was_set_back() {
    let jobs = Jobs::new().await;
    jobs.app.first.always(Script::Fail(unavailable));
    let id = jobs.accept().await;
    jobs.work().await;
    assert_eq!(jobs.get(&id).await.json()["status"], "queued");
    jobs.app.first.always(Script::answer("Hello there.", 10, 5));
    jobs.app.clock.set_back_ms(TWO_DAYS_MS);
    assert!(jobs.work().await > 0, "its message comes at once");
    jobs.ended(&id, "completed").await;
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_worker_died_is_taken_over_although_the_clock_was_set_back() {
    for step in 0.. {
        let jobs = Jobs::new().await;
        let id = jobs.accept().await;
        let instance = jobs.app.instance();
        jobs.app.faults.at(step, Fault::HangAfter);
        jobs.app.work_once(Queue::Respond, |event| respond::job(event, instance.response_worker(), None)).await;
        jobs.app.faults.clear();
        let status = jobs.get(&id).await.json()["status"].clone();
        if status == "queued" {
            continue; // It died before it had the job.
        }
        assert_eq!(status, "in_progress");
        jobs.app.clock.set_back_ms(TWO_DAYS_MS);
        jobs.settle().await;
        jobs.ended(&id, "completed").await;
        break;
    }
}
