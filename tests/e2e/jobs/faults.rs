//! Stores and queues that throttle, conflict, lose requests and lose answers while jobs run; clients that cancel.

use std::time::Duration;

use kit::{Fault, Script};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use shared::model::money::MicroUsd;
use shared::model::project::Limits;
use shared::model::provider::Failure;

use super::project::{Jobs, background};

const JOBS: usize = 8;

/// In micro-dollars; a job holds some 400.
const BUDGET: u64 = 5_000;

fn throttled() -> Failure {
    Failure::Throttled { message: "slow down".into(), retry_after: Some(Duration::from_millis(50)) }
}

#[tokio::test(start_paused = true)]
async fn jobs_end_once_whatever_the_stores_and_the_provider_do() {
    let seed = crate::seed();
    for round in 0..6 {
        let mut random = StdRng::seed_from_u64(seed.wrapping_add(round));
        let jobs = Jobs::with(Limits { budget: Some(MicroUsd(BUDGET)), ..Limits::default() }).await;
        let mut ids = Vec::new();
        for _ in 0..JOBS {
            ids.push(jobs.accept().await);
        }
        for _ in 0..2 * JOBS {
            jobs.app.first.then(match random.random_range(0..5) {
                0 => Script::Fail(throttled),
                1 => Script::broken("one two three", 2),
                2 => Script::Paced { text: "one two three four".into(), gap: Duration::from_millis(900) },
                _ => Script::answer("Hello there.", 10, 5),
            });
        }
        let mut dice = StdRng::seed_from_u64(random.random());
        jobs.app.faults.set(move |_| match dice.random_range(0..40) {
            0 => Fault::Throttle,
            1 => Fault::Conflict,
            2 => Fault::Lose,
            3 => Fault::LoseAnswer,
            _ => Fault::None,
        });
        for step in 0..12 {
            let worked = jobs.work();
            if step % 3 == 1 {
                let id = &ids[random.random_range(0..JOBS)];
                let wait = Duration::from_millis(random.random_range(0..3_000));
                tokio::join!(worked, async {
                    tokio::time::sleep(wait).await;
                    jobs.cancel(id).await
                });
            } else {
                worked.await;
            }
            jobs.app.clock.advance_ms(random.random_range(0..100_000));
            let _ = jobs.app.instance().sweeper().sweep().await;
        }
        jobs.app.faults.clear();
        jobs.settle().await;
        jobs.app.clock.advance_ms(26 * 3_600_000); // Holds that a lost answer left behind are settled by their lease.
        jobs.sweep().await;
        for id in &ids {
            let status = jobs.get(id).await.json()["status"].as_str().unwrap().to_owned();
            jobs.ended(id, &status).await;
        }
        let (spent, held) = jobs.books().await;
        assert_eq!(held, 0);
        // A run without a hold would not be stopped by the budget, which has room for little more than the jobs' first runs.
        assert!(spent > 0 && spent <= BUDGET, "the budget holds: {spent}");
    }
}

/// The creation fails without an answer, so the response is prevented; the write that prevents it takes effect, its answer is lost,
/// and the SDK repeats it. The repetition must not take its own first half for the response.
#[tokio::test(start_paused = true)]
async fn a_job_that_was_prevented_is_not_accepted() {
    let jobs = Jobs::with(Limits { budget: Some(MicroUsd(BUDGET)), ..Limits::default() }).await;
    jobs.accept().await; // The first call of a month makes the meter.
    let before = jobs.books().await;
    let mut has_failed = false;
    jobs.app.faults.set(move |operation| match operation {
        "TransactWriteItems" => {
            has_failed = true;
            Fault::Lose
        }
        "PutItem" if std::mem::take(&mut has_failed) => Fault::LoseAnswer,
        _ => Fault::None,
    });
    let refused = jobs.post(&background(), &[]).await;
    jobs.app.faults.clear();
    assert!(refused.status >= 500, "{}", refused.text());
    assert_eq!(jobs.books().await, before, "nothing is held for it");
}
