//! `POST /v1/quote`: it says what the call will reserve and what would refuse it, in the words of the refusal, and changes
//! nothing.

use std::time::Duration;

use futures_util::future::join_all;
use kit::{Script, TestApp, send};
use serde_json::{Value, json};
use shared::model::money::MicroUsd;
use shared::model::project::{Limits, Policy};
use tokio::time::Instant;

use crate::{CHAT, CHAT_HOLD, PATH, budget};

const QUOTE: &str = "/v1/quote";

async fn quote(app: &TestApp, key: &str, headers: &[(&str, &str)], body: &str) -> Value {
    let before = app.items().await;
    let reply = send(&app.router(), "POST", QUOTE, key, headers, body.to_owned()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(app.items().await, before, "a quote writes nothing");
    reply.json()
}

/// What is spent and reserved: a call whose time is over is charged by rule, all that it reserved.
fn total((spent, held): (u64, u64)) -> u64 {
    spent + held
}

fn micro_usd(dollars: &Value) -> u64 {
    MicroUsd::from_dollars(dollars.as_f64().unwrap()).unwrap().0
}

#[tokio::test]
async fn a_quote_names_the_most_that_a_call_costs_and_where_each_level_stands() {
    let app = TestApp::new().await;
    let limits = Limits { requests_per_minute: Some(60), tokens_per_minute: Some(9_000), ..budget(5.0) };
    let (_, key) = app.project(limits, Policy::default()).await;
    assert_eq!(send(&app.router(), "POST", PATH, &key, &[], CHAT).await.status, 200);
    let run = [("x-weir-run", "r-1"), ("x-weir-run-budget-usd", "0.5")];
    let tokens = CHAT.len() as u64 + 32 + 100;
    let project = json!({
        "level": "project",
        "budget_usd": 5.0,
        "left_usd": 4.999_98,
        "requests_per_minute": {"limit": 60, "remaining": 59},
        "tokens_per_minute": {"limit": 9_000, "remaining": 9_000 - 15},
        "concurrent_requests": {"limit": 250, "remaining": 250},
        "refusal": null,
    });
    let of_run = json!({
        "level": "run",
        "budget_usd": 0.5,
        "left_usd": 0.5,
        "requests_per_minute": null,
        "tokens_per_minute": null,
        "concurrent_requests": null,
        "refusal": null,
    });
    let expected = json!({
        "object": "quote",
        "endpoint": "/v1/chat/completions",
        "model": "priced",
        "max_input_tokens": tokens - 100,
        "max_output_tokens": 100,
        "max_cost_usd": CHAT_HOLD as f64 / 1e6,
        "rate_limited_tokens": tokens,
        "admitted": true,
        "levels": [project, of_run],
    });
    assert_eq!(quote(&app, &key, &run, CHAT).await, expected);
    assert_eq!(app.first.call_count(), 1, "no provider is called for a quote");
}

// A call that hangs must not reach its limit while the quotes are compared, however slow the machine is.
#[tokio::test(start_paused = true)]
async fn a_quote_is_what_the_call_then_reserves_whatever_its_route() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(5.0), Policy::default()).await;
    let router = app.router();
    let made = send(&router, "POST", "/v1/responses", &key, &[], r#"{"model":"priced","input":"A long story"}"#).await;
    let continued = json!({"model": "priced", "input": "Go on", "previous_response_id": made.json()["id"]}).to_string();
    app.first.always(Script::Hang);
    for (path, body) in [
        (PATH, CHAT),
        (PATH, r#"{"model":"priced","messages":[{"role":"user","content":"Hi"}],"n":3,"stream":true}"#),
        ("/v1/completions", r#"{"model":"priced","prompt":"Once upon a time"}"#),
        ("/v1/embeddings", r#"{"model":"embedding","input":["one","two"]}"#),
        ("/v1/responses", r#"{"model":"priced","input":"Hello","max_output_tokens":50,"instructions":"Be brief"}"#),
        ("/v1/responses", r#"{"model":"priced","input":"Hello","background":true}"#),
        ("/v1/responses", continued.as_str()),
    ] {
        let quoted = quote(&app, &key, &[], body).await;
        assert_eq!((quoted["endpoint"].as_str(), quoted["admitted"].as_bool()), (Some(path), Some(true)), "{body}");
        let before = total(app.books(&project).await);
        let call = send(&router, "POST", path, &key, &[], body.to_owned());
        // The call hangs, and its reservation stays.
        let _ = tokio::time::timeout(Duration::from_millis(300), call).await;
        let after = total(app.books(&project).await);
        assert_eq!(micro_usd(&quoted["max_cost_usd"]), after - before, "{path} {body}");
    }
}

#[tokio::test]
async fn a_quote_refuses_at_the_level_and_in_the_words_of_the_call() {
    let app = TestApp::new().await;
    let policy = Policy::default();
    let own = Limits { budget: Some(MicroUsd(CHAT_HOLD - 1)), ..Limits::default() };
    let rate = Limits { requests_per_minute: Some(1), ..Limits::default() };
    let tokens = Limits { tokens_per_minute: Some(20), ..Limits::default() };
    let (_, of_project) = app.project(own, policy.clone()).await;
    let (_, of_key) = app.project_with_limited_key(own, policy.clone()).await;
    let (_, of_run) = app.project(budget(5.0), policy.clone()).await;
    let (_, of_rate) = app.project(rate, policy.clone()).await;
    let (_, of_tokens) = app.project(tokens, policy).await;
    let run = [("x-weir-run", "r"), ("x-weir-run-budget-usd", "0.0001")];
    let begun = [("x-weir-run", "s"), ("x-weir-run-budget-usd", "0.0004")];
    assert_eq!(send(&app.router(), "POST", PATH, &of_run, &begun, CHAT).await.status, 200);
    app.first.always(Script::answer("x", 200, 90));
    assert_eq!(send(&app.router(), "POST", PATH, &of_run, &begun, CHAT).await.status, 200);
    assert_eq!(send(&app.router(), "POST", PATH, &of_rate, &[], CHAT).await.status, 200);
    for (level, key, headers) in [
        ("project", &of_project, &[][..]),
        ("api_key", &of_key, &[]),
        ("run", &of_run, &run),
        ("run", &of_run, &begun),
        ("project", &of_rate, &[]),
        ("project", &of_tokens, &[]),
    ] {
        let quoted = quote(&app, key, headers, CHAT).await;
        assert_eq!(quoted["admitted"], false, "{quoted}");
        let levels = quoted["levels"].as_array().unwrap();
        let refusing: Vec<_> = levels.iter().filter(|level| !level["refusal"].is_null()).collect();
        assert_eq!((refusing.len(), refusing[0]["level"].as_str()), (1, Some(level)), "{quoted}");
        let refused = send(&app.router(), "POST", PATH, key, headers, CHAT).await;
        let (error, refusal) = (&refused.json()["error"], &refusing[0]["refusal"]);
        assert_eq!((refused.status, &error["code"], &error["message"]), (429, &refusal["code"], &refusal["message"]));
        let wait = Some(refused.header("retry-after")).filter(|wait| !wait.is_empty());
        assert_eq!(wait.map(str::to_owned), refusal["retry_after_seconds"].as_u64().map(|wait| wait.to_string()));
    }
}

#[tokio::test]
async fn a_body_that_its_route_refuses_gets_the_same_answer() {
    let app = TestApp::new().await;
    let (_, key) = app.project(budget(5.0), Policy::default()).await;
    let router = app.router();
    let answers = join_all(
        [
            (PATH, r#"{"model":"priced","messages":"#),
            (PATH, r#"{"model":"priced","messages":[{"role":"user"}],"max_tokens":"many"}"#),
            (PATH, r#"{"model":"nobody","messages":[{"role":"user","content":"Hi"}]}"#),
            (PATH, r#"{"model":"embedding","messages":[{"role":"user","content":"Hi"}]}"#),
            (PATH, r#"{"model":"unpriced","messages":[{"role":"user","content":"Hi"}]}"#),
            ("/v1/embeddings", r#"{"model":"embedding","input":7}"#),
            ("/v1/responses", r#"{"model":"priced","input":"Hi","previous_response_id":"resp_none"}"#),
            ("/v1/responses", "[]"),
        ]
        .into_iter()
        .map(async |(path, body)| {
            let call = send(&router, "POST", path, &key, &[], body).await;
            (call, send(&router, "POST", QUOTE, &key, &[], body).await)
        }),
    );
    for (call, quote) in answers.await {
        assert_eq!((quote.status, quote.json()), (call.status, call.json()));
        assert!(matches!(quote.status, 400 | 404), "{}", quote.text());
    }
}

#[tokio::test(start_paused = true)]
async fn a_quote_reads_all_levels_in_one_round_trip() {
    let trip = Duration::from_millis(10);
    let app = TestApp::builder().store_latency(trip).build().await;
    let (_, key) = app.project_with_limited_key(budget(5.0), Policy::default()).await;
    let router = app.router();
    let run = [("x-weir-run", "r"), ("x-weir-run-budget-usd", "1")];
    assert_eq!(send(&router, "POST", PATH, &key, &run, CHAT).await.status, 200);
    let begun = Instant::now();
    assert_eq!(send(&router, "POST", QUOTE, &key, &run, CHAT).await.status, 200);
    assert_eq!(begun.elapsed().as_millis().div_ceil(trip.as_millis()), 1);
}
