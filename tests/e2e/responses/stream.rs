//! Streams: what clients get, what can be had again, and what happens when one side goes away.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use kit::{Script, TestApp, send};
use serde_json::{Value, json};
use shared::model::project::{Limits, Policy};
use tower::ServiceExt as _;

use super::{COST, PATH, ask, ask_with, blotted, events, make, streamed_text};
use crate::budget;

fn streamed() -> String {
    ask_with(json!({"stream": true})).to_string()
}

fn id_of(stream: &str) -> String {
    events(stream.split_inclusive("\n\n").next().unwrap(), 0)[0]["response"]["id"].as_str().unwrap().to_owned()
}

/// A response as far as it is; what is in capitals differs from event to event.
const RESPONSE: &str = r#"{"id":"resp_1","object":"response","created_at":1795366800,"status":STATE,"background":false,"completed_at":ENDED,"conversation":null,"error":null,"incomplete_details":null,"instructions":null,"max_output_tokens":100,"max_tool_calls":null,"model":"priced","output":OUTPUT,"parallel_tool_calls":true,"previous_response_id":null,"prompt_cache_key":null,"prompt_cache_retention":null,"reasoning":{"effort":null,"summary":null},"safety_identifier":null,"service_tier":"auto","store":true,"temperature":1.0,"text":{"format":{"type":"text"},"verbosity":"medium"},"tool_choice":"auto","tools":[],"top_logprobs":0,"top_p":1.0,"truncation":"disabled","usage":USAGE,"user":null,"metadata":{}}"#;

/// The whole stream of the answer `Hello there.`
fn expected_stream() -> String {
    let response = |state: &str, ended: &str, output: &str, usage: &str| {
        let filled = RESPONSE.replace("STATE", state).replace("ENDED", ended);
        format!(r#""response":{}"#, filled.replace("OUTPUT", output).replace("USAGE", usage))
    };
    let begun = response(r#""in_progress""#, "null", "[]", "null");
    let part = |text: &str| format!(r#"{{"type":"output_text","annotations":[],"logprobs":[],"text":"{text}"}}"#);
    let item = |status: &str, content: &str| {
        format!(r#"{{"id":"msg_2","type":"message","status":"{status}","content":[{content}],"role":"assistant"}}"#)
    };
    let done = item("completed", &part("Hello there."));
    let usage = r#"{"input_tokens":10,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},"output_tokens":5,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":15,"cost":0.000020}"#;
    let at = r#""item_id":"msg_2","output_index":0,"content_index":0"#;
    let events = [
        ("response.created", begun.clone()),
        ("response.in_progress", begun),
        ("response.output_item.added", format!(r#""output_index":0,"item":{}"#, item("in_progress", ""))),
        ("response.content_part.added", format!(r#"{at},"part":{}"#, part(""))),
        ("response.output_text.delta", format!(r#"{at},"delta":"Hello ","logprobs":[]"#)),
        ("response.output_text.delta", format!(r#"{at},"delta":"there.","logprobs":[]"#)),
        ("response.output_text.done", format!(r#"{at},"text":"Hello there.","logprobs":[]"#)),
        ("response.content_part.done", format!(r#"{at},"part":{}"#, part("Hello there."))),
        ("response.output_item.done", format!(r#""output_index":0,"item":{done}"#)),
        ("response.completed", response(r#""completed""#, "1795366800", &format!("[{done}]"), usage)),
    ];
    let event = |(n, (name, rest)): (usize, &(&str, String))| {
        format!("event: {name}\ndata: {{\"type\":\"{name}\",\"sequence_number\":{n},{rest}}}\n\n")
    };
    events.iter().enumerate().map(event).collect()
}

#[tokio::test]
async fn a_stream_says_everything_and_its_response_is_kept() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    let router = app.router();
    let stream = send(&router, "POST", PATH, &key, &[], streamed()).await;
    assert_eq!((stream.status, stream.header("content-type")), (200, "text/event-stream; charset=utf-8"));
    let told = blotted(stream.text());
    assert_eq!(told, expected_stream());
    let all = events(stream.text(), 0);
    assert_eq!(streamed_text(&all), "Hello there.");
    let kept = send(&app.router(), "GET", &format!("{PATH}/{}", id_of(stream.text())), &key, &[], "").await.json();
    assert_eq!(all.last().unwrap()["response"], kept);
    assert_eq!(app.books(&project).await, (COST, 0));

    // What a stream ends with is what the same request answers with when it is whole.
    let whole = send(&router, "POST", PATH, &key, &[], ask().to_string()).await;
    let kept = blotted(&kept.to_string());
    assert_eq!(
        serde_json::from_str::<Value>(&kept).unwrap(),
        serde_json::from_str::<Value>(&blotted(whole.text())).unwrap()
    );
}

#[tokio::test]
async fn a_stream_can_be_had_again_from_any_event_on() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    app.first.then(Script::Paced { text: "one two three four five six".into(), gap: Duration::from_millis(120) });
    let stream = send(&app.router(), "POST", PATH, &key, &[], streamed()).await;
    let path = format!("{PATH}/{}?stream=true", id_of(stream.text()));
    let router = app.router();
    assert_eq!(send(&router, "GET", &path, &key, &[], "").await.body, stream.body);
    let blocks: Vec<&str> = stream.text().split_inclusive("\n\n").collect();
    for n in 0..blocks.len() {
        let rest = send(&router, "GET", &format!("{path}&starting_after={n}"), &key, &[], "").await;
        assert_eq!(rest.text(), blocks[n + 1..].concat(), "after {n}");
    }
    let beyond = send(&router, "GET", &format!("{path}&starting_after=1000"), &key, &[], "").await;
    let end = blocks.last().copied().unwrap_or_default();
    assert_eq!((beyond.status, beyond.text()), (200, end), "who was told more than there is wants to know the end");
    assert_eq!(send(&router, "GET", &format!("{path}&starting_after=x"), &key, &[], "").await.status, 400);
}

#[tokio::test]
async fn a_stream_can_be_followed_from_another_instance_while_it_runs() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    app.first.then(Script::Paced { text: "one two three four five six".into(), gap: Duration::from_millis(200) });
    let request = Request::post(PATH).header("authorization", format!("Bearer {key}")).body(Body::from(streamed()));
    let mut body = app.router().oneshot(request.unwrap()).await.unwrap().into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    let id = id_of(std::str::from_utf8(&first).unwrap());
    let other = app.router();
    let path = format!("{PATH}/{id}?stream=true");
    let (rest, followed) = tokio::join!(body.collect(), send(&other, "GET", &path, &key, &[], ""));
    let whole = [&first[..], &rest.unwrap().to_bytes()].concat();
    assert_eq!(followed.body, whole);
    assert!(followed.text().contains("event: response.completed"));
}

/// Seed 2336 of the simulation: the last write of a stream took longer than its lease.
#[tokio::test]
async fn a_stream_that_was_given_up_for_dead_does_not_end_as_if_it_were_kept() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    app.first.then(Script::Paced { text: "one two three four five six".into(), gap: Duration::from_millis(100) });
    let (router, headers) = (app.router(), [("idempotency-key", "one")]);
    let giving_up = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        app.clock.advance_ms(600_000);
        app.instance().sweeper().sweep().await.unwrap()
    };
    let (told, _) = tokio::join!(send(&router, "POST", PATH, &key, &headers, streamed()), giving_up);
    let (events, end) = told.text().trim_end().rsplit_once("\n\n").unwrap();
    assert!(!events.contains("response.completed") && !events.contains("response.failed"), "{events}");
    assert!(end.contains("The stream was interrupted."), "{end}");

    // Whoever reads it, the caller among them, is told of one end.
    let path = format!("{PATH}/{}", id_of(told.text()));
    let kept = send(&router, "GET", &path, &key, &[], "").await.json();
    assert_eq!(kept["status"], "failed");
    let told_to = events.matches("event: ").count() - 1;
    for after in [1, told_to] {
        let rest = send(&router, "GET", &format!("{path}?stream=true&starting_after={after}"), &key, &[], "").await;
        assert_eq!(self::events(rest.text(), 2).last().unwrap()["response"], kept, "after {after}");
    }

    // The key is free for another try.
    let again = send(&router, "POST", PATH, &key, &headers, streamed()).await;
    assert_eq!((again.status, again.header("idempotent-replayed"), app.first.call_count()), (200, "", 2));
    assert!(again.text().contains("event: response.completed"));
    assert_eq!(app.books(&project).await.1, 0);
}

#[tokio::test]
async fn what_was_made_whole_has_no_events() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    let id = make(&router, &key, ask()).await;
    let refused = send(&router, "GET", &format!("{PATH}/{id}?stream=true"), &key, &[], "").await;
    assert_eq!((refused.status, refused.json()["error"]["param"].as_str()), (400, Some("stream")));
    assert_eq!(send(&router, "GET", &format!("{PATH}/{id}?stream=maybe"), &key, &[], "").await.status, 400);
}

#[tokio::test]
async fn a_client_that_hangs_up_is_billed_truly_and_finds_its_response() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    let instance = app.instance();
    let router = kit::router_of(&instance);
    app.first.always(Script::slow(Duration::from_millis(50), "one two three four five", 10, 5));
    let request = |body: String| {
        Request::post(PATH).header("authorization", format!("Bearer {key}")).body(Body::from(body)).unwrap()
    };
    // Leaves after the first event.
    let mut body = router.clone().oneshot(request(streamed())).await.unwrap().into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    drop(body);
    // Leave before the first byte, one of a stream and one of a whole.
    for body in [streamed(), ask().to_string()] {
        let early = router.clone().oneshot(request(body));
        assert!(tokio::time::timeout(Duration::from_millis(20), early).await.is_err());
    }
    instance.drain().await;
    assert_eq!(app.books(&project).await, (3 * COST, 0));
    assert_eq!((app.first.call_count(), app.stored_responses().await), (3, 3));
    let path = format!("{PATH}/{}", id_of(std::str::from_utf8(&first).unwrap()));
    let kept = send(&app.router(), "GET", &path, &key, &[], "").await.json();
    assert_eq!(
        (kept["status"].as_str(), kept["output"][0]["content"][0]["text"].as_str()),
        (Some("completed"), Some("one two three four five"))
    );
    let stream = send(&app.router(), "GET", &format!("{path}?stream=true"), &key, &[], "").await;
    assert_eq!(streamed_text(&events(stream.text(), 0)), "one two three four five");
}

#[tokio::test]
async fn a_stream_that_breaks_ends_as_failed_is_kept_as_failed_and_is_charged_for_what_came() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    app.first.then(Script::broken("one two three", 2));
    let broken = send(&app.router(), "POST", PATH, &key, &[], streamed()).await;
    assert_eq!(broken.status, 200);
    let all = events(broken.text(), 0);
    let last = all.last().unwrap();
    assert_eq!((last["type"].as_str(), last["response"]["status"].as_str()), (Some("response.failed"), Some("failed")));
    assert_eq!(last["response"]["error"]["code"], "server_error");
    assert!(streamed_text(&all).starts_with("one "));
    let (spent, held) = app.books(&project).await;
    assert!(spent > 0 && held == 0, "{spent} {held}");
    assert_eq!(last["response"]["usage"]["cost"].as_f64().unwrap(), spent as f64 / 1e6);
    let path = format!("{PATH}/{}", id_of(broken.text()));
    assert_eq!(send(&app.router(), "GET", &path, &key, &[], "").await.json(), last["response"]);
    let again = send(&app.router(), "GET", &format!("{path}?stream=true"), &key, &[], "").await;
    assert_eq!(again.body, broken.body);
}

#[tokio::test]
async fn an_answer_that_reaches_its_limit_is_incomplete() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    let chunks = r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"Hel"},"finish_reason":"length"}],"usage":null}"#;
    for stream in [false, true] {
        app.first.then(Script::Chunks(vec![chunks.into()]));
        let reply = send(&router, "POST", PATH, &key, &[], ask_with(json!({"stream": stream})).to_string()).await;
        let response = if stream {
            let all = events(reply.text(), 0);
            assert_eq!(all.last().unwrap()["type"], "response.incomplete");
            all.last().unwrap()["response"].clone()
        } else {
            reply.json()
        };
        assert_eq!(response["status"], "incomplete");
        assert_eq!(response["incomplete_details"], json!({"reason": "max_output_tokens"}));
        assert_eq!(response["output"][0]["status"], "incomplete");
    }
}

#[tokio::test]
async fn a_deleted_stream_has_no_events_left() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    let stream = send(&router, "POST", PATH, &key, &[], streamed()).await;
    let path = format!("{PATH}/{}", id_of(stream.text()));
    assert_eq!(send(&router, "DELETE", &path, &key, &[], "").await.status, 200);
    assert_eq!(send(&router, "GET", &format!("{path}?stream=true"), &key, &[], "").await.status, 404);
    assert_eq!(app.stored_responses().await, 0);
}
