//! Chains: a response that continues another one.

use kit::{Script, TestApp, send};
use serde_json::json;
use shared::model::project::{Limits, Policy};

use super::{PATH, ask_with, asked, make};

#[tokio::test]
async fn a_chain_carries_every_turn_but_not_the_instructions() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let mut previous = None;
    for n in 1..=3 {
        app.first.then(Script::answer(&format!("Answer {n}."), 10, 5));
        let mut body = ask_with(json!({"input": format!("Question {n}?"), "stream": n == 2}));
        body["instructions"] = format!("Rule {n}.").into();
        if let Some(previous) = &previous {
            body["previous_response_id"] = json!(previous);
        }
        let made = send(&app.router(), "POST", PATH, &key, &[], body.to_string()).await;
        let id = made.text()[made.text().find("resp_").unwrap()..].split('"').next().unwrap().to_owned();
        previous = Some(id);
    }
    let expected = [
        "system: Rule 3.",
        "user: Question 1?",
        "assistant: Answer 1.",
        "user: Question 2?",
        "assistant: Answer 2.",
        "user: Question 3?",
    ];
    assert_eq!(asked(&app), expected);
}

#[tokio::test]
async fn a_chain_can_fork_and_outlives_what_it_was_made_from() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    let first = make(&router, &key, ask_with(json!({"input": "One?"}))).await;
    let left = make(&router, &key, ask_with(json!({"input": "Left?", "previous_response_id": first}))).await;
    make(&router, &key, ask_with(json!({"input": "Right?", "previous_response_id": first}))).await;
    assert_eq!(asked(&app), ["user: One?", "assistant: Hello there.", "user: Right?"]);
    send(&router, "DELETE", &format!("{PATH}/{first}"), &key, &[], "").await;
    make(&router, &key, ask_with(json!({"input": "On?", "previous_response_id": left}))).await;
    assert_eq!(asked(&app)[2..], ["user: Left?", "assistant: Hello there.", "user: On?"]);
    let gone = ask_with(json!({"previous_response_id": first}));
    let gone = send(&router, "POST", PATH, &key, &[], gone.to_string()).await;
    assert_eq!((gone.status, gone.code().as_str()), (400, "previous_response_not_found"));
}

#[tokio::test]
async fn a_function_call_is_answered_in_the_next_turn() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    let call = json!({
        "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "usage": null,
        "choices": [{"index": 0, "finish_reason": "tool_calls", "delta": {"tool_calls": [{
            "index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"},
        }]}}],
    });
    app.first.then(Script::Chunks(vec![call.to_string()]));
    let tools = json!([{"type": "function", "name": "weather", "parameters": {"type": "object"}}]);
    let first = send(&router, "POST", PATH, &key, &[], ask_with(json!({"tools": tools})).to_string()).await.json();
    let called = &first["output"][0];
    assert_eq!(
        (called["type"].as_str(), called["call_id"].as_str()),
        (Some("function_call"), Some("call_1")),
        "{first}"
    );
    let unanswered = ask_with(json!({"previous_response_id": first["id"]}));
    let refused = send(&router, "POST", PATH, &key, &[], unanswered.to_string()).await;
    assert_eq!((refused.status, refused.json()["error"]["param"].as_str()), (400, Some("input")));
    let output = json!([{"type": "function_call_output", "call_id": "call_1", "output": "rain"}]);
    make(&router, &key, ask_with(json!({"input": output, "previous_response_id": first["id"]}))).await;
    assert!(asked(&app).contains(&"tool: rain".to_owned()), "{:?}", asked(&app));
}

#[tokio::test]
async fn an_item_of_a_turn_before_can_be_referred_to() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    let first =
        make(&router, &key, ask_with(json!({"input": [{"id": "m1", "role": "user", "content": "One?"}]}))).await;
    let input = json!([{"type": "item_reference", "id": "m1"}, {"role": "user", "content": "Two?"}]);
    make(&router, &key, ask_with(json!({"input": input, "previous_response_id": first}))).await;
    assert_eq!(asked(&app), ["user: One?", "assistant: Hello there.", "user: Two?"]);
}

/// The default of the AI SDK: each turn sends the dialogue again, and names what the model said by its id.
#[tokio::test]
async fn items_of_stored_responses_can_be_referred_to_without_their_response() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let (_, stranger) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    let mut said = Vec::new();
    for (n, members) in [json!({}), json!({"stream": true})].into_iter().enumerate() {
        app.first.then(Script::answer(&format!("Answer {n}."), 10, 5));
        let made = send(&router, "POST", PATH, &key, &[], ask_with(members).to_string()).await;
        let made = made.text();
        said.push(made[made.find("\"msg_").unwrap() + 1..].split('"').next().unwrap().to_owned());
    }
    let first = format!("resp_{}", &said[0][4..28]);
    let items = send(&router, "GET", &format!("{PATH}/{first}/input_items"), &key, &[], "").await.json();
    let asked_for = items["data"][0]["id"].clone();
    let input = json!([{"type": "item_reference", "id": asked_for}, {"id": said[0]}, {"role": "user", "content": "Two?"},
        {"type": "item_reference", "id": said[1]}, {"role": "user", "content": "Three?"}]);
    let body = ask_with(json!({"input": input}));
    make(&router, &key, body.clone()).await;
    let dialogue = ["user: Hello", "assistant: Answer 0.", "user: Two?", "assistant: Answer 1.", "user: Three?"];
    assert_eq!(asked(&app), dialogue);
    let refused = send(&router, "POST", PATH, &stranger, &[], body.to_string()).await;
    let told = |refused: &kit::Reply| (refused.status, refused.code(), refused.json()["error"]["param"].clone());
    assert_eq!(told(&refused), (400, "item_not_found".to_owned(), json!("input[0].id")));
    send(&router, "DELETE", &format!("{PATH}/{first}"), &key, &[], "").await;
    let only = ask_with(json!({"input": [{"role": "user", "content": "a"}, {"id": said[0]}]}));
    let refused = send(&router, "POST", PATH, &key, &[], only.to_string()).await;
    assert_eq!(told(&refused), (400, "item_not_found".to_owned(), json!("input[1].id")));
}

#[tokio::test]
async fn one_request_refers_to_items_of_so_many_responses() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let reference = |n: usize| json!({"id": format!("msg_{n:024}000")});
    for (count, code, param) in [(200, "item_not_found", "input[0].id"), (201, "invalid_value", "input")] {
        let body = ask_with(json!({"input": (0..count).map(reference).collect::<Vec<_>>()}));
        let refused = send(&app.router(), "POST", PATH, &key, &[], body.to_string()).await;
        assert_eq!((refused.code().as_str(), refused.json()["error"]["param"].as_str()), (code, Some(param)));
    }
}

#[tokio::test]
async fn only_what_completed_and_belongs_to_the_project_can_be_continued() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let (_, stranger) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    let queued = make(&router, &key, ask_with(json!({"background": true}))).await;
    app.first.then(Script::broken("one two three", 2));
    let failed = send(&router, "POST", PATH, &key, &[], ask_with(json!({"stream": true})).to_string()).await;
    let failed = failed.text()[failed.text().find("resp_").unwrap()..].split('"').next().unwrap().to_owned();
    let done = make(&router, &key, ask_with(json!({}))).await;
    for (key, previous, code) in [
        (&key, &queued, "previous_response_not_completed"),
        (&key, &failed, "previous_response_not_completed"),
        (&stranger, &done, "previous_response_not_found"),
    ] {
        let body = ask_with(json!({"previous_response_id": previous}));
        let refused = send(&router, "POST", PATH, key, &[], body.to_string()).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, code), "{}", refused.text());
    }
}

#[tokio::test]
async fn a_chain_ends_where_its_turns_are_too_large_for_a_context() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    let image = format!("data:image/png;base64,{}", "A".repeat(4_300_000));
    let image = json!([{"role": "user", "content": [{"type": "input_image", "image_url": image}]}]);
    let first = make(&router, &key, ask_with(json!({"input": image}))).await;
    for background in [false, true] {
        let body = ask_with(json!({"input": image, "previous_response_id": first, "background": background}));
        let refused = send(&router, "POST", PATH, &key, &[], body.to_string()).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "context_length_exceeded"), "{}", refused.text());
    }
    assert_eq!(app.first.call_count(), 1);
}

#[tokio::test]
async fn an_item_that_every_turn_refers_to_is_there_once() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    let mut previous =
        make(&router, &key, ask_with(json!({"input": [{"id": "m1", "role": "user", "content": "One?"}]}))).await;
    for _ in 0..3 {
        let body = ask_with(json!({"input": [{"id": "m1"}], "previous_response_id": previous}));
        previous = make(&router, &key, body).await;
    }
    assert_eq!(asked(&app).iter().filter(|message| *message == "user: One?").count(), 1, "{:?}", asked(&app));
}
