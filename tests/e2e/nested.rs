//! Budgets nest: a project, an API key and a run each have limits of their own, and none is ever overspent.

use std::time::Duration;

use futures_util::future::join_all;
use kit::{ADMIN_KEY, Reply, Script, TestApp, send};
use serde_json::{Value, json};
use shared::data::Queue;
use shared::model::money::MicroUsd;
use shared::model::project::{Limits, Policy};

use crate::{CHAT, CHAT_COST, CHAT_HOLD, PATH, budget, whole_hold};

const RUN: &str = "x-weir-run";
const RUN_BUDGET: &str = "x-weir-run-budget-usd";

/// An app whose provider uses exactly what a [`CHAT`] holds.
async fn spending_app() -> TestApp {
    let app = TestApp::new().await;
    let after = Duration::from_millis(5);
    app.first.always(Script::Answer { after, text: "x".into(), usage: whole_hold(CHAT, 100) });
    app
}

fn dollars(micro: u64) -> String {
    format!("{:.6}", MicroUsd(micro).dollars())
}

/// The same call, many times at once, by two instances.
async fn flood(app: &TestApp, key: &str, headers: &[(&str, &str)]) -> Vec<Reply> {
    let routers = [app.router(), app.router()];
    join_all((0..60).map(|n| send(&routers[n % 2], "POST", PATH, key, headers, CHAT))).await
}

fn admitted(replies: &[Reply]) -> usize {
    replies.iter().filter(|reply| reply.status == 200).count()
}

fn refusal(replies: &[Reply]) -> (u16, String, String) {
    let refused = replies.iter().find(|reply| reply.status != 200).unwrap();
    let message = refused.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
    (refused.status, refused.code(), message)
}

#[tokio::test]
async fn a_key_spends_its_own_budget_and_not_that_of_its_project() {
    let app = spending_app().await;
    let own = Limits { budget: Some(MicroUsd(CHAT_HOLD * 7 + 1)), ..Limits::default() };
    let (project, key) = app.project_with_limited_key(own, Policy::default()).await;
    let replies = flood(&app, &key, &[]).await;
    assert_eq!(admitted(&replies), 7);
    let (status, code, message) = refusal(&replies);
    assert_eq!((status, code.as_str()), (429, "budget_exceeded"));
    assert!(message.starts_with("The API key's budget of $"), "{message}");
    assert_eq!(app.books_of_key(&project, &key).await, (CHAT_HOLD * 7, 0));
    assert_eq!(app.books(&project).await, (CHAT_HOLD * 7, 0), "the project keeps no reservation of a refused call");
}

#[tokio::test]
async fn a_run_stops_at_its_own_budget_however_many_of_its_calls_come_first() {
    let app = spending_app().await;
    let (project, key) = app.project(budget(5.0), Policy::default()).await;
    let limit = dollars(CHAT_HOLD * 9 + 1);
    let replies = flood(&app, &key, &[(RUN, "agent-1"), (RUN_BUDGET, &limit)]).await;
    assert_eq!(admitted(&replies), 9);
    let (status, code, message) = refusal(&replies);
    assert_eq!((status, code.as_str()), (429, "budget_exceeded"));
    assert!(message.starts_with("The run's budget of $"), "{message}");
    assert_eq!(app.books_of_run(&project, "agent-1").await, (CHAT_HOLD * 9, 0));
    assert_eq!(app.books(&project).await, (CHAT_HOLD * 9, 0));
    // Another run has a budget of its own, and calls without a run have the project's.
    assert_eq!(admitted(&flood(&app, &key, &[(RUN, "agent-2"), (RUN_BUDGET, &limit)]).await), 9);
    assert_eq!(send(&app.router(), "POST", PATH, &key, &[], CHAT).await.status, 200);
}

#[tokio::test]
async fn the_first_call_of_a_run_decides_its_budget() {
    let app = spending_app().await;
    let policy = Policy { run_budget_usd: Some(MicroUsd(CHAT_HOLD * 2)), ..Policy::default() };
    let (project, key) = app.project(Limits::default(), policy).await;
    let router = app.router();
    let call = async |headers: &[(&str, &str)]| send(&router, "POST", PATH, &key, headers, CHAT).await;
    // More than the policy allows is not given, now or later.
    let much = [(RUN, "r"), (RUN_BUDGET, "100")];
    assert_eq!([call(&much).await.status, call(&[(RUN, "r")]).await.status], [200, 200]);
    assert_eq!([call(&much).await.status, call(&[(RUN, "r")]).await.status], [429, 429]);
    // Less is.
    let little = dollars(CHAT_HOLD);
    let little = [(RUN, "s"), (RUN_BUDGET, little.as_str())];
    assert_eq!([call(&little).await.status, call(&[(RUN, "s")]).await.status], [200, 429]);
    // A call that the run's whole budget cannot pay begins no run.
    let refused = call(&[(RUN, "t"), (RUN_BUDGET, "0.000001")]).await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "budget_exceeded"));
    assert_eq!(app.books_of_run(&project, "t").await, (0, 0));
    assert_eq!(call(&[(RUN, "t")]).await.status, 200);
}

#[tokio::test]
async fn a_run_is_named_by_a_header_of_the_policy_or_by_the_body() {
    let app = spending_app().await;
    let policy = Policy {
        run_header: Some("x-claude-code-session-id".into()),
        run_budget_usd: Some(MicroUsd(CHAT_HOLD * 2)),
        ..Policy::default()
    };
    let (project, key) = app.project(Limits::default(), policy).await;
    let session = [("x-claude-code-session-id", "s-1")];
    assert_eq!(admitted(&flood(&app, &key, &session).await), 2);
    let router = app.router();
    let body = CHAT.replace(r#""max_tokens""#, r#""metadata":{"run_id":"m-1"},"max_tokens""#);
    assert_eq!(send(&router, "POST", PATH, &key, &[], body.clone()).await.status, 200);
    assert_eq!(app.books_of_run(&project, "m-1").await, (CHAT_HOLD, 0));
    let wrong = send(&router, "POST", PATH, &key, &[], body.replace("m-1", "m 1")).await;
    assert_eq!((wrong.status, wrong.json()["error"]["param"].as_str()), (400, Some("metadata.run_id")));
    let nameless = send(&router, "POST", PATH, &key, &[(RUN_BUDGET, "1")], CHAT).await;
    assert_eq!((nameless.status, nameless.json()["error"]["param"].as_str()), (400, Some(RUN_BUDGET)));
}

#[tokio::test]
async fn no_call_begins_after_the_end_of_its_run() {
    let app = spending_app().await;
    let policy = Policy { run_lifetime_seconds: Some(3_600), ..Policy::default() };
    let (_, key) = app.project(Limits::default(), policy).await;
    let call = async || send(&app.router(), "POST", PATH, &key, &[(RUN, "r")], CHAT).await;
    assert_eq!(call().await.status, 200);
    app.clock.advance_ms(3_599_000);
    assert_eq!(call().await.status, 200);
    app.clock.advance_ms(1_000);
    let refused = call().await;
    assert_eq!(
        (refused.status, refused.code().as_str(), refused.header("x-should-retry")),
        (429, "run_ended", "false")
    );
}

#[tokio::test]
async fn a_run_with_a_budget_takes_no_call_of_unknown_cost() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    let unpriced = CHAT.replace("\"priced\"", "\"unpriced\"");
    let call =
        async |headers: &[(&str, &str)], body: &str| send(&router, "POST", PATH, &key, headers, body.to_owned()).await;
    assert_eq!(call(&[(RUN, "open")], &unpriced).await.status, 200);
    let limited = [(RUN, "limited"), (RUN_BUDGET, "1")];
    let before = call(&limited, &unpriced).await;
    assert_eq!(call(&limited, CHAT).await.status, 200);
    let after = call(&[(RUN, "limited")], &unpriced).await;
    for refused in [before, after] {
        assert_eq!((refused.status, refused.code().as_str()), (400, "model_not_priced"), "{}", refused.text());
    }
}

#[tokio::test]
async fn the_rates_of_a_key_are_its_own() {
    let app = TestApp::new().await;
    let own = Limits { requests_per_minute: Some(3), ..Limits::default() };
    let (_, key) = app.project_with_limited_key(own, Policy::default()).await;
    let replies = flood(&app, &key, &[]).await;
    assert_eq!(admitted(&replies), 3);
    let (status, code, message) = refusal(&replies);
    assert_eq!((status, code.as_str()), (429, "rate_limit_exceeded"));
    assert!(message.starts_with("Rate limit of the API key reached"), "{message}");
    app.clock.advance_ms(60_000);
    let later = send(&app.router(), "POST", PATH, &key, &[], CHAT).await;
    assert_eq!((later.status, later.header("x-ratelimit-remaining-requests")), (200, "2"));
}

#[tokio::test]
async fn a_background_response_is_reserved_and_settled_on_every_level() {
    let app = TestApp::new().await;
    let own = Limits { budget: Some(MicroUsd(1_000_000)), ..Limits::default() };
    let (project, key) = app.project_with_limited_key(own, Policy::default()).await;
    let router = app.router();
    let body = json!({"model": "priced", "input": "Hello", "background": true, "max_output_tokens": 100});
    let headers = [(RUN, "r"), (RUN_BUDGET, "1")];
    let accepted = send(&router, "POST", "/v1/responses", &key, &headers, body.to_string()).await;
    assert_eq!(accepted.status, 200, "{}", accepted.text());
    let all = async || {
        [app.books(&project).await, app.books_of_key(&project, &key).await, app.books_of_run(&project, "r").await]
    };
    let held = all().await;
    assert!(held[0].1 > 0 && held.iter().all(|books| *books == held[0]), "{held:?}");
    let worker = app.instance();
    app.work_once(Queue::Respond, |event| respond::job(event, worker.response_worker(), None)).await;
    let settled = all().await;
    assert!(settled[0].0 > 0 && settled.iter().all(|books| *books == (settled[0].0, 0)), "{settled:?}");
}

#[tokio::test(start_paused = true)]
async fn the_sweeper_settles_a_dead_call_on_every_level_and_counts_it_once() {
    let app = TestApp::new().await;
    let own = Limits { budget: Some(MicroUsd(1_000_000)), ..Limits::default() };
    let (project, key) = app.project_with_limited_key(own, Policy::default()).await;
    app.first.always(Script::slow(Duration::from_secs(3_000_000), "late", 10, 5));
    let router = app.router();
    let call = send(&router, "POST", PATH, &key, &[(RUN, "r")], CHAT);
    assert!(tokio::time::timeout(Duration::from_secs(1), call).await.is_err());
    for _ in 0..3 {
        app.clock.advance_ms(20 * 60_000);
        app.instance().sweeper().sweep().await.unwrap();
    }
    for books in
        [app.books(&project).await, app.books_of_key(&project, &key).await, app.books_of_run(&project, "r").await]
    {
        assert_eq!(books, (CHAT_HOLD, 0));
    }
    assert_eq!(app.counted(&project).await.cost, MicroUsd(CHAT_HOLD));
}

#[tokio::test]
async fn changed_limits_of_a_key_are_in_force_at_once() {
    let app = spending_app().await;
    let own = Limits { budget: Some(MicroUsd(CHAT_HOLD)), ..Limits::default() };
    let (project, key) = app.project_with_limited_key(own, Policy::default()).await;
    let (router, other) = (app.router(), app.router());
    let call = async |router: &axum::Router| send(router, "POST", PATH, &key, &[], CHAT).await.status;
    assert_eq!([call(&router).await, call(&other).await], [200, 429]);
    let keys = format!("/v1/organization/projects/{}/api_keys", project.id);
    let listed = send(&router, "GET", &keys, ADMIN_KEY, &[], "").await.json();
    let path = format!("{keys}/{}", listed["data"][0]["id"].as_str().unwrap());
    let set = async |budget: Value| {
        let body = json!({"limits": {"budget_usd_per_month": budget}}).to_string();
        let changed = send(&router, "POST", &path, ADMIN_KEY, &[], body).await;
        (changed.status, changed.json()["limits"]["budget_usd_per_month"].clone())
    };
    let two = json!(MicroUsd(CHAT_HOLD * 2).dollars());
    assert_eq!(set(two.clone()).await, (200, two));
    // The other process has the key and its old limits in memory.
    assert_eq!([call(&other).await, call(&router).await], [200, 429]);
    assert_eq!(set(json!(0.0)).await.0, 200);
    assert_eq!([call(&other).await, call(&router).await], [429, 429]);
    assert_eq!(set(Value::Null).await, (200, Value::Null));
    assert_eq!([call(&other).await, call(&router).await], [200, 200]);
}

#[tokio::test]
async fn usage_and_costs_group_by_run() {
    let app = TestApp::new().await;
    let (project, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    for run in ["r-1", "r-1", "r-2"] {
        assert_eq!(send(&router, "POST", PATH, &key, &[(RUN, run)], CHAT).await.status, 200);
    }
    assert_eq!(send(&router, "POST", PATH, &key, &[], CHAT).await.status, 200);
    let begin = app.clock.now().seconds() - 3_600;
    let report = async |kind: &str, rest: &str| {
        let path = format!("/v1/organization/{kind}?start_time={begin}&project_ids={}&{rest}", project.id);
        let page = send(&router, "GET", &path, ADMIN_KEY, &[], "").await.json();
        page["data"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|bucket| bucket["results"].as_array().unwrap().clone())
            .collect::<Vec<_>>()
    };
    let usage = report("usage/completions", "group_by=run_id").await;
    let found: Vec<_> = usage.iter().map(|sum| (sum["run_id"].as_str(), sum["num_model_requests"].as_u64())).collect();
    assert_eq!(found, [(Some(""), Some(1)), (Some("r-1"), Some(2)), (Some("r-2"), Some(1))]);
    let costs = report("costs", "group_by=run_id&run_ids=r-1").await;
    assert_eq!((costs.len(), costs[0]["run_id"].as_str()), (1, Some("r-1")));
    assert_eq!(costs[0]["amount"]["value"], json!(MicroUsd(CHAT_COST * 2).dollars()));
}
