//! A panic in the code of a call: the call is settled, its key is free again, and the client gets an error.

mod responses;

use std::time::Duration;

use futures_util::future::join_all;
use kit::{Reply, Script, TestApp, chat_chunks, send};
use serde_json::Value;
use shared::model::project::{Policy, Project};
use shared::model::tokens::Usage;

use crate::{PATH, budget};

const KEY: &[(&str, &str)] = &[("idempotency-key", "one")];

const TEXT: &str = "one two three four";

/// Chunks that arrive before the panic.
const CHUNKS: usize = 2;

/// Arrives in part, then panics.
fn panics_after(after_chunks: usize) -> Script {
    Script::PanicAfter { text: TEXT.to_owned(), after_chunks, gap: Duration::from_millis(1) }
}

/// The bytes of the first chunks.
fn received(chunks: usize) -> u64 {
    chat_chunks(TEXT, &Usage::default()).iter().take(chunks).map(|event| event.data.len() as u64).sum()
}

/// A chat request to `priced` that may write so many tokens that received bytes, not the bound, are its estimated output.
fn chat(stream: bool) -> String {
    format!(
        r#"{{"model":"priced","messages":[{{"role":"user","content":"Hello"}}],"max_tokens":4096,"stream":{stream}}}"#
    )
}

/// The estimate for a request whose provider reported no usage, in micro-dollars: its whole input at 1, and one token at 2
/// for each byte that was received.
fn estimate(body: &str, received_bytes: u64) -> u64 {
    body.len() as u64 + 32 + 2 * received_bytes
}

/// An app whose provider plays `script` once, and is paid for what was received. The project has a budget of one dollar.
async fn app_with(script: Script) -> (TestApp, Project, String) {
    let app = TestApp::builder().unreported("received").build().await;
    app.first.then(script);
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    (app, project, key)
}

/// Checks the envelope of an answer that did not begin.
#[track_caller]
fn check_internal_error(reply: &Reply) {
    assert_eq!((reply.status, reply.code().as_str()), (500, "internal_error"), "{}", reply.text());
    assert!(!reply.text().contains("script"), "the panic's message stays inside: {}", reply.text());
}

#[tokio::test]
async fn a_call_that_panics_before_the_first_event_is_settled_and_its_key_is_free() {
    for (script, stream) in [(Script::Panic, false), (Script::Panic, true), (panics_after(0), true)] {
        let (app, project, key) = app_with(script).await;
        let (router, body) = (app.router(), chat(stream));
        let failed = send(&router, "POST", PATH, &key, KEY, body.clone()).await;
        check_internal_error(&failed);
        // The provider may be at work on the call: its whole input is charged.
        assert_eq!(app.books(&project).await, (estimate(&body, 0), 0));
        let again = send(&router, "POST", PATH, &key, KEY, body.clone()).await;
        assert_eq!((again.status, again.header("idempotent-replayed")), (200, ""), "{}", again.text());
        assert_eq!(app.books(&project).await, (estimate(&body, 0) + crate::CHAT_COST, 0));
        assert_eq!(app.counted(&project).await.requests, 2);
    }
}

#[tokio::test]
async fn a_stream_that_panics_in_the_middle_ends_in_an_error_event_and_is_charged_for_the_chunks_received() {
    let (app, project, key) = app_with(panics_after(CHUNKS)).await;
    let (router, body) = (app.router(), chat(true));
    let broken = send(&router, "POST", PATH, &key, KEY, body.clone()).await;
    assert_eq!((broken.status, broken.text().contains("[DONE]")), (200, false), "{}", broken.text());
    let last: Value =
        broken.text().lines().rev().find_map(|line| line.strip_prefix("data: ")).unwrap().parse().unwrap();
    assert_eq!(last["error"]["code"], "stream_interrupted", "{last}");
    let charged = estimate(&body, received(CHUNKS));
    assert_eq!(app.books(&project).await, (charged, 0));
    let again = send(&router, "POST", PATH, &key, KEY, body.clone()).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (200, ""));
    assert!(again.text().ends_with("data: [DONE]\n\n"), "{}", again.text());
    assert_eq!(app.books(&project).await, (charged + crate::CHAT_COST, 0));
    let replay = send(&app.router(), "POST", PATH, &key, KEY, body).await;
    assert_eq!((replay.header("idempotent-replayed"), &replay.body), ("true", &again.body));
}

#[tokio::test]
async fn requests_that_wait_for_a_call_that_panics_get_its_error() {
    let gap = Duration::from_millis(150);
    let script = Script::PanicAfter { text: TEXT.to_owned(), after_chunks: CHUNKS, gap };
    let (app, project, key) = app_with(script).await;
    let routers = [app.router(), app.router()];
    let calls = routers.each_ref().map(|router| send(router, "POST", PATH, &key, KEY, chat(true)));
    let [one, other] = join_all(calls).await.try_into().unwrap();
    // One of the two runs the call, and the other follows it.
    let (run, follower) = if one.status == 200 { (one, other) } else { (other, one) };
    assert!(run.text().contains("stream_interrupted"), "{}", run.text());
    check_internal_error(&follower);
    assert_eq!(app.books(&project).await.1, 0);
    assert_eq!(app.first.call_count(), 1);
}

/// Twenty answers of 4,096 tokens: 0.16 dollars are reserved for a call.
#[tokio::test]
async fn calls_that_panic_leave_the_rest_of_the_budget_to_others() {
    let app = TestApp::builder().unreported("received").build().await;
    let (project, key) = app.project(budget(0.5), Policy::default()).await;
    let (router, body) = (app.router(), chat(true).replace(r#""stream""#, r#""n":20,"stream""#));
    for _ in 0..3 {
        app.first.then(panics_after(CHUNKS));
        let broken = send(&router, "POST", PATH, &key, &[], body.clone()).await;
        assert!(broken.text().contains("stream_interrupted"), "{}", broken.text());
    }
    assert_eq!(app.books(&project).await, (3 * estimate(&body, received(CHUNKS)), 0));
    let fourth = send(&router, "POST", PATH, &key, &[], body).await;
    assert_eq!(fourth.status, 200, "{}", fourth.text());
}
