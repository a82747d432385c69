//! Providers that say nothing for long: their clients see that the call goes on.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use kit::{Script, TestApp, send};
use serde_json::{Value, json};
use shared::model::catalog::Catalog;
use shared::model::project::Policy;
use tokio::time::Instant;
use tower::ServiceExt as _;

use crate::responses::{ask_with, events, streamed_text};
use crate::{CHAT, PATH, STREAM, budget};

const RESPONSES: &str = "/v1/responses";

/// A model with the default time limits.
const PATIENT: &str = r#"
    [[provider]]
    name = "first"
    kind = "simulator"
    [[model]]
    name = "priced"
    kind = "chat"
    price = { input = 1, output = 2 }
    context_tokens = 9000
    max_output_tokens = 100
    targets = [{ provider = "first", model = "a" }]
"#;

async fn patient_app() -> TestApp {
    TestApp::builder().models(Arc::new(Catalog::parse(PATIENT).unwrap())).build().await
}

/// Sends a streamed request. Returns the time until its headers came, its status and its body.
async fn streamed(app: &TestApp, path: &str, body: String) -> (Duration, u16, String) {
    let (_, key) = app.project(budget(1.0), Policy::default()).await;
    let request = Request::post(path).header("authorization", format!("Bearer {key}")).body(Body::from(body)).unwrap();
    let begun = Instant::now();
    let reply = app.router().oneshot(request).await.unwrap();
    let (waited, status) = (begun.elapsed(), reply.status().as_u16());
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    (waited, status, String::from_utf8_lossy(&body).into_owned())
}

fn response() -> String {
    ask_with(json!({"stream": true})).to_string()
}

#[tokio::test(start_paused = true)]
async fn a_chat_stream_begins_and_stays_alive_although_the_model_thinks() {
    let app = patient_app().await;
    app.first.always(Script::Paced { text: "a b".into(), gap: Duration::from_secs(25) });
    let (waited, status, body) = streamed(&app, PATH, STREAM.to_owned()).await;
    assert_eq!((waited.as_secs(), status), (5, 200));
    // 25 seconds before the first chunk, of which 5 without headers: 2 comments. The same before each other.
    let frames: Vec<&str> = body.split_inclusive("\n\n").collect();
    assert_eq!(frames[..3].iter().filter(|frame| **frame == ": keep-alive\n\n").count(), 2, "{body}");
    assert!(frames[2].starts_with("data: {") && body.ends_with("data: [DONE]\n\n"), "{body}");
}

#[tokio::test(start_paused = true)]
async fn a_response_stays_alive_by_events_that_are_not_numbered() {
    let app = patient_app().await;
    app.first.always(Script::Paced { text: "a b".into(), gap: Duration::from_secs(25) });
    let (waited, status, body) = streamed(&app, RESPONSES, response()).await;
    assert_eq!((waited.as_secs(), status), (5, 200));
    let keep_alive = "event: keepalive\ndata: {\"type\":\"keepalive\"}\n\n";
    assert!(body.starts_with("event: response.created\n") && body.matches(keep_alive).count() >= 4, "{body}");
    let events = events(&body.replace(keep_alive, ""), 0);
    assert_eq!(
        (streamed_text(&events).as_str(), &events.last().unwrap()["type"]),
        ("a b", &json!("response.completed"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_fails_soon_gives_a_status_and_later_an_event() {
    for (after, is_late) in [(4, false), (6, true)] {
        let script = Script::AcceptThenBreak { after: Duration::from_secs(after) };
        let app = patient_app().await;
        app.first.always(script);
        let (_, status, body) = streamed(&app, PATH, STREAM.to_owned()).await;
        assert_eq!(status, if is_late { 200 } else { 503 }, "{body}");
        let error = body.split("data: ").last().unwrap();
        let error: Value = serde_json::from_str(error).unwrap();
        assert!(error["error"]["message"].as_str().unwrap().contains("gave no answer"), "{body}");

        let (_, status, body) = streamed(&app, RESPONSES, response()).await;
        assert_eq!(status, if is_late { 200 } else { 503 }, "{body}");
        if is_late {
            let events = events(&body, 0);
            let names: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
            assert_eq!(names, ["response.created", "response.in_progress", "response.failed"]);
            assert_eq!(events[2]["response"]["error"]["code"], "server_error");
        }
    }
}

/// Nothing tells that a provider has accepted a call whose answer comes whole.
#[tokio::test(start_paused = true)]
async fn a_whole_answer_is_waited_for() {
    let app = patient_app().await;
    app.first.always(Script::slow(Duration::from_secs(60), "a", 10, 5));
    let (_, key) = app.project(budget(1.0), Policy::default()).await;
    let begun = Instant::now();
    assert_eq!(send(&app.router(), "POST", PATH, &key, &[], CHAT).await.status, 200);
    assert!(begun.elapsed().as_secs() >= 60);
}
