//! Never lost: what a dead process held is settled.

use std::time::Duration;

use kit::{Fault, Reply, Script, TestApp, send};
use shared::app::SweepReport;
use shared::data::DUE_SHARDS;
use shared::model::meter::MeterKey;
use shared::model::money::MicroUsd;
use shared::model::project::{Limits, Policy};

use crate::jobs::RESPONSES;
use crate::{CHAT, CHAT_COST, CHAT_HOLD, PATH, budget};

#[tokio::test]
async fn a_process_that_died_between_hold_and_settlement_is_settled_in_full_once() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    let (stores, first, clock) = (app.stores.clone(), app.first.clone(), app.clock.clone());
    first.then(Script::Hang);
    let router = app.router();
    let doomed = std::thread::spawn(move || {
        // A process of its own: when its runtime goes, everything that ran in it is gone.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            tokio::time::timeout(Duration::from_millis(200), send(&router, "POST", PATH, &key, &[], CHAT))
                .await
                .is_err()
        })
    });
    assert!(doomed.join().unwrap());
    assert_eq!(app.books(&project).await, (0, CHAT_HOLD));

    let (sweeper, other) = (app.instance().sweeper(), app.instance().sweeper());
    assert_eq!(sweeper.sweep().await.unwrap(), SweepReport::default(), "the lease has not ended");
    clock.advance_ms(20_000 + 60_000 + 2_000);
    let (one, other) = tokio::join!(sweeper.sweep(), other.sweep());
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one.reservations_settled + other.reservations_settled, 1);
    assert_eq!(one.charged + other.charged, MicroUsd(CHAT_HOLD));
    assert_eq!(app.books(&project).await, (CHAT_HOLD, 0));
    let hour = clock.now().hour();
    let counted = stores.usage_counters().read(&project.id, &hour, &hour).await.unwrap();
    assert_eq!(counted.iter().map(|(_, count)| count.cost.0).sum::<u64>(), CHAT_HOLD);
    assert_eq!(sweeper.sweep().await.unwrap(), SweepReport::default());
}

/// A call that waits for its provider, and what somebody does meanwhile.
async fn while_a_call_waits<T>(app: &TestApp, key: &str, meanwhile: impl Future<Output = T>) -> (Reply, T) {
    app.first.always(Script::slow(Duration::from_millis(200), "late", 10, 5));
    let router = app.router();
    let meanwhile = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        meanwhile.await
    };
    tokio::join!(send(&router, "POST", PATH, key, &[], CHAT), meanwhile)
}

/// A sweep after the leases of all calls have ended.
async fn late_sweep(app: &TestApp) -> SweepReport {
    app.clock.advance_ms(100_000);
    app.instance().sweeper().sweep().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_sweep_leaves_calls_that_run_alone() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    let (reply, swept) =
        while_a_call_waits(&app, &key, async { app.instance().sweeper().sweep().await.unwrap() }).await;
    assert_eq!((reply.status, swept), (200, SweepReport::default()));
    assert_eq!(app.books(&project).await, (CHAT_COST, 0));
}

#[tokio::test(start_paused = true)]
async fn a_settlement_that_comes_after_the_sweep_changes_nothing() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    let (reply, swept) = while_a_call_waits(&app, &key, late_sweep(&app)).await;
    assert_eq!((reply.status, swept.reservations_settled), (200, 1));
    assert_eq!(app.books(&project).await, (CHAT_HOLD, 0));
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_got_a_hold_while_the_sweeper_looked_stays_due() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    let meter = MeterKey::of_project(&project.id, app.clock.now().month());
    let sweeps = async {
        // The first one looked before the call was admitted, and found nothing to come back for.
        app.stores.meters().set_due(&meter, None).await.unwrap();
        late_sweep(&app).await
    };
    let (_, swept) = while_a_call_waits(&app, &key, sweeps).await;
    assert_eq!(swept.reservations_settled, 1);
}

/// Responses in the background whose messages were lost, due by now.
async fn lost(app: &TestApp, jobs: usize) {
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    app.faults.set(|operation| if operation == "SendMessage" { Fault::Lose } else { Fault::None });
    for _ in 0..jobs {
        let body = r#"{"model":"priced","input":"Hello","background":true}"#;
        assert_eq!(send(&router, "POST", RESPONSES, &key, &[], body).await.status, 200);
    }
    app.faults.clear();
    assert!(app.queues.bodies("respond").unwrap().is_empty());
    app.clock.advance_ms(61_000);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_handles_many_things_at_once() {
    const JOBS: usize = 80;
    let latency = Duration::from_millis(100);
    let app = TestApp::builder().store_latency(latency).build().await;
    lost(&app, JOBS).await;
    let begun = tokio::time::Instant::now();
    app.instance().sweeper().sweep().await.unwrap();
    // One after another, each waits for the store three times: read, postpone, send.
    let (took, one_by_one) = (begun.elapsed(), latency * 3 * u32::try_from(JOBS).unwrap());
    assert!(took < one_by_one / 5, "{took:?}, one by one {one_by_one:?}");
    assert_eq!(app.queues.bodies("respond").unwrap().len(), JOBS);
}

#[tokio::test(start_paused = true)]
async fn what_is_stuck_keeps_nothing_else_waiting() {
    const JOBS: usize = 80;
    let sent = async |stuck: &'static str| {
        let app = TestApp::new().await;
        lost(&app, JOBS).await;
        let mut calls = 0;
        app.faults.set(move |operation| {
            calls += usize::from(operation == stuck);
            if operation == stuck && calls == 1 { Fault::Hang } else { Fault::None }
        });
        let instance = app.instance();
        assert!(tokio::time::timeout(Duration::from_secs(50), instance.sweeper().sweep()).await.is_err());
        app.queues.bodies("respond").unwrap().len()
    };
    // One shard of the index, and one item of it.
    let others = sent("Query").await;
    assert!(others > JOBS / usize::from(DUE_SHARDS) && others < JOBS, "{others}");
    assert_eq!(sent("GetItem").await, JOBS - 1);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_keeps_nothing_else_waiting_and_is_done_when_it_can() {
    const JOBS: usize = 20;
    let app = TestApp::new().await;
    lost(&app, JOBS).await;
    let items = app.items().await;
    let readable = items.into_iter().find(|item| item.contains_key("run_status")).unwrap();
    let mut damaged = readable.clone();
    damaged.insert("run_status".to_owned(), readable["pk"].clone());
    for (item, sent) in [(damaged, JOBS - 1), (readable, JOBS)] {
        app.dynamo().put_item().table_name("weir").set_item(Some(item)).send().await.unwrap();
        app.instance().sweeper().sweep().await.unwrap();
        assert_eq!(app.queues.bodies("respond").unwrap().len(), sent);
    }
}
