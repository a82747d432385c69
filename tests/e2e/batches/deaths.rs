//! Workers that die at each of their steps, and messages that come twice, late and in any order.

use std::sync::Arc;

use kit::{Fault, Script};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use shared::data::Queue;
use shared::model::money::MicroUsd;
use shared::model::project::Limits;

use super::{LINE_COST, SECOND, Site, lines};
use crate::seed;

const LINES: usize = 5;

fn limits() -> Limits {
    Limits { budget: Some(MicroUsd(10_000_000)), ..Limits::default() }
}

/// A worker dies before and after each call of a store that it makes for a batch. No line is lost, none has two results, and at most
/// those in flight are run again.
#[tokio::test(start_paused = true)]
async fn a_worker_that_dies_at_any_call_loses_and_doubles_nothing() {
    for fault in [Fault::Hang, Fault::HangAfter] {
        let mut died = 0;
        for n in 0.. {
            let site = Site::new(limits()).await;
            let batch_id = site.submit(&lines(LINES)).await;
            site.app.faults.at(n, fault);
            while site.app.faults.or_die(site.work_once()).await.is_some_and(|messages| messages > 0) {}
            let has_died = site.app.faults.hangs();
            site.app.faults.clear();
            if !has_died {
                assert_eq!(site.get(&batch_id).await["status"], "completed");
                break;
            }
            died += 1;
            let batch = site.run(&batch_id).await;
            assert_eq!(batch["status"], "completed", "{fault:?} at {n}: {batch}");
            let (output, _) = site.results(&batch, LINES).await;
            assert_eq!(output.len(), LINES, "{fault:?} at {n}");
            let calls = site.app.first.call_count();
            assert!(calls == LINES || calls == 2 * LINES, "{fault:?} at {n}: {calls} calls");
            // The sweeper settles what nobody else does.
            site.app.clock.advance_ms(2_000_000);
            site.instance.sweeper().sweep().await.unwrap();
            site.work().await;
            let (spent, held) = site.app.books(&site.project).await;
            assert_eq!((held, Site::cost(&batch)), (0, LINES as u64 * LINE_COST), "{fault:?} at {n}");
            // A wave that died is charged in full.
            let expected = if calls == LINES { LINES as u64 * LINE_COST } else { spent };
            assert!(spent == expected || spent > LINES as u64 * LINE_COST, "{fault:?} at {n}: {spent}");
            assert_eq!(site.leftovers().await, [""; 0], "{fault:?} at {n}");
        }
        assert!(died > 15, "{died}");
    }
}

/// The results that were stored before a death are not made again, and are charged truly.
#[tokio::test(start_paused = true)]
async fn lines_with_a_stored_result_are_not_run_again() {
    fn answer(call: &shared::model::provider::ProviderRequest) -> Script {
        let text = String::from_utf8_lossy(&call.body.to_bytes()).into_owned();
        if text.contains("line-4") { Script::Hang } else { Script::answer("Hi", 10, 5) }
    }
    let site = Site::with_patience(limits()).await;
    site.app.first.always(Script::Choose(answer));
    let batch_id = site.submit(&lines(LINES)).await;
    site.work_once().await;
    // Results are stored every five seconds. The process dies later.
    let event = site.app.take_messages(Queue::Batch);
    let work = batch::job(event, Arc::clone(&site.worker), None);
    assert!(tokio::time::timeout(7 * SECOND, work).await.is_err());
    assert_eq!(site.app.first.call_count(), LINES);
    site.app.first.always(Script::answer("Hi", 10, 5));
    let batch = site.run(&batch_id).await;
    let (output, _) = site.results(&batch, LINES).await;
    assert_eq!((output.len(), site.app.first.call_count()), (LINES, LINES + 1), "only the line in flight is run again");
    let (spent, held) = site.app.books(&site.project).await;
    let hold = spent - LINES as u64 * LINE_COST;
    assert!(held == 0 && (200..600).contains(&hold), "the line in flight is charged its worst case: {hold}");
}

#[tokio::test(start_paused = true)]
async fn messages_may_come_twice_and_in_any_order() {
    let seed = seed();
    let mut rng = StdRng::seed_from_u64(seed);
    for _ in 0..5 {
        let site = Site::new(limits()).await;
        let batch_id = site.submit(&lines(700)).await;
        for _ in 0..200 {
            let mut event = site.app.take_messages(Queue::Batch);
            if event.records.is_empty() {
                break;
            }
            let mut records = event.records.clone();
            records.extend(event.records.iter().filter(|_| rng.random_bool(0.5)).cloned());
            records.shuffle(&mut rng);
            event.records = records;
            let others: Vec<_> = (0..2).map(|_| site.app.instance().batch_worker(shared::edge::render)).collect();
            let jobs = others.iter().map(|worker| batch::job(event.clone(), Arc::clone(worker), None));
            let done = futures_util::future::join_all(jobs).await;
            site.app.acknowledge(Queue::Batch, &event, &done[0]);
        }
        let batch = site.run(&batch_id).await;
        let (output, _) = site.results(&batch, 700).await;
        assert_eq!((output.len(), site.app.first.call_count()), (700, 700), "seed {seed}");
        assert_eq!(site.app.books(&site.project).await, (700 * LINE_COST, 0), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn lost_messages_are_sent_again_by_the_sweep() {
    let seed = seed();
    let mut rng = StdRng::seed_from_u64(seed);
    let site = Site::new(limits()).await;
    let batch_id = site.submit(&lines(700)).await;
    for _ in 0..100 {
        if rng.random() {
            drop(site.app.take_messages(Queue::Batch));
            site.end_leases();
            site.instance.sweeper().sweep().await.unwrap();
        }
        site.work_once().await;
        if site.get(&batch_id).await["status"] == "completed" {
            break;
        }
    }
    let batch = site.get(&batch_id).await;
    assert_eq!(batch["status"], "completed", "{batch}");
    site.results(&batch, 700).await;
    assert_eq!(site.app.first.call_count(), 700);
}

/// Cancellation and expiry race the last lines.
#[tokio::test(start_paused = true)]
async fn a_cancellation_at_any_step_leaves_one_result_for_each_line() {
    for steps in 0..8 {
        let site = Site::new(limits()).await;
        let batch_id = site.submit(&lines(700)).await;
        for _ in 0..steps {
            site.work_once().await;
        }
        let cancelled = site.cancel(&batch_id).await;
        let batch = site.run(&batch_id).await;
        let expected = if cancelled.status == 200 { "cancelled" } else { "completed" };
        assert_eq!(batch["status"], expected, "{steps}: {batch}");
        if steps > 0 {
            let (output, _) = site.results(&batch, 700).await;
            assert_eq!(output.len(), site.app.first.call_count(), "{steps}");
        }
        let (spent, held) = site.app.books(&site.project).await;
        assert_eq!((spent, held), (site.app.first.call_count() as u64 * LINE_COST, 0), "{steps}");
        assert_eq!(batch["request_counts"]["total"], json!(if steps > 0 { 700 } else { 0 }));
    }
}

#[tokio::test(start_paused = true)]
async fn seeded_faults_leave_one_result_for_each_line_and_books_that_add_up() {
    let seed = seed();
    let mut rng = StdRng::seed_from_u64(seed);
    let site = Site::new(limits()).await;
    let batch_id = site.submit(&lines(400)).await;
    site.app.faults.set(move |_| match rng.random_range(0..20) {
        0 => Fault::Throttle,
        1 => Fault::LoseAnswer,
        2 => Fault::Lose,
        3 => Fault::Conflict,
        _ => Fault::None,
    });
    for _ in 0..15 {
        site.work_once().await;
        site.end_leases();
        let _ = site.instance.sweeper().sweep().await;
    }
    site.app.faults.clear();
    // Messages of failed jobs come again after their visibility timeout.
    site.app.clock.advance_ms(5_400_000);
    let batch = site.run(&batch_id).await;
    let (output, _) = site.results(&batch, 400).await;
    assert_eq!(output.len(), 400, "seed {seed}");
    site.app.clock.advance_ms(2_000_000);
    site.instance.sweeper().sweep().await.unwrap();
    let (spent, held) = site.app.books(&site.project).await;
    assert!(held == 0 && spent >= 400 * LINE_COST, "seed {seed}: {spent}, {held}");
}
