//! Never slow because of us: at most two sequential store round trips before the provider, one after.
//!
//! Time is virtual and every store call takes 10 ms of it, so elapsed time divided by 10 ms is the number of
//! sequential round trips.

use std::time::Duration;

use kit::{Script, TestApp, send};
use serde_json::{Value, json};
use shared::model::project::{Limits, Policy};
use tokio::time::Instant;

use crate::{CHAT, PATH, STREAM, budget, responses};

/// Looks into the cache, so that the look-up is counted, and leaves nothing in it.
const NO_STORE: (&str, &str) = ("cache-control", "no-store");

const TRIP: Duration = Duration::from_millis(10);

struct Trips {
    before: u32,
    after: u32,
    operations: usize,
}

/// Counts the round trips of one chat request, before the provider is called and after it has answered.
async fn trips(app: &TestApp, router: &axum::Router, key: &str, headers: &[(&str, &str)], body: &'static str) -> Trips {
    trips_to(PATH, app, router, key, headers, body.to_owned()).await
}

async fn trips_to(
    path: &str,
    app: &TestApp,
    router: &axum::Router,
    key: &str,
    headers: &[(&str, &str)],
    body: String,
) -> Trips {
    const PROVIDER: Duration = Duration::from_secs(1);
    app.first.always(Script::slow(PROVIDER, "Hello there.", 10, 5));
    let _ = app.log.take();
    let begun = Instant::now();
    let watched = async {
        let calls = app.first.call_count();
        while app.first.call_count() == calls {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        begun.elapsed()
    };
    let (reply, before) = tokio::join!(send(router, "POST", path, key, headers, body), watched);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let trips = |time: Duration| u32::try_from((time.as_millis() + 5) / TRIP.as_millis()).unwrap();
    let after = begun.elapsed().saturating_sub(before).saturating_sub(PROVIDER);
    Trips { before: trips(before), after: trips(after), operations: app.log.take().len() }
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_the_store_twice_before_the_provider_and_once_after() {
    let app = TestApp::builder().store_latency(TRIP).build().await;
    let everything = Limits { requests_per_minute: Some(500), tokens_per_minute: Some(500_000), ..budget(5.0) };
    let cached = Policy { cache_ttl_seconds: Some(60), ..Policy::default() };
    // Several shards: a cold instance does not know which one it will draw.
    let sharded = Limits { requests_per_minute: Some(8_000), ..Limits::default() };
    for (limits, policy) in [
        (sharded, Policy::default()),
        (Limits::default(), Policy::default()),
        (budget(5.0), Policy::default()),
        (everything, cached),
    ] {
        let (_, key) = app.project(limits, policy).await;
        let router = app.router();
        trips(&app, &router, &key, &[NO_STORE], CHAT).await; // Opens the month's meter.

        // An instance that has just started, in a window that is open.
        let cold = app.router();
        let found = trips(&app, &cold, &key, &[NO_STORE, ("idempotency-key", "cold")], CHAT).await;
        assert!(
            found.before <= 2 && found.after == 1,
            "cold, {limits:?}: {} before, {} after",
            found.before,
            found.after
        );

        // The same when the window has ended in the meantime.
        app.clock.advance_ms(61_000);
        let colder = app.router();
        let found = trips(&app, &colder, &key, &[NO_STORE], CHAT).await;
        assert!(
            found.before <= 2 && found.after == 1,
            "colder, {limits:?}: {} before, {} after",
            found.before,
            found.after
        );

        // An instance that has the key in memory.
        for (name, headers) in [("plain", vec![NO_STORE]), ("keyed", vec![NO_STORE, ("idempotency-key", "warm")])] {
            let found = trips(&app, &cold, &key, &headers, STREAM).await;
            assert!(
                found.before <= 2 && found.after == 1,
                "{name}, {limits:?}: {} before, {} after",
                found.before,
                found.after
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_names_files_waits_once_more() {
    let app = TestApp::builder().store_latency(TRIP).build().await;
    let (_, key) = app.project(budget(5.0), Policy::default()).await;
    let router = app.router();
    trips(&app, &router, &key, &[], CHAT).await; // Opens the month's meter.
    let file = json!({"file_id": crate::input_files::upload(&router, &key, "a.txt", b"Hello").await});
    let other = json!({"file_id": crate::input_files::upload(&router, &key, "b.txt", b"Hello").await});
    let parts = json!([{"type": "file", "file": file}, {"type": "file", "file": other}]);
    let body = json!({"model": "priced", "max_tokens": 100, "messages": [{"role": "user", "content": parts}]});
    let found = trips_to(PATH, &app, &router, &key, &[], body.to_string()).await;
    assert_eq!((found.before, found.after), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn three_levels_cost_no_round_trip_more_than_one() {
    let app = TestApp::builder().store_latency(TRIP).build().await;
    let own = Limits { requests_per_minute: Some(500), ..budget(5.0) };
    let (_, key) = app.project_with_limited_key(own, Policy::default()).await;
    let run = |name: &'static str| [("x-weir-run", name), ("x-weir-run-budget-usd", "1")];
    trips(&app, &app.router(), &key, &[], CHAT).await; // Opens the month's meters.
    let warm = app.router();
    trips(&app, &warm, &key, &[], CHAT).await;
    for (case, router, name) in [
        ("the first call of a run", &warm, "a"),
        ("a run that the process knows", &warm, "a"),
        ("a run that another process began", &app.router(), "a"),
        ("the first call of a run and of a process", &app.router(), "b"),
    ] {
        let found = trips(&app, router, &key, &run(name), CHAT).await;
        assert!(found.before <= 2 && found.after == 1, "{case}: {} before, {} after", found.before, found.after);
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_with_a_fallback_waits_no_longer() {
    let app = TestApp::builder().store_latency(TRIP).build().await;
    let (_, key) = app.project(budget(5.0), Policy::default()).await;
    trips(&app, &app.router(), &key, &[], CHAT).await;
    let body = r#"{"model":"two-targets","messages":[{"role":"user","content":"Hello"}],"max_tokens":100}"#;
    let found = trips(&app, &app.router(), &key, &[], body).await;
    assert!(found.before <= 2 && found.after == 1, "{} before, {} after", found.before, found.after);
}

#[tokio::test(start_paused = true)]
async fn a_plain_call_of_a_warm_instance_writes_three_items_and_reads_none() {
    let app = TestApp::builder().store_latency(TRIP).build().await;
    let (_, key) = app.project(budget(5.0), Policy::default()).await;
    let router = app.router();
    trips(&app, &router, &key, &[], CHAT).await;
    let found = trips(&app, &router, &key, &[], CHAT).await;
    assert_eq!((found.before, found.after, found.operations), (1, 1, 3));
}

#[tokio::test(start_paused = true)]
async fn a_response_waits_for_the_store_no_longer_than_a_chat_call() {
    let app = TestApp::builder().store_latency(TRIP).build().await;
    let (_, key) = app.project(budget(5.0), Policy::default()).await;
    let router = app.router();
    let trips = async |router: &axum::Router, headers: &[(&str, &str)], members: Value| {
        let found =
            trips_to(responses::PATH, &app, router, &key, headers, responses::ask_with(members).to_string()).await;
        (found.before, found.after)
    };
    trips(&router, &[], json!({})).await; // Opens the month's meter.
    let keyed = [("idempotency-key", "one")];
    let streamed = [("idempotency-key", "two")];
    for (router, headers, members, expected) in [
        (&router, &[] as &[_], json!({}), (1, 1)),
        (&router, &keyed, json!({"metadata": {"n": "1"}}), (1, 1)),
        (&router, &[], json!({"stream": true}), (1, 1)),
        (&router, &streamed, json!({"stream": true}), (1, 2)),
        (&router, &[], json!({"store": false}), (1, 1)),
    ] {
        assert_eq!(trips(router, headers, members.clone()).await, expected, "{headers:?} {members}");
    }
    let (before, after) = trips(&app.router(), &[], json!({})).await;
    assert!(before <= 2 && after == 1, "cold: {before} before, {after} after");

    // What it continues is read before.
    let previous = responses::make(&router, &key, responses::ask()).await;
    assert_eq!(trips(&router, &[], json!({"previous_response_id": previous})).await, (2, 1));
    let conversation = send(&router, "POST", "/v1/conversations", &key, &[], "{}").await.json();
    // Its turn is added in two steps: what the conversation has is read, then one transaction adds the rest.
    assert_eq!(trips(&router, &[], json!({"conversation": conversation["id"]})).await, (2, 2));
}
