//! The function's binary behind Lambda's Runtime API: a streamed response.

use std::path::Path;

use kit::{ADMIN_KEY, TestApp};
use runtime_api::{Deployment, Upstream, request_event};
use serde_json::{Value, json};
use shared::model::clock::Clock;
use shared::model::money::MicroUsd;
use shared::model::project::{Limits, Policy};

/// Chunks of the provider, with a word or the end.
fn chunk(choices: &Value, usage: &Value) -> String {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": "upstream-1",
        "choices": choices, "usage": usage,
    })
    .to_string()
}

#[tokio::test]
async fn events_of_a_response_come_while_it_is_made_and_its_books_are_closed_with_it() {
    let mut upstream = Upstream::start().await.unwrap();
    let app = TestApp::builder().clock(Clock::system()).build().await;
    let deployment = Deployment::start(app, &upstream.models(), ADMIN_KEY).await.unwrap();
    let limits = Limits { budget: Some(MicroUsd(1_000_000)), ..Limits::default() };
    let (project, key) = deployment.app.project(limits, Policy::default()).await;
    let mut function = deployment.function(Path::new(env!("CARGO_BIN_EXE_responses")), "stream").await.unwrap();
    let authorization = format!("Bearer {key}");
    let body = json!({"model": "priced", "input": "Hi", "stream": true, "max_output_tokens": 50});
    let event = request_event("POST", "/v1/responses", &[("Authorization", &authorization)], Some(&body));

    let called = async {
        let call = upstream.call().await.unwrap();
        call.event(chunk(&json!([{"index": 0, "delta": {"content": "one"}, "finish_reason": null}]), &Value::Null));
        call
    };
    let (answer, call) = tokio::join!(function.invoke(event), called);
    let mut answer = answer.unwrap();
    assert_eq!(answer.prelude().await.unwrap().status, 200);
    let mut seen = String::new();
    while !seen.contains(r#""delta":"one""#) {
        let chunk = answer.chunk().await.unwrap().unwrap_or_else(|| panic!("it ended with {seen}"));
        seen.push_str(std::str::from_utf8(&chunk.bytes).unwrap());
    }
    for first in ["response.created", "response.in_progress", "response.output_text.delta"] {
        assert!(seen.contains(&format!("event: {first}\n")), "{first} in {seen}");
    }
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15});
    call.event(chunk(&json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]), &Value::Null));
    call.event(chunk(&json!([]), &usage));
    call.event("[DONE]");
    drop(call);
    let rest = String::from_utf8(answer.rest().await.unwrap().to_vec()).unwrap();
    assert!(rest.contains("event: response.completed\n"), "{rest}");
    assert_eq!(deployment.app.books(&project).await, (20, 0));
    assert_eq!(deployment.app.stored_responses().await, 1);
    answer.accept();
    function.polled().await.unwrap();
}
