//! Whole answers: made, kept, read, deleted; and what is refused.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use kit::{Script, TestApp, send};
use serde_json::{Value, json};
use shared::model::project::{Limits, Policy};
use shared::model::provider::{Failure, ProviderRefusal};
use tower::ServiceExt as _;

use super::{COST, PATH, ask, ask_with, asked, blotted, make, status};
use crate::budget;

#[tokio::test]
async fn a_response_is_made_kept_read_and_deleted() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    let router = app.router();
    let made = send(&router, "POST", PATH, &key, &[], ask().to_string()).await;
    assert_eq!((made.status, made.header("content-type")), (200, "application/json"));
    assert_eq!(made.header("x-weir-cost-usd"), "0.000020");
    let expected = r#"{
        "id": "resp_1", "object": "response", "created_at": 1795366800, "status": "completed",
        "background": false, "completed_at": 1795366800, "error": null, "incomplete_details": null,
        "instructions": null, "max_output_tokens": 100, "max_tool_calls": null, "model": "priced",
        "conversation": null, "previous_response_id": null, "store": true, "metadata": {}, "tools": [],
        "tool_choice": "auto", "parallel_tool_calls": true, "reasoning": {"effort": null, "summary": null},
        "text": {"format": {"type": "text"}, "verbosity": "medium"}, "temperature": 1.0, "top_p": 1.0, "top_logprobs": 0,
        "truncation": "disabled", "service_tier": "auto", "user": null, "safety_identifier": null,
        "prompt_cache_key": null, "prompt_cache_retention": null,
        "output": [{
            "id": "msg_2", "type": "message", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": "Hello there.", "annotations": [], "logprobs": []}]
        }],
        "usage": {
            "input_tokens": 10, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 15, "cost": 0.00002
        }
    }"#;
    let expected: Value = serde_json::from_str(expected).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&blotted(made.text())).unwrap(), expected);
    assert_eq!(app.books(&project).await, (COST, 0));

    let id = made.json()["id"].as_str().unwrap().to_owned();
    let path = format!("{PATH}/{id}");
    let other = app.router();
    assert_eq!(send(&other, "GET", &path, &key, &[], "").await.body, made.body);
    let items = send(&other, "GET", &format!("{path}/input_items"), &key, &[], "").await;
    let expected = json!({
        "object": "list", "first_id": "msg_1", "last_id": "msg_1", "has_more": false,
        "data": [{
            "id": "msg_1", "type": "message", "status": "completed", "role": "user",
            "content": [{"type": "input_text", "text": "Hello"}],
        }],
    });
    assert_eq!(serde_json::from_str::<Value>(&blotted(items.text())).unwrap(), expected);

    let gone = send(&other, "DELETE", &path, &key, &[], "").await;
    assert_eq!(gone.json(), json!({"id": id, "object": "response", "deleted": true}));
    for (method, path) in [
        ("GET", path.clone()),
        ("GET", format!("{path}/input_items")),
        ("DELETE", path.clone()),
        ("POST", format!("{path}/cancel")),
    ] {
        let reply = send(&router, method, &path, &key, &[], "").await;
        assert_eq!((reply.status, reply.code().as_str()), (404, "not_found"), "{method} {path}");
    }
}

#[tokio::test]
async fn what_is_not_stored_cannot_be_read_and_what_is_stored_can_for_30_days() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    let router = app.router();
    for stream in [false, true] {
        let body = ask_with(json!({"store": false, "stream": stream}));
        let made = send(&router, "POST", PATH, &key, &[], body.to_string()).await;
        let start = made.text().find("resp_").unwrap();
        let path = format!("{PATH}/{}", made.text()[start..].split('"').next().unwrap());
        for path in [path.clone(), format!("{path}/input_items"), format!("{path}?stream=true")] {
            assert_eq!(status(&router, &key, &path).await, 404, "{path}");
        }
    }
    assert_eq!(app.books(&project).await, (2 * COST, 0));
    let path = format!("{PATH}/{}", make(&router, &key, ask()).await);
    app.clock.advance_ms(30 * 86_400_000 - 1_000);
    assert_eq!(status(&router, &key, &path).await, 200);
    app.clock.advance_ms(1_000);
    assert_eq!(status(&router, &key, &path).await, 404);
}

#[tokio::test]
async fn another_projects_response_does_not_exist_and_no_id_is_not_looked_up() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let (_, stranger) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    let id = make(&router, &key, ask()).await;
    let _ = send(&router, "GET", "/v1/models", &stranger, &[], "").await;
    for (method, path) in [
        ("GET", format!("{PATH}/{id}")),
        ("GET", format!("{PATH}/{id}?stream=true")),
        ("GET", format!("{PATH}/{id}/input_items")),
        ("POST", format!("{PATH}/{id}/cancel")),
        ("DELETE", format!("{PATH}/{id}")),
    ] {
        assert_eq!(send(&router, method, &path, &stranger, &[], "").await.status, 404, "{method} {path}");
    }
    assert_eq!(status(&router, &key, &format!("{PATH}/{id}")).await, 200);
    let _ = app.log.take();
    for id in ["a%23b", "%20", "a%2Fb", &"x".repeat(200)] {
        assert_eq!(status(&router, &key, &format!("{PATH}/{id}")).await, 404, "{id}");
    }
    assert_eq!(app.log.take(), Vec::<String>::new());
}

#[tokio::test]
async fn input_items_are_paged() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    let message = |n: u32| json!({"id": format!("m{n}"), "role": "user", "content": format!("Message {n}")});
    let id = make(&router, &key, ask_with(json!({"input": (1..=5).map(message).collect::<Vec<_>>()}))).await;
    for (query, expected) in [
        ("", r#"["m5","m4","m3","m2","m1"]false"#),
        ("order=asc&limit=2", r#"["m1","m2"]true"#),
        ("order=asc&limit=2&after=m2", r#"["m3","m4"]true"#),
        ("order=asc&limit=2&after=m4&include[]=message.output_text.logprobs", r#"["m5"]false"#),
        ("after=m1", "[]false"),
    ] {
        let page = send(&router, "GET", &format!("{PATH}/{id}/input_items?{query}"), &key, &[], "").await.json();
        let ids: Vec<&Value> = page["data"].as_array().unwrap().iter().map(|item| &item["id"]).collect();
        assert_eq!(format!("{}{}", json!(ids), page["has_more"]), expected, "{query}");
    }
    for query in ["limit=0", "limit=101", "order=up", "after=m9", "include[]=everything"] {
        assert_eq!(status(&router, &key, &format!("{PATH}/{id}/input_items?{query}")).await, 400, "{query}");
    }
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused_by_name_and_costs_nothing() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    let router = app.router();
    for (members, status, code, param) in [
        (json!({"model": "nope"}), 404, "model_not_found", "model"),
        (json!({"model": "embedding"}), 400, "model_not_supported", "model"),
        (json!({"model": "unpriced"}), 400, "model_not_priced", "model"),
        (json!({"model": null}), 400, "invalid_type", "model"),
        (json!({"input": null}), 400, "missing_required_parameter", "input"),
        (json!({"input": 3}), 400, "invalid_type", "input"),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}),
            400,
            "file_not_found",
            "input[0].content[0].file_id",
        ),
        (json!({"input": [{"type": "item_reference", "id": "msg_9"}]}), 400, "item_not_found", "input[0].id"),
        (json!({"tools": [{"type": "file_search"}]}), 400, "unsupported_tool", "tools[0].type"),
        (json!({"temperature": 3}), 400, "invalid_value", "temperature"),
        (json!({"include": ["everything"]}), 400, "invalid_value", "include[0]"),
        (json!({"background": true, "store": false}), 400, "invalid_value", "background"),
        (
            json!({"previous_response_id": "resp_1", "conversation": "conv_1"}),
            400,
            "invalid_value",
            "previous_response_id",
        ),
        (json!({"previous_response_id": "resp_1"}), 400, "previous_response_not_found", "previous_response_id"),
        (json!({"previous_response_id": "a#b"}), 400, "previous_response_not_found", "previous_response_id"),
        (json!({"prompt": {"id": "p"}}), 400, "unsupported_parameter", "prompt"),
        (json!({"metadata": {"a": 1}}), 400, "invalid_type", "metadata.a"),
    ] {
        for stream in [false, true] {
            let mut body = ask_with(members.clone());
            body["stream"] = stream.into();
            let refused = send(&router, "POST", PATH, &key, &[], body.to_string()).await;
            let found = (
                refused.status,
                refused.code(),
                refused.json()["error"]["param"].as_str().unwrap_or_default().to_owned(),
            );
            assert_eq!(found, (status, code.to_owned(), param.to_owned()), "{members}: {}", refused.text());
        }
    }
    assert_eq!(send(&router, "POST", PATH, &key, &[], "{").await.status, 400);
    assert_eq!(send(&router, "POST", PATH, "", &[], ask().to_string()).await.status, 401);
    assert_eq!((app.first.call_count(), app.books(&project).await), (0, (0, 0)));
}

#[tokio::test]
async fn the_worst_case_is_held_and_the_true_cost_is_charged_once() {
    let app = TestApp::new().await;
    // Between the cost of an answer and what is held for it.
    let (project, key) = app.project(budget(0.000_1), Policy::default()).await;
    let refused = send(&app.router(), "POST", PATH, &key, &[], ask().to_string()).await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "budget_exceeded"));
    assert_eq!(refused.header("x-should-retry"), "false");
    assert_eq!((app.first.call_count(), app.books(&project).await), (0, (0, 0)));

    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    app.first.then(Script::slow(Duration::from_millis(200), "Hello there.", 10, 5));
    let router = app.router();
    let body = ask().to_string();
    let waiting = send(&router, "POST", PATH, &key, &[], body.clone());
    let held = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        app.books(&project).await
    };
    let (made, (spent, held)) = tokio::join!(waiting, held);
    assert_eq!(made.status, 200);
    assert!(spent == 0 && (200..400).contains(&held), "{spent} {held}");
    assert_eq!(app.books(&project).await, (COST, 0));
}

#[tokio::test]
async fn where_a_budget_is_set_the_provider_is_told_the_limit_that_is_held() {
    let app = TestApp::new().await;
    let policy = Policy { default_max_output_tokens: Some(50), ..Policy::default() };
    let (_, with_budget) = app.project(budget(1.0), Policy::default()).await;
    let (_, with_default) = app.project(budget(1.0), policy).await;
    let (_, without) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    for (key, asked, expected) in [
        (&with_budget, json!(100), json!(100)),
        (&with_budget, json!(9_000), json!(4_096)),
        (&with_budget, json!(null), json!(4_096)),
        (&with_default, json!(null), json!(50)),
        (&without, json!(9_000), json!(9_000)),
        (&without, json!(null), json!(null)),
    ] {
        make(&router, key, ask_with(json!({"max_output_tokens": asked}))).await;
        let sent: Value = serde_json::from_slice(&app.first.calls().pop().unwrap().body.to_bytes()).unwrap();
        assert_eq!(sent["max_completion_tokens"], expected, "{asked}");
    }
}

fn unavailable() -> Failure {
    Failure::Unavailable { status: 500, message: "down".into(), retry_after: None }
}

#[tokio::test]
async fn a_provider_that_fails_first_is_an_http_error_and_nothing_is_kept() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    let router = app.router();
    for stream in [false, true] {
        for _ in 0..3 {
            app.first.then(Script::Fail(unavailable));
        }
        let body = ask_with(json!({"stream": stream}));
        let refused = send(&router, "POST", PATH, &key, &[], body.to_string()).await;
        assert_eq!((refused.status, refused.code().as_str()), (503, "provider_unavailable"), "{}", refused.text());
        assert_eq!(refused.header("content-type"), "application/json");
        assert_eq!(app.books(&project).await, (0, 0));
    }
    assert_eq!(app.stored_responses().await, 0);
}

#[tokio::test]
async fn a_provider_that_breaks_off_is_an_http_error_to_those_who_wait_for_the_whole() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    app.first.then(Script::broken("one two three", 2));
    let broken = send(&app.router(), "POST", PATH, &key, &[], ask().to_string()).await;
    assert_eq!((broken.status, broken.code().as_str()), (503, "provider_unavailable"), "{}", broken.text());
    let (spent, held) = app.books(&project).await;
    assert!(spent > 0 && held == 0, "{spent} {held}");
    assert_eq!(app.stored_responses().await, 0);
}

#[tokio::test]
async fn input_tokens_are_counted_without_a_call() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    let count = async |body: Value| {
        let counted = send(&router, "POST", &format!("{PATH}/input_tokens"), &key, &[], body.to_string()).await;
        assert_eq!(
            (counted.status, counted.json()["object"].as_str()),
            (200, Some("response.input_tokens")),
            "{}",
            counted.text()
        );
        counted.json()["input_tokens"].as_u64().unwrap()
    };
    let short = count(json!({"input": "Hello"})).await;
    assert!((1..20).contains(&short), "{short}");
    assert!(count(json!({"input": "Hello there, how are you today?"})).await > short);
    assert!(count(json!({"model": "priced", "input": "Hello", "instructions": "Be brief and kind."})).await > short);
    let id = make(&router, &key, ask()).await;
    assert!(count(json!({"input": "Hello", "previous_response_id": id})).await > short);
    assert_eq!(app.first.call_count(), 1);
    let missing = json!({"input": "Hello", "previous_response_id": "resp_none"});
    assert_eq!(
        send(&router, "POST", &format!("{PATH}/input_tokens"), &key, &[], missing.to_string()).await.status,
        400
    );
}

#[tokio::test]
async fn instructions_tools_and_formats_reach_the_provider_as_chat() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let body = json!({
        "model": "priced", "instructions": "Be brief.", "input": "Hello", "max_output_tokens": 19, "temperature": 0.5,
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": true}],
        "tool_choice": {"type": "function", "name": "f"},
        "text": {"format": {"type": "json_schema", "name": "s", "schema": {"type": "object"}, "strict": true}},
        "reasoning": {"effort": "low"},
    });
    make(&app.router(), &key, body).await;
    assert_eq!(asked(&app), ["system: Be brief.", "user: Hello"]);
    let sent: Value = serde_json::from_slice(&app.first.calls()[0].body.to_bytes()).unwrap();
    assert_eq!(sent["tools"][0]["function"]["name"], "f");
    assert_eq!(sent["tool_choice"], json!({"type": "function", "function": {"name": "f"}}));
    assert_eq!(sent["response_format"]["json_schema"]["name"], "s");
    assert_eq!((&sent["max_completion_tokens"], &sent["reasoning_effort"]), (&json!(19), &json!("low")));
    assert_eq!(sent["temperature"], json!(0.5));
}

#[tokio::test(start_paused = true)]
async fn whoever_has_the_answer_or_reads_that_it_ended_can_continue_it() {
    let app = TestApp::builder().store_latency(Duration::from_millis(10)).build().await;
    let (_, key) = app.project(budget(1.0), Policy::default()).await;
    let router = app.router();
    for stream in [false, true] {
        let body = Body::from(ask_with(json!({"stream": stream})).to_string());
        let request = Request::post(PATH).header("authorization", format!("Bearer {key}")).body(body).unwrap();
        let mut body = router.clone().oneshot(request).await.unwrap().into_body();
        let mut read = String::new();
        // A client may act as soon as it has read this; it need not wait for the end of the body.
        while !read.contains(r#""status":"completed","background""#) {
            let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
            read.push_str(std::str::from_utf8(&frame).unwrap());
        }
        let id = read[read.find("resp_").unwrap()..].split('"').next().unwrap();
        make(&router, &key, ask_with(json!({"previous_response_id": id}))).await;
    }
}

#[tokio::test]
async fn unknown_members_are_refused_before_anything_runs() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    let counting = format!("{PATH}/input_tokens");
    for (path, name, value, code) in [
        (PATH, "max_tokens", json!(100), "unknown_parameter"),
        (PATH, "colour", json!("red"), "unknown_parameter"),
        (counting.as_str(), "seed", json!(7), "unknown_parameter"),
        ("/v1/quote", "stop", json!("a"), "unknown_parameter"),
        (PATH, "max_output_tokens", json!(15), "integer_below_min_value"),
        (PATH, "service_tier", json!("gold"), "invalid_value"),
    ] {
        let mut body = ask();
        body[name] = value;
        let reply = send(&router, "POST", path, &key, &[], body.to_string()).await;
        let error = &reply.json()["error"];
        assert_eq!(
            (reply.status, &error["param"], &error["code"]),
            (400, &json!(name), &json!(code)),
            "{path} {error}"
        );
    }
    assert_eq!(app.first.call_count(), 0);
}

fn refused_effort() -> Failure {
    let message = "Unsupported value: 'reasoning_effort' does not support 'max'.".to_owned();
    let param = Some("reasoning_effort".to_owned());
    let refusal = ProviderRefusal { message, param, ..ProviderRefusal::default() };
    Failure::Refused { status: 400, refusal }
}

fn unsupported_message() -> Failure {
    Failure::Unsupported { what: "`messages[1].content` has audio.".into(), param: Some("messages[1].content".into()) }
}

#[tokio::test]
async fn errors_of_the_chat_call_name_the_members_of_the_request() {
    let app = TestApp::new().await;
    let (_, key) = app.project(budget(1.0), Policy::default()).await;
    let router = app.router();
    let effort = "Unsupported value: 'reasoning.effort' does not support 'max'.";
    for (failure, param, message) in [
        (refused_effort as fn() -> Failure, "reasoning.effort", effort),
        (unsupported_message, "input", "`input` has audio."),
    ] {
        for stream in [false, true] {
            app.first.always(Script::Fail(failure));
            app.second.always(Script::Fail(failure));
            let reply = send(&router, "POST", PATH, &key, &[], ask_with(json!({"stream": stream})).to_string()).await;
            let error = &reply.json()["error"];
            assert_eq!((reply.status, &error["param"], &error["message"]), (400, &json!(param), &json!(message)));
        }
    }
}

#[tokio::test]
async fn citations_of_a_chat_provider_are_kept() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    let cited = json!({"url": "https://a.example", "title": "A", "start_index": 0, "end_index": 5});
    let chunk = |delta: Value, finish: Value| json!({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
    app.first.always(Script::Chunks(vec![
        chunk(json!({"role": "assistant", "content": "Hello"}), Value::Null).to_string(),
        chunk(json!({"annotations": [{"type": "url_citation", "url_citation": cited}]}), json!("stop")).to_string(),
    ]));
    let made = send(&router, "POST", PATH, &key, &[], ask().to_string()).await.json();
    let mut expected = cited.clone();
    expected["type"] = json!("url_citation");
    assert_eq!(made["output"][0]["content"][0]["annotations"], json!([expected]));
    let path = format!("{PATH}/{}", made["id"].as_str().unwrap());
    let read = send(&router, "GET", &path, &key, &[], "").await.json();
    assert_eq!(read["output"][0]["content"][0]["annotations"], json!([expected]));
}
