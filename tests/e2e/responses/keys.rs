//! Idempotency keys: one key, one response.

use std::time::Duration;

use futures_util::future::join_all;
use kit::{Fault, Script, TestApp, send};
use serde_json::{Value, json};
use shared::model::project::{Limits, Policy};
use shared::model::provider::Failure;

use super::{COST, PATH, ask, ask_with, events, status};
use crate::budget;

const KEY: &[(&str, &str)] = &[("idempotency-key", "one")];

#[tokio::test]
async fn a_replay_is_the_same_response_byte_for_byte_and_costs_nothing() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    for (n, (stream, store)) in [(false, true), (true, true), (false, false), (true, false)].into_iter().enumerate() {
        let name = format!("key {n}");
        let headers = [("idempotency-key", name.as_str())];
        let body = ask_with(json!({"stream": stream, "store": store})).to_string();
        let first = send(&app.router(), "POST", PATH, &key, &headers, body.clone()).await;
        let again = send(&app.router(), "POST", PATH, &key, &headers, body.clone()).await;
        assert_eq!((first.status, again.status, &again.body), (200, 200, &first.body), "{body}");
        assert_eq!(again.header("content-type"), first.header("content-type"));
        assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), ("", "true"));
        assert_eq!(app.first.call_count(), n + 1);
        let id = first.text()[first.text().find("resp_").unwrap()..].split('"').next().unwrap().to_owned();
        let found = status(&app.router(), &key, &format!("{PATH}/{id}")).await;
        assert_eq!(found, if store { 200 } else { 404 }, "{body}");
    }
    assert_eq!(app.books(&project).await, (4 * COST, 0));
}

#[tokio::test]
async fn an_answer_that_ended_with_an_error_is_not_kept() {
    let chunk = |delta: Value, reason: Value| {
        json!({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}).to_string()
    };
    for stream in [false, true] {
        let app = TestApp::new().await;
        let (_, key) = app.project(budget(1.0), Policy::default()).await;
        let chunks = vec![chunk(json!({"content": "a"}), json!(null)), chunk(json!({}), json!("error"))];
        app.first.then(Script::Chunks(chunks));
        let body = ask_with(json!({"stream": stream})).to_string();
        let failed = send(&app.router(), "POST", PATH, &key, KEY, body.clone()).await;
        let has_failed = if stream { failed.text().contains("response.failed") } else { failed.status >= 500 };
        assert!(has_failed, "{}", failed.text());
        let again = send(&app.router(), "POST", PATH, &key, KEY, body).await;
        assert_eq!((again.status, again.header("idempotent-replayed"), app.first.call_count()), (200, "", 2));
    }
}

#[tokio::test]
async fn twenty_concurrent_callers_with_one_key_are_one_call_and_twenty_equal_answers() {
    for stream in [false, true] {
        let app = TestApp::new().await;
        app.first.always(Script::slow(Duration::from_millis(300), "Hello there, all of you.", 10, 5));
        let (project, key) = app.project(budget(1.0), Policy::default()).await;
        let routers = [app.router(), app.router()];
        let body = ask_with(json!({"stream": stream})).to_string();
        let calls = (0..20).map(|n| send(&routers[n % 2], "POST", PATH, &key, KEY, body.clone()));
        let replies = join_all(calls).await;
        assert_eq!(app.first.call_count(), 1);
        assert!(replies.iter().all(|reply| reply.status == 200 && reply.body == replies[0].body));
        assert_eq!(replies.iter().filter(|reply| reply.header("idempotent-replayed") == "true").count(), 19);
        assert_eq!(app.books(&project).await, (COST, 0));
    }
}

/// Seed 1252 of the simulation: the response had its end, its key had not.
#[tokio::test]
async fn who_was_given_a_replay_is_given_the_same_again_whatever_failed_after_it() {
    let app = TestApp::new().await;
    app.first.always(Script::slow(Duration::from_millis(300), "Hello there, all of you.", 10, 5));
    let (_, key) = app.project(budget(1.0), Policy::default()).await;
    let routers = [app.router(), app.router()];
    let body = ask_with(json!({"stream": true})).to_string();
    // The meter is there from here on.
    send(&app.router(), "POST", PATH, &key, &[], ask().to_string()).await;
    // After the response has its end, which is the second transaction, no update arrives.
    let mut transactions = 0;
    app.faults.set(move |operation| {
        transactions += usize::from(operation == "TransactWriteItems");
        if transactions > 1 && operation == "UpdateItem" { Fault::Lose } else { Fault::None }
    });
    let replies = join_all(routers.each_ref().map(|router| send(router, "POST", PATH, &key, KEY, body.clone()))).await;
    app.faults.clear();
    assert!(replies.iter().all(|reply| reply.text().contains("event: response.completed")));
    app.clock.advance_ms(60_000);
    let later = send(&app.router(), "POST", PATH, &key, KEY, body).await;
    assert_eq!((later.header("idempotent-replayed"), app.first.call_count()), ("true", 2));
    assert!(replies.iter().all(|reply| reply.body == later.body));
}

#[tokio::test]
async fn the_same_key_with_another_body_is_refused_for_good() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    send(&router, "POST", PATH, &key, KEY, ask().to_string()).await;
    let other = send(&router, "POST", PATH, &key, KEY, ask_with(json!({"input": "Goodbye"})).to_string()).await;
    assert_eq!((other.status, other.code().as_str()), (422, "idempotency_key_reused"));
    assert_eq!(other.header("x-should-retry"), "false");
    let chat = send(&router, "POST", crate::PATH, &key, KEY, crate::CHAT).await;
    assert_eq!((chat.status, chat.header("idempotent-replayed")), (200, ""), "a key belongs to its path");
}

#[tokio::test]
async fn a_failure_is_not_kept_but_given_to_those_who_waited() {
    fn unavailable() -> Failure {
        Failure::Unavailable { status: 500, message: "down".into(), retry_after: None }
    }
    for stream in [false, true] {
        let app = TestApp::new().await;
        let (project, key) = app.project(budget(1.0), Policy::default()).await;
        let router = app.router();
        let body = ask_with(json!({"stream": stream})).to_string();
        for _ in 0..3 {
            app.first.then(Script::Fail(unavailable));
        }
        let replies = join_all((0..5).map(|_| send(&router, "POST", PATH, &key, KEY, body.clone()))).await;
        for reply in replies {
            assert_eq!((reply.status, reply.code().as_str()), (503, "provider_unavailable"), "{}", reply.text());
        }
        assert_eq!(app.first.call_count(), 3, "one run with its retries");
        let later = send(&router, "POST", PATH, &key, KEY, body).await;
        assert_eq!((later.status, later.header("idempotent-replayed")), (200, ""));
        assert_eq!(app.books(&project).await, (COST, 0));
    }
}

#[tokio::test]
async fn a_stream_that_broke_is_no_success_and_runs_again() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    app.first.then(Script::broken("one two three", 2));
    let body = ask_with(json!({"stream": true})).to_string();
    let broken = send(&app.router(), "POST", PATH, &key, KEY, body.clone()).await;
    assert!(broken.text().contains("event: response.failed"));
    let again = send(&app.router(), "POST", PATH, &key, KEY, body).await;
    assert_eq!(again.header("idempotent-replayed"), "");
    assert!(again.text().contains("event: response.completed"));
}

#[tokio::test]
async fn a_request_that_is_repeated_in_the_background_is_one_job() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let body = ask_with(json!({"background": true})).to_string();
    let first = send(&app.router(), "POST", PATH, &key, KEY, body.clone()).await;
    let again = send(&app.router(), "POST", PATH, &key, KEY, body).await;
    assert_eq!((again.status, &again.body), (200, &first.body));
    assert_eq!(again.header("idempotent-replayed"), "true");
}

#[tokio::test]
async fn nobody_who_waits_for_a_stream_that_breaks_is_left_without_an_end() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    app.first.then(Script::broken("one two three", 2));
    let router = app.router();
    let body = ask_with(json!({"stream": true})).to_string();
    let replies = join_all((0..5).map(|_| send(&router, "POST", PATH, &key, KEY, body.clone()))).await;
    // A caller follows the stream that broke, or comes after its end and is served by a new run.
    for reply in replies {
        let all = events(reply.text(), 0);
        let last = all.last().and_then(|event| event["type"].as_str());
        assert!(matches!(last, Some("response.failed" | "response.completed")), "{}", reply.text());
    }
    assert!(app.first.call_count() <= 2);
    assert_eq!(app.books(&project).await.1, 0);
}

#[tokio::test]
async fn a_stream_that_could_not_be_written_down_is_no_success_for_others() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let body = ask_with(json!({"stream": true})).to_string();
    send(&app.router(), "POST", PATH, &key, &[], ask().to_string()).await; // Opens the month's meter.
    app.faults.set(|operation| if operation == "TransactWriteItems" { Fault::Throttle } else { Fault::None });
    let first = send(&app.router(), "POST", PATH, &key, KEY, body.clone()).await;
    assert!(first.text().contains("event: response.completed"), "the caller is served all the same");
    app.faults.clear();
    let again = send(&app.router(), "POST", PATH, &key, KEY, body).await;
    assert_eq!(again.header("idempotent-replayed"), "");
    assert!(again.text().contains("event: response.completed"));
}
