//! Panics while a response is made: while its caller waits, and in a worker.

use std::sync::Arc;
use std::time::Duration;

use kit::{Script, TestApp, send};
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use serde_json::{Value, json};
use shared::app::telemetry::{Telemetry, TelemetryEvent};
use shared::model::message::ResponseKey;
use shared::model::project::Project;

use super::{CHUNKS, KEY, TEXT, app_with, check_internal_error, panics_after, received};
use crate::budget;
use crate::jobs::{COST, Jobs, RESPONSES, background, created};

fn ask(stream: bool) -> String {
    json!({"model": "priced", "input": "Hello", "max_output_tokens": 4096, "stream": stream}).to_string()
}

/// The micro-dollars charged for `received_bytes`, from the books after a panic: 2 for each, and the input.
async fn check_charge(app: &TestApp, project: &Project, received_bytes: u64) -> u64 {
    let (spent, held) = app.books(project).await;
    let input = spent.saturating_sub(2 * received_bytes);
    // The input is bounded by the bytes of the chat request that the provider gets.
    assert!(held == 0 && (50..400).contains(&input), "{spent} spent for {received_bytes} bytes, {held} held");
    spent
}

#[tokio::test]
async fn a_response_that_panics_before_its_answer_begins_is_settled_and_its_key_is_free() {
    for (script, stream, bytes) in [
        (Script::Panic, true, 0),
        (panics_after(0), true, 0),
        (panics_after(0), false, 0),
        (panics_after(CHUNKS), false, received(CHUNKS)),
    ] {
        let (app, project, key) = app_with(script).await;
        let router = app.router();
        let failed = send(&router, "POST", RESPONSES, &key, KEY, ask(stream)).await;
        check_internal_error(&failed);
        let spent = check_charge(&app, &project, bytes).await;
        let again = send(&router, "POST", RESPONSES, &key, KEY, ask(stream)).await;
        assert_eq!((again.status, again.header("idempotent-replayed")), (200, ""), "{}", again.text());
        assert!(again.text().contains(r#""status":"completed""#), "{}", again.text());
        check_swept(&app, &project, spent + COST).await;
    }
}

#[tokio::test]
async fn a_response_stream_that_panics_ends_in_an_error_event_and_fails() {
    let (app, project, key) = app_with(panics_after(CHUNKS)).await;
    let router = app.router();
    let broken = send(&router, "POST", RESPONSES, &key, KEY, ask(true)).await;
    assert_eq!(broken.status, 200);
    assert!(broken.text().contains("The stream was interrupted."), "{}", broken.text());
    assert!(!broken.text().contains("response.completed"), "{}", broken.text());
    let spent = check_charge(&app, &project, received(CHUNKS)).await;
    let again = send(&router, "POST", RESPONSES, &key, KEY, ask(true)).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (200, ""), "{}", again.text());
    assert!(again.text().contains("event: response.completed"), "{}", again.text());
    check_swept(&app, &project, spent + COST).await;
    let path = format!("{RESPONSES}/{}", created(broken.text()));
    let kept = send(&router, "GET", &path, &key, &[], "").await.json();
    assert_eq!(kept["status"], "failed", "{kept}");
}

/// Sweeps when every lease has ended. The sweep must not charge a call again.
async fn check_swept(app: &TestApp, project: &Project, spent: u64) {
    assert_eq!(app.books(project).await, (spent, 0));
    app.clock.advance_ms(26 * 3_600_000);
    app.instance().sweeper().sweep().await.unwrap();
    assert_eq!(app.books(project).await, (spent, 0), "nothing is settled twice");
}

/// Jobs whose provider is paid for what was received.
async fn paid_for_what_came() -> Jobs {
    Jobs::of(TestApp::builder().unreported("received").build().await, budget(1.0)).await
}

/// Accepts a response whose output limit is above every scripted answer.
async fn accept_long(jobs: &Jobs) -> String {
    let mut body: Value = background();
    body["max_output_tokens"] = json!(4_096);
    jobs.post(&body, &[]).await.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_response_whose_worker_panics_is_charged_and_runs_again() {
    for (script, bytes) in [(Script::Panic, 0), (panics_after(0), 0), (panics_after(CHUNKS), received(CHUNKS))] {
        let jobs = paid_for_what_came().await;
        jobs.app.first.then(script);
        let id = accept_long(&jobs).await;
        jobs.work().await;
        let spent = check_charge(&jobs.app, &jobs.project, bytes).await;
        jobs.settle().await;
        let made = jobs.ended(&id, "completed").await;
        assert_eq!(made["output"][0]["content"][0]["text"], "Hello there.");
        assert_eq!((jobs.app.first.call_count(), jobs.books().await), (2, (spent + COST, 0)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_panics_late_is_charged_for_everything_that_it_received() {
    let jobs = paid_for_what_came().await;
    // The record is written after two seconds, when the first chunk has arrived; the others are in no record.
    let gap = Duration::from_millis(1_100);
    jobs.app.first.then(Script::PanicAfter { text: TEXT.to_owned(), after_chunks: 3, gap });
    let id = accept_long(&jobs).await;
    jobs.work().await;
    let spent = check_charge(&jobs.app, &jobs.project, received(3)).await;
    jobs.settle().await;
    jobs.ended(&id, "completed").await;
    assert_eq!(jobs.books().await, (spent + COST, 0));
}

#[tokio::test(start_paused = true)]
async fn a_response_whose_workers_all_panic_fails_and_is_charged_for_each_run() {
    let jobs = paid_for_what_came().await;
    jobs.app.first.always(panics_after(CHUNKS));
    let id = accept_long(&jobs).await;
    jobs.work().await;
    let once = check_charge(&jobs.app, &jobs.project, received(CHUNKS)).await;
    jobs.settle().await;
    jobs.ended(&id, "failed").await;
    let runs = jobs.app.first.call_count() as u64;
    assert_eq!((runs, jobs.books().await), (4, (4 * once, 0)));
}

/// The end of a response is written, then the listener of its event panics.
#[tokio::test(start_paused = true)]
async fn a_response_is_finalized_by_the_sweep_if_a_listener_panics_at_its_end() {
    let jobs = paid_for_what_came().await;
    let id = jobs.accept().await;
    let listener = |event: &TelemetryEvent| {
        assert!(!matches!(event, TelemetryEvent::JobEnded { .. }), "the listener has a bug");
    };
    let telemetry = Telemetry { listener: Some(Arc::new(listener)), tracer: None };
    let key = ResponseKey { project_id: jobs.project.id.clone(), response_id: id.clone() };
    let worker = jobs.app.instance().response_worker();
    worker.work(&key, None).with_context(Context::new().with_value(telemetry)).await.unwrap();
    jobs.settle().await;
    jobs.ended(&id, "completed").await;
    assert_eq!((jobs.app.first.call_count(), jobs.books().await), (1, (COST, 0)));
}
