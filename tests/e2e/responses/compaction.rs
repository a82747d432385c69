//! Compaction: a long conversation goes on from a summary that the model wrote.

use kit::{Script, TestApp, send};
use serde_json::{Value, json};
use shared::data::Queue;
use shared::model::project::{Limits, Policy};

use super::{PATH, ask, ask_with, asked, events, make};
use crate::budget;

const SUMMARY: &str = "The user greets; answer briefly. Grüße 👋";

fn trigger() -> Value {
    json!({"type": "compaction_trigger"})
}

#[tokio::test]
async fn a_conversation_is_compacted_and_goes_on_from_the_summary() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    let router = app.router();
    app.first.then(Script::answer(SUMMARY, 10, 5));
    let input = json!([
        {"role": "user", "content": "One?"}, {"role": "assistant", "content": "Hello there."}, {"role": "user", "content": "Two?"},
    ]);
    let body = json!({"model": "priced", "instructions": "Be brief.", "input": input});
    let compact = format!("{PATH}/compact");
    let compacted = send(&router, "POST", &compact, &key, &[("idempotency-key", "a")], body.to_string()).await;
    assert_eq!((compacted.status, compacted.header("x-weir-cost-usd")), (200, "0.000020"), "{}", compacted.text());
    let compacted = compacted.json();
    assert_eq!(compacted["object"], "response.compaction");
    assert_eq!(compacted["usage"]["total_tokens"], 15);
    let kinds: Vec<_> =
        compacted["output"].as_array().unwrap().iter().map(|item| (&item["type"], &item["role"])).collect();
    let (message, user) = (json!("message"), json!("user"));
    assert_eq!(kinds, [(&message, &user), (&message, &user), (&json!("compaction"), &Value::Null)]);
    let calls = asked(&app);
    assert_eq!(calls[..4], ["system: Be brief.", "user: One?", "assistant: Hello there.", "user: Two?"]);
    assert!(calls[4].starts_with("user: Your context is about to be cleared."), "{}", calls[4]);
    assert_eq!(app.books(&project).await, (20, 0));
    assert_eq!(app.stored_responses().await, 0);

    let again = send(&router, "POST", &compact, &key, &[("idempotency-key", "a")], body.to_string()).await;
    assert_eq!((again.json()["output"][2].clone(), app.first.call_count()), (compacted["output"][2].clone(), 1));

    let mut next = compacted["output"].as_array().unwrap().clone();
    next.push(json!({"role": "user", "content": "Three?"}));
    make(&router, &key, ask_with(json!({"input": next}))).await;
    let summary = format!("user: The conversation before this message was summarised:\n\n{SUMMARY}");
    assert_eq!(asked(&app), ["user: One?", "user: Two?", &summary, "user: Three?"]);
}

#[tokio::test]
async fn a_trigger_is_answered_with_one_item_in_a_stream_too() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    app.first.then(Script::answer(SUMMARY, 10, 5));
    let tools = json!([{"type": "function", "name": "f", "parameters": {"type": "object"}}]);
    let body =
        ask_with(json!({"input": [{"role": "user", "content": "One?"}, trigger()], "stream": true, "tools": tools}));
    let streamed = send(&router, "POST", PATH, &key, &[], body.to_string()).await;
    let told = events(streamed.text(), 0);
    let kinds: Vec<_> = told.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.output_item.done",
            "response.completed"
        ]
    );
    let item = &told[3]["item"];
    assert_eq!(
        (&item["type"], told[4]["response"]["output"].as_array().unwrap()),
        (&json!("compaction"), &vec![item.clone()])
    );
    // Tools stay, so that the provider's prompt cache is found.
    assert!(app.first.calls()[0].body.text("tools").is_some());
}

#[tokio::test]
async fn stored_turns_before_a_compaction_are_left_out() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    let rule = json!({"role": "developer", "content": "Be brief."});
    let first = make(&router, &key, ask_with(json!({"input": [rule, {"role": "user", "content": "One?"}]}))).await;
    app.first.then(Script::answer(SUMMARY, 10, 5));
    let second = make(&router, &key, ask_with(json!({"input": [trigger()], "previous_response_id": first}))).await;
    let third = make(&router, &key, ask_with(json!({"input": "Two?", "previous_response_id": second}))).await;
    let summary = format!("user: The conversation before this message was summarised:\n\n{SUMMARY}");
    assert_eq!(asked(&app), ["developer: Be brief.", &summary, "user: Two?"]);
    make(&router, &key, ask_with(json!({"input": "Three?", "previous_response_id": third}))).await;
    assert_eq!(
        asked(&app),
        ["developer: Be brief.", &summary, "user: Two?", "assistant: Hello there.", "user: Three?"]
    );
}

#[tokio::test]
async fn a_worker_compacts_too() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    app.first.then(Script::answer(SUMMARY, 10, 5));
    let body = ask_with(json!({"input": [{"role": "user", "content": "One?"}, trigger()], "background": true}));
    let id = make(&router, &key, body).await;
    let worker = app.instance().response_worker();
    app.work_once(Queue::Respond, |event| respond::job(event, worker, None)).await;
    let made = send(&router, "GET", &format!("{PATH}/{id}"), &key, &[], "").await.json();
    assert_eq!((&made["status"], &made["output"][0]["type"]), (&json!("completed"), &json!("compaction")));
}

#[tokio::test]
async fn a_model_that_writes_no_summary_fails_the_request() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    let router = app.router();
    let call = r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{}"}}]}}]}"#;
    let body = json!({"model": "priced", "input": "One?"});
    for script in [Script::Chunks(vec![call.to_owned()]), Script::answer("", 10, 0)] {
        app.first.then(script);
        let refused = send(&router, "POST", &format!("{PATH}/compact"), &key, &[], body.to_string()).await;
        assert!(refused.status >= 400, "{}", refused.text());
        assert!(!refused.code().is_empty(), "{}", refused.text());
    }
    assert_eq!(app.books(&project).await.1, 0);
}

#[tokio::test]
async fn a_summary_that_is_not_finished_is_refused_with_its_cost_and_not_kept() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    let router = app.router();
    let body = json!({"model": "priced", "input": "One?"}).to_string();
    let cut = |text: &str| {
        let chunk =
            json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "length"}]}).to_string();
        let usage = json!({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5}}).to_string();
        Script::Chunks(vec![chunk, usage])
    };
    let compact = async || {
        send(&router, "POST", &format!("{PATH}/compact"), &key, &[("idempotency-key", "a")], body.clone()).await
    };
    app.first.then(Script::answer("", 10, 5));
    let refused = compact().await;
    assert_eq!((refused.status, refused.code().as_str()), (400, "compaction_incomplete"), "{}", refused.text());
    assert_eq!((refused.header("x-weir-cost-usd"), refused.header("x-weir-provider")), ("0.000020", "first"));
    assert_eq!(app.books(&project).await, (20, 0));
    app.first.then(cut("The first half of"));
    let cut_off = compact().await;
    assert_eq!((cut_off.status, cut_off.code().as_str()), (400, "compaction_incomplete"), "{}", cut_off.text());
    app.first.then(Script::answer(SUMMARY, 10, 5));
    assert_eq!((compact().await.status, app.first.call_count()), (200, 3));
}

#[tokio::test]
async fn what_cannot_be_compacted_is_refused_by_name() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    let foreign =
        json!([{"type": "compaction", "encrypted_content": "gAAAAABpM0Yj"}, {"role": "user", "content": "On."}]);
    for (path, body, code, param) in [
        (PATH, ask_with(json!({"input": [trigger(), {"role": "user", "content": "a"}]})), "", "input[0]"),
        (PATH, ask_with(json!({"input": foreign})), "invalid_encrypted_content", "input[0].encrypted_content"),
        ("/v1/responses/compact", ask(), "unknown_parameter", "max_output_tokens"),
        ("/v1/responses/compact", json!({"model": "priced", "input": [1]}), "", "input"),
        ("/v1/responses/compact", json!({"input": "a"}), "", "model"),
        ("/v1/responses/compact", json!({"model": "priced"}), "", "input"),
    ] {
        let refused = send(&router, "POST", path, &key, &[], body.to_string()).await;
        assert_eq!(
            (refused.status, refused.json()["error"]["param"].as_str()),
            (400, Some(param)),
            "{}",
            refused.text()
        );
        assert!(code.is_empty() || refused.code() == code, "{}", refused.text());
    }
    assert_eq!(app.first.call_count(), 0);
}
