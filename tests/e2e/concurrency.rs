//! What a project may have open at the same time: calls, followers, running jobs. It leaves room for other projects.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use kit::{Fault, Reply, Script, TestApp, send};
use serde_json::json;
use shared::data::Queue;
use shared::edge::worker::MoreMessages;
use shared::model::id;
use shared::model::project::{DEFAULT_CONCURRENT_REQUESTS, Limits, Policy};
use tokio::task::JoinSet;

use crate::jobs::{Jobs, RESPONSES, background};
use crate::{CHAT, PATH, STREAM};

fn at_once(max: u64) -> Limits {
    Limits { concurrent_requests: Some(max), ..Limits::default() }
}

/// An app whose provider takes its time.
async fn slow_app() -> TestApp {
    let app = TestApp::new().await;
    app.first.always(Script::slow(Duration::from_millis(400), "x", 10, 5));
    app
}

/// The same call, many times at once, by two instances.
async fn flood(app: &TestApp, key: &str, body: &'static str, count: usize) -> Vec<Reply> {
    let routers = [app.router(), app.router()];
    join_all((0..count).map(|n| send(&routers[n % 2], "POST", PATH, key, &[], body))).await
}

/// How many were admitted. The others were refused for what is open at the same time, with `message`.
fn admitted(replies: &[Reply], message: &str) -> usize {
    let (admitted, refused): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 200);
    for reply in refused {
        assert_eq!((reply.status, reply.code().as_str()), (429, "rate_limit_exceeded"), "{}", reply.text());
        assert_eq!(reply.json()["error"]["message"], message);
        assert_eq!(reply.header("retry-after"), "2");
    }
    admitted.len()
}

#[tokio::test]
async fn no_more_calls_are_open_than_the_limit_of_the_project_says() {
    const MESSAGE: &str = "Too many calls of the project run at the same time: limit 3, running 3, requested 1. Send fewer \
                           at once, or have an administrator raise limits.concurrent_requests. Try again in 2 s.";
    for body in [CHAT, STREAM] {
        let app = slow_app().await;
        let (project, key) = app.project(at_once(3), Policy::default()).await;
        assert_eq!(admitted(&flood(&app, &key, body, 20).await, MESSAGE), 3);
        assert_eq!(app.first.call_count(), 3);
        // Those that ended make room, however they ended.
        app.first.always(Script::Fail(|| shared::model::provider::Failure::Malformed("nonsense".into())));
        assert!(flood(&app, &key, body, 3).await.iter().all(|reply| reply.status == 502));
        app.first.always(Script::slow(Duration::from_millis(400), "x", 10, 5));
        assert_eq!(admitted(&flood(&app, &key, body, 20).await, MESSAGE), 3);
        assert!(app.shards(&project).await.iter().all(|shard| shard.open_requests == 0));
    }
}

#[tokio::test]
async fn a_project_without_the_limit_leaves_room_for_others() {
    let app = TestApp::new().await;
    app.first.always(Script::Hang);
    let (project, key) = app.project(Limits::default(), Policy::default()).await;
    let limit = usize::try_from(DEFAULT_CONCURRENT_REQUESTS).unwrap();
    let (router, mut calls) = (app.router(), JoinSet::new());
    for _ in 0..limit {
        let (router, key) = (router.clone(), key.clone());
        calls.spawn(async move { send(&router, "POST", PATH, &key, &[], CHAT).await });
    }
    while app.first.call_count() < limit {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let refused = send(&router, "POST", PATH, &key, &[], CHAT).await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limit_exceeded"));
    let open: u64 = app.shards(&project).await.iter().map(|shard| shard.open_requests).sum();
    assert_eq!(open, DEFAULT_CONCURRENT_REQUESTS);
    // Jobs that wait are not open calls, and another project is not touched.
    assert_eq!(send(&router, "POST", RESPONSES, &key, &[], background().to_string()).await.status, 200);
    app.first.always(Script::answer("x", 10, 5));
    let (_, other) = app.project(Limits::default(), Policy::default()).await;
    assert_eq!(send(&router, "POST", PATH, &other, &[], CHAT).await.status, 200);
}

#[tokio::test]
async fn a_key_has_a_limit_of_its_own() {
    let app = slow_app().await;
    let (_, key) = app.project_with_limited_key(at_once(2), Policy::default()).await;
    const MESSAGE: &str = "Too many calls of the API key run at the same time: limit 2, running 2, requested 1. Send \
                           fewer at once, or have an administrator raise limits.concurrent_requests. Try again in 2 s.";
    assert_eq!(admitted(&flood(&app, &key, CHAT, 9).await, MESSAGE), 2);
}

const FOLLOWED: &str = "Too many requests of the project follow responses or other requests at the same time: limit 2, \
                        following 2, requested 1. Close some of them, or have an administrator raise \
                        limits.concurrent_requests. Try again in 2 s.";

#[tokio::test]
async fn no_more_requests_follow_a_stream_than_the_limit_says() {
    let jobs = Jobs::with(Limits { budget: crate::budget(1.0).budget, ..at_once(2) }).await;
    jobs.app.first.always(Script::Paced { text: "one two three four".into(), gap: Duration::from_millis(200) });
    let id = jobs.accept().await;
    let (router, path) = (jobs.app.router(), format!("{RESPONSES}/{id}?stream=true"));
    let follow = || send(&router, "GET", &path, &jobs.key, &[], "");
    let (followed, _) = tokio::join!(join_all((0..9).map(|_| follow())), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        // A response that its caller wants to follow is not accepted either: nothing is held for it.
        let mut body = background();
        body["stream"] = json!(true);
        let refused = jobs.post(&body, &[]).await;
        assert_eq!((refused.status, refused.json()["error"]["message"].as_str()), (429, Some(FOLLOWED)));
        jobs.work().await
    });
    assert_eq!(admitted(&followed, FOLLOWED), 2);
    assert_eq!(jobs.app.first.call_count(), 1);
    assert_eq!(follow().await.status, 200, "those that ended make room");
    jobs.settle().await;
    jobs.ended(&id, "completed").await;
}

#[tokio::test]
async fn no_more_requests_wait_for_one_with_their_key_than_the_limit_says_and_replays_are_free() {
    let app = slow_app().await;
    let (project, key) = app.project(at_once(2), Policy::default()).await;
    let router = app.router();
    let call = || send(&router, "POST", PATH, &key, &[("idempotency-key", "one")], CHAT);
    let (first, others) = tokio::join!(call(), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        join_all((0..9).map(|_| call())).await
    });
    assert_eq!((first.status, app.first.call_count()), (200, 1));
    let answered = others.iter().filter(|reply| reply.status == 200).count();
    assert!(others.iter().all(|reply| reply.status == 200 || reply.code() == "rate_limit_exceeded"));
    assert_eq!(answered, 2);
    assert!(join_all((0..9).map(|_| call())).await.iter().all(|reply| reply.status == 200));
    assert_eq!(app.first.call_count(), 1);
    assert!(app.shards(&project).await.iter().all(|shard| shard.open_requests == 0));
}

/// A second project on the same service, and what it needs to accept a job and look at it.
async fn accept_of_another(app: &TestApp) -> (String, String) {
    let (_, key) = app.project(crate::budget(1.0), Policy::default()).await;
    let body = background().to_string().replace("Hello", "Quick");
    let reply = send(&app.router(), "POST", RESPONSES, &key, &[], body).await;
    (key, format!("{RESPONSES}/{}", reply.json()["id"].as_str().unwrap()))
}

#[tokio::test(start_paused = true)]
async fn the_jobs_of_one_project_that_hang_leave_the_workers_to_others() {
    let app = TestApp::new().await;
    app.first.always(Script::Choose(|request| match request.body.to_bytes().windows(5).any(|part| part == b"Quick") {
        true => Script::answer("Quick.", 10, 5),
        false => Script::Paced { text: "a b c d e f g h i j".into(), gap: Duration::from_secs(1) },
    }));
    let jobs = Jobs::of_policy(app, crate::budget(1.0), Policy { concurrent_jobs: Some(2), ..Policy::default() }).await;
    let ids = join_all((0..6).map(|_| jobs.accept())).await;
    let (key, other) = accept_of_another(&jobs.app).await;
    // One worker takes all messages. It is done with four of the project's jobs and with the other's before the two end.
    let begun = tokio::time::Instant::now();
    let (_, status) = tokio::join!(jobs.work(), async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(jobs.app.first.call_count(), 3);
        send(&jobs.app.router(), "GET", &other, &key, &[], "").await.json()["status"].clone()
    });
    assert_eq!(status, "completed");
    assert!(begun.elapsed().as_secs() >= 10, "the two went on: {:?}", begun.elapsed());
    let waits = jobs.app.stores.jobs().list(&jobs.project.id, None, 10).await.unwrap().records;
    let waiting = waits.iter().filter(|record| record.status.name() == "queued").count();
    assert_eq!((waiting, waits.iter().map(|record| record.runs).sum::<u64>()), (4, 2), "waiting is no run");
    jobs.settle().await;
    for id in ids {
        jobs.ended(&id, "completed").await;
    }
    assert_eq!(jobs.app.first.call_count(), 7);
}

/// On Lambda, messages come one by one, and few invocations run at once.
#[tokio::test(start_paused = true)]
async fn a_job_that_hangs_leaves_the_rest_of_its_invocation_to_others() {
    for (lasts_ms, expected) in [(900_000, "completed"), (600_000, "queued")] {
        let app = TestApp::new().await;
        app.first.always(Script::Choose(|request| {
            match request.body.to_bytes().windows(5).any(|part| part == b"Quick") {
                true => Script::answer("Quick.", 10, 5),
                false => Script::Paced { text: "a b c d e f g h i j".into(), gap: Duration::from_secs(1) },
            }
        }));
        let jobs = Jobs::of_policy(app, crate::budget(1.0), Policy::default()).await;
        let id = jobs.accept().await;
        let (app, instance) = (&jobs.app, jobs.app.instance());
        let more = MoreMessages::of(app.stores.queues.clone(), Queue::Respond, app.clock.clone());
        let ends = app.clock.now().plus_ms(lasts_ms);
        let invocation =
            app.work_once(Queue::Respond, |event| respond::job_and_more(event, instance.response_worker(), more, ends));
        let (_, status) = tokio::join!(invocation, async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            let (key, other) = accept_of_another(app).await;
            tokio::time::sleep(Duration::from_secs(3)).await;
            send(&app.router(), "GET", &other, &key, &[], "").await.json()["status"].clone()
        });
        assert_eq!(status, expected, "a call of the model may take 600 s");
        jobs.settle().await;
        jobs.ended(&id, "completed").await;
        assert_eq!(jobs.app.first.call_count(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn the_slot_of_a_dead_worker_is_free_when_its_lease_ends() {
    let app = TestApp::new().await;
    let jobs = Jobs::of_policy(app, crate::budget(1.0), Policy { concurrent_jobs: Some(1), ..Policy::default() }).await;
    jobs.app.first.then(Script::Hang);
    let first = jobs.accept().await;
    let instance = jobs.app.instance();
    let worker = jobs.app.work_once(Queue::Respond, |event| respond::job(event, instance.response_worker(), None));
    assert!(tokio::time::timeout(Duration::from_secs(1), worker).await.is_err(), "it hangs, and dies here");
    jobs.cancel(&first).await;
    let second = jobs.accept().await;
    jobs.work().await;
    assert_eq!(jobs.app.first.call_count(), 1, "the dead worker still has the slot");
    jobs.settle().await;
    jobs.ended(&second, "completed").await;
}

/// Its limit is not known then: a default would let more of its jobs run than it allows.
#[tokio::test(start_paused = true)]
async fn a_job_whose_project_cannot_be_read_takes_no_slot() {
    let app = TestApp::new().await;
    let jobs = Jobs::of_policy(app, crate::budget(1.0), Policy { concurrent_jobs: Some(1), ..Policy::default() }).await;
    let id = jobs.accept().await;
    let takes = Arc::new(AtomicUsize::new(0));
    let counted = takes.clone();
    jobs.app.faults.set(move |operation| {
        // The first slot of a project makes an item.
        counted.fetch_add(usize::from(operation == "PutItem"), Ordering::Relaxed);
        if operation == "GetItem" { Fault::Throttle } else { Fault::None }
    });
    jobs.work().await;
    jobs.app.faults.clear();
    assert_eq!((takes.load(Ordering::Relaxed), jobs.app.first.call_count()), (0, 0));
    jobs.settle().await;
    jobs.ended(&id, "completed").await;
}

#[tokio::test]
async fn slots_hold_however_many_take_them_at_once() {
    use shared::data::TakeOutcome;
    use shared::model::slot::{SLOT_LEASE_MS, Slot, SlotKind};
    let app = TestApp::new().await;
    let (records, now) = (app.stores.slots(), app.clock.now());
    let slots: Vec<_> = (0..40).map(|_| Slot::new("proj_1", SlotKind::Job, id::random(8))).collect();
    // The first write makes the item; of those that come at the same time, some only learn that it exists.
    let outcomes = join_all(slots.iter().map(|slot| records.take(slot, 7, now))).await;
    let taken = outcomes.iter().filter(|outcome| matches!(outcome, Ok(TakeOutcome::Taken))).count();
    assert!((1..=7).contains(&taken), "{taken}");
    let rest = join_all(slots.iter().map(|slot| records.take(slot, 7, now))).await;
    let full = rest.iter().filter(|outcome| matches!(outcome, Ok(TakeOutcome::Full(all)) if all.len() == 7)).count();
    assert_eq!(full, 33);
    // One that took a slot over is not disturbed by the holder before it.
    let held = slots.iter().zip(&rest).find(|(_, outcome)| matches!(outcome, Ok(TakeOutcome::Taken))).unwrap().0;
    let heir = Slot { holder: "heir".into(), ..held.clone() };
    assert_eq!(records.take(&heir, 7, now).await.unwrap(), TakeOutcome::Taken);
    assert!(!records.free(held).await.unwrap().is_written() && !records.renew(held, now).await.unwrap().is_written());
    let later = now.plus_ms(SLOT_LEASE_MS);
    assert!(records.renew(&heir, later).await.unwrap().is_written());
    assert!(!records.remove(&heir, &heir.taken(now)).await.unwrap().is_written(), "it was renewed meanwhile");
    assert!(records.free(&heir).await.unwrap().is_written());
}
