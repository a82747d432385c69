//! Streams: what clients get, what is billed, and what happens when one side goes away.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use kit::{Script, TestApp, send};
use shared::model::project::Policy;
use tower::ServiceExt as _;

use crate::{CHAT_COST, PATH, STREAM, budget};

fn lines(text: &str) -> Vec<serde_json::Value> {
    let data = text.split("\n\n").filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

#[tokio::test]
async fn the_usage_chunk_carries_the_cost_and_only_those_who_asked_get_it() {
    let app = TestApp::new().await;
    let (_, key) = app.project(budget(1.0), Policy::default()).await;
    let router = app.router();
    let asked = send(&router, "POST", PATH, &key, &[], STREAM).await;
    assert_eq!(asked.header("content-type"), "text/event-stream; charset=utf-8");
    assert!(asked.text().ends_with("data: [DONE]\n\n"));
    let chunks = lines(asked.text());
    let (last, others) = chunks.split_last().unwrap();
    assert_eq!(last["choices"], serde_json::json!([]));
    assert_eq!(last["usage"]["cost"], serde_json::json!(0.000_020));
    assert!(others.iter().all(|chunk| chunk["usage"].is_null() && chunk.get("usage").is_some()));

    let plain =
        send(&router, "POST", PATH, &key, &[], STREAM.replace(r#","stream_options":{"include_usage":true}"#, "")).await;
    assert!(lines(plain.text()).iter().all(|chunk| chunk.get("usage").is_none()));
    assert_eq!(lines(plain.text()).len(), others.len());
}

#[tokio::test]
async fn a_client_that_hangs_up_is_billed_truly_and_can_have_the_rest() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    let instance = app.instance();
    let router = kit::router_of(&instance);
    app.first.always(Script::slow(Duration::from_millis(50), "one two three four five", 10, 5));
    let request = || {
        let request =
            Request::post(PATH).header("authorization", format!("Bearer {key}")).header("idempotency-key", "k");
        request.body(Body::from(STREAM)).unwrap()
    };
    // Leaves after the first chunk.
    let mut body = router.clone().oneshot(request()).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    // Leaves before the first byte.
    let other = Request::post(PATH).header("authorization", format!("Bearer {key}")).header("idempotency-key", "k2");
    let early = router.clone().oneshot(other.body(Body::from(STREAM)).unwrap());
    assert!(tokio::time::timeout(Duration::from_millis(20), early).await.is_err());

    instance.drain().await;
    assert_eq!(app.books(&project).await, (2 * CHAT_COST, 0));
    for name in ["k", "k2"] {
        let replay = send(&app.router(), "POST", PATH, &key, &[("idempotency-key", name)], STREAM).await;
        assert_eq!(replay.header("idempotent-replayed"), "true");
        assert!(replay.text().contains("five") && replay.text().ends_with("data: [DONE]\n\n"));
    }
    assert_eq!(app.first.call_count(), 2);
}

#[tokio::test]
async fn a_stream_that_breaks_ends_in_an_error_event_and_is_charged_for_what_came() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    app.first.then(Script::broken("one two three", 2));
    let broken = send(&app.router(), "POST", PATH, &key, &[("idempotency-key", "k")], STREAM).await;
    let chunks = lines(broken.text());
    let last = chunks.last().unwrap();
    assert_eq!(last["error"]["code"], "stream_interrupted");
    assert!(["message", "type", "param", "code"].iter().all(|field| last["error"].get(field).is_some()));
    assert!(!broken.text().contains("[DONE]"));
    let (spent, held) = app.books(&project).await;
    assert!(spent > 0 && held == 0, "{spent} {held}");
    // A broken stream is no success: the same key runs again.
    let again = send(&app.router(), "POST", PATH, &key, &[("idempotency-key", "k")], STREAM).await;
    assert_eq!((again.header("idempotent-replayed"), again.text().ends_with("data: [DONE]\n\n")), ("", true));
}

#[tokio::test]
async fn an_error_before_the_first_byte_is_an_answer_with_a_status() {
    let app = TestApp::new().await;
    let (_, key) = app.project(budget(1.0), Policy::default()).await;
    app.first.then(Script::broken("", 0));
    app.first.then(Script::broken("", 0));
    app.first.then(Script::broken("", 0));
    let refused = send(&app.router(), "POST", PATH, &key, &[], STREAM).await;
    assert_eq!((refused.status, refused.header("content-type")), (503, "application/json"));
}
