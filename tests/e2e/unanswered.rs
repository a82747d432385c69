//! Attempts that a provider may bill and that end without a usage: charged by rule, and repeated only where money is held.

use std::time::Duration;

use kit::{Script, TestApp, send};
use serde_json::{Value, json};
use shared::model::money::MicroUsd;
use shared::model::project::{Limits, Policy, Project};
use shared::model::provider::{Awaited, Failure};

use crate::{CHAT, CHAT_COST, CHAT_HOLD, PATH, STREAM, budget};

/// What a `STREAM` request holds.
const STREAM_HOLD: u64 = CHAT_HOLD + (STREAM.len() - CHAT.len()) as u64;

/// An app with this rule of its providers, and a project.
async fn app(rule: &str, limits: Limits) -> (TestApp, Project, String) {
    let app = TestApp::builder().unreported(rule).build().await;
    let (project, key) = app.project(limits, Policy::default()).await;
    (app, project, key)
}

#[tokio::test(start_paused = true)]
async fn every_request_at_a_provider_that_hangs_is_one_attempt_and_costs_its_worst_case() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    app.first.always(Script::Hang);
    let router = app.router();
    for n in 1..=23 {
        let reply = send(&router, "POST", PATH, &key, &[], CHAT).await;
        let message = "The provider `first` gave no answer after 1 attempts: no answer within 2000 ms. It may bill for that: \
                       0.000314 USD are charged, and weir does not try again.";
        let expected =
            json!({"error": {"message": message, "type": "server_error", "param": null, "code": "provider_timeout"}});
        assert_eq!((reply.status, reply.json()), (504, expected));
        assert_eq!((reply.header("x-weir-cost-usd"), CHAT_HOLD), ("0.000314", 314));
        assert_eq!((app.first.call_count(), app.books(&project).await), (n, (CHAT_HOLD * n as u64, 0)));
    }
    let counted = app.counted(&project).await;
    let (input, output) = (counted.tokens.input, counted.tokens.output);
    assert_eq!((counted.requests, counted.cost.0, input, output), (23, 23 * CHAT_HOLD, 23 * (CHAT_HOLD - 200), 2_300));
}

#[tokio::test(start_paused = true)]
async fn without_a_budget_it_is_tried_again_and_every_attempt_is_charged() {
    let app = TestApp::new().await;
    let (project, key) = app.project(Limits::default(), Policy::default()).await;
    app.first.always(Script::Hang);
    let reply = send(&app.router(), "POST", PATH, &key, &[], CHAT).await;
    assert_eq!((reply.status, app.first.call_count()), (504, 3));
    assert_eq!(app.books(&project).await, (3 * CHAT_HOLD, 0));
    app.first.then(Script::Hang);
    app.first.always(Script::answer("Hello there.", 10, 5));
    let reply = send(&app.router(), "POST", PATH, &key, &[], STREAM).await;
    assert_eq!(reply.header("x-weir-attempts"), "2");
    let usage = reply.text().lines().filter_map(|line| line.strip_prefix("data: ")).rev().nth(1).unwrap();
    let cost = STREAM_HOLD + CHAT_COST;
    let usage: Value = serde_json::from_str(usage).unwrap();
    assert_eq!(usage["usage"]["cost"].to_string(), MicroUsd(cost).to_string(), "{usage}");
    assert_eq!(app.books(&project).await, (3 * CHAT_HOLD + cost, 0));
}

#[tokio::test(start_paused = true)]
async fn an_error_status_or_no_connection_costs_nothing_and_is_tried_again() {
    let failures: [fn() -> Failure; 5] = [
        || Failure::Unavailable { status: 500, message: "oops".into(), retry_after: None },
        || Failure::Unavailable { status: 503, message: "busy".into(), retry_after: None },
        || Failure::Throttled { message: "slow down".into(), retry_after: None },
        || Failure::Unreachable("refused".into()),
        || Failure::TimedOut { awaited: Awaited::Connection, after: Duration::from_secs(5) },
    ];
    for failure in failures {
        let app = TestApp::new().await;
        let (project, key) = app.project(budget(1.0), Policy::default()).await;
        app.first.always(Script::Fail(failure));
        let reply = send(&app.router(), "POST", PATH, &key, &[], CHAT).await;
        assert!(reply.status >= 429 && reply.header("x-weir-cost-usd").is_empty(), "{}", reply.text());
        assert_eq!((app.first.call_count(), app.books(&project).await), (3, (0, 0)), "{:?}", failure());
    }
}

#[tokio::test(start_paused = true)]
async fn each_way_to_end_without_a_usage_costs_the_hold_of_one_attempt() {
    let scripts = [
        Script::Hang,
        Script::Fail(|| Failure::Interrupted("reset".into())),
        Script::Fail(|| Failure::Malformed("html".into())),
        Script::Fail(|| Failure::Unavailable { status: 504, message: "gateway".into(), retry_after: None }),
        Script::broken("", 0),
        Script::broken("one two three", 2),
        Script::Chunks(vec![]),
        Script::Chunks(vec![r#"{"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}"#.to_owned()]),
        Script::Body(r#"{"choices":[]}"#.into()),
    ];
    for (n, script) in scripts.into_iter().enumerate() {
        let app = TestApp::new().await;
        let (project, key) = app.project(budget(1.0), Policy::default()).await;
        app.first.always(script);
        let body = if n == 8 { CHAT } else { STREAM };
        send(&app.router(), "POST", PATH, &key, &[], body).await;
        let hold = if n == 8 { CHAT_HOLD } else { STREAM_HOLD };
        assert_eq!((app.first.call_count(), app.books(&project).await), (1, (hold, 0)), "script {n}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_s_rule_decides_what_is_charged() {
    let chunk = r#"{"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}"#;
    let (input, input_of_stream) = (CHAT_HOLD - 200, STREAM_HOLD - 200);
    let answer = r#"{"choices":[]}"#;
    for (rule, of_nothing, of_answer, of_stream) in [
        ("worst_case", CHAT_HOLD, CHAT_HOLD, STREAM_HOLD),
        ("received", input, input + 2 * answer.len() as u64, input_of_stream + 2 * chunk.len() as u64),
        // What costs nothing is tried again.
        ("nothing", CHAT_COST, 0, 0),
    ] {
        let (app, project, key) = app(rule, budget(1.0)).await;
        let router = app.router();
        app.first.then(Script::Hang);
        send(&router, "POST", PATH, &key, &[], CHAT).await;
        assert_eq!(app.books(&project).await, (of_nothing, 0), "{rule}");
        app.first.then(Script::Body(answer.into()));
        let reply = send(&router, "POST", PATH, &key, &[], CHAT).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(app.books(&project).await, (of_nothing + of_answer, 0), "{rule}");
        app.first.then(Script::Chunks(vec![chunk.to_owned()]));
        assert!(send(&router, "POST", PATH, &key, &[], STREAM).await.text().ends_with("[DONE]\n\n"));
        assert_eq!(app.books(&project).await, (of_nothing + of_answer + of_stream, 0), "{rule}");
    }
}
