//! Cancelling: before, while and after a worker runs the response; never both cancelled and ended.

use std::time::Duration;

use kit::Script;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::project::{COST, Jobs};

#[tokio::test]
async fn a_queued_response_is_cancelled_at_once_and_costs_nothing() {
    let jobs = Jobs::new().await;
    let id = jobs.accept().await;
    let cancelled = jobs.cancel(&id).await;
    assert_eq!((cancelled.status, cancelled.json()["status"].as_str()), (200, Some("cancelled")));
    assert_eq!(jobs.books().await, (0, 0), "nobody had called a provider");
    assert_eq!(jobs.cancel(&id).await.json()["status"], "cancelled", "again is no error");
    jobs.settle().await;
    jobs.ended(&id, "cancelled").await;
    assert_eq!(jobs.app.first.call_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_response_leaves_its_provider_within_a_heartbeat_and_pays_for_what_came() {
    let jobs = Jobs::new().await;
    // An hour of words.
    let text = "word ".repeat(3_600);
    jobs.app.first.always(Script::Paced { text, gap: Duration::from_secs(1) });
    let id = jobs.accept().await;
    let begun = tokio::time::Instant::now();
    let (_, cancelled) = tokio::join!(jobs.work(), async {
        tokio::time::sleep(Duration::from_secs(7)).await;
        jobs.cancel(&id).await
    });
    assert_eq!(cancelled.json()["status"], "cancelled");
    assert!(begun.elapsed() <= Duration::from_secs(7 + 10), "a heartbeat is 10 s at most: {:?}", begun.elapsed());
    assert_eq!(jobs.app.first.dropped(), 1, "the provider saw the end of the stream");
    let (spent, held) = jobs.books().await;
    assert!(spent > 0 && held == 0, "{spent} {held}");
    let listed = jobs.app.stores.usage_counters().read(&jobs.project.id, "2026", "2027").await.unwrap();
    assert_eq!(listed.iter().map(|(_, count)| count.cost.0).sum::<u64>(), spent);
    jobs.settle().await;
    jobs.ended(&id, "cancelled").await;
    assert_eq!(jobs.books().await, (spent, 0));
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_that_races_the_end_is_one_of_both() {
    let seed = crate::seed();
    let mut random = StdRng::seed_from_u64(seed);
    let mut seen = [0, 0];
    for _ in 0..60 {
        let jobs = Jobs::new().await;
        jobs.app.first.always(Script::slow(Duration::from_millis(20), "Hello there.", 10, 5));
        let id = jobs.accept().await;
        let wait = Duration::from_micros(random.random_range(18_000..24_000));
        let (_, cancelled) = tokio::join!(jobs.work(), async {
            tokio::time::sleep(wait).await;
            jobs.cancel(&id).await
        });
        assert_eq!(cancelled.status, 200, "{}", cancelled.text());
        let is_cancelled = cancelled.json()["status"] == "cancelled";
        jobs.settle().await;
        jobs.ended(&id, if is_cancelled { "cancelled" } else { "completed" }).await;
        seen[usize::from(is_cancelled)] += 1;
        if !is_cancelled {
            assert_eq!(cancelled.json()["status"], "completed", "it is returned as it ended");
            assert_eq!(jobs.books().await, (COST, 0));
        }
    }
    assert!(seen[0] > 0 && seen[1] > 0, "both happen: {seen:?}");
}

#[tokio::test]
async fn only_what_runs_in_the_background_can_be_cancelled() {
    let jobs = Jobs::new().await;
    let made = jobs.post(&serde_json::json!({"model": "priced", "input": "Hello"}), &[]).await;
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let refused = jobs.cancel(&id).await;
    assert_eq!((refused.status, refused.code().as_str()), (400, "not_cancellable"));
    assert!(refused.text().contains("background=true"), "{}", refused.text());
    assert_eq!(jobs.cancel("resp_unknown").await.status, 404);
}
