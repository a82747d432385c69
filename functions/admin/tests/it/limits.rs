//! `limits`, the spend limit and the rate limit are one thing.

use serde_json::{Value, json};
use shared::data::{Attempt, MeterKey, Reservation, ReservationId, WindowMove};
use shared::model::clock::Timestamp;
use shared::model::money::MicroUsd;

use crate::world::{ADMIN_KEY, NOW, TestApp};

/// Sends a change to a path below a project; compares its answer, the project's limits, spend limit and rate limit.
async fn check(app: &TestApp, project: &str, change: (&str, &str, Value), limits: Value, cents: Option<u64>) {
    let (method, below, body) = change;
    app.admin(method, &format!("{project}{below}"), &body.to_string()).await;
    assert_eq!(app.admin("GET", project, "").await["limits"], limits);
    let rate = json!({
        "object": "project.rate_limit", "id": "rl_all", "model": "*",
        "max_requests_per_1_minute": limits["requests_per_minute"], "max_tokens_per_1_minute": limits["tokens_per_minute"],
    });
    let rates = json!({"object": "list", "data": [rate], "first_id": "rl_all", "last_id": "rl_all", "has_more": false});
    assert_eq!(app.admin("GET", &format!("{project}/rate_limits"), "").await, rates);
    let (status, spend) = app.send(Some(ADMIN_KEY), "GET", &format!("{project}/spend_limit"), "").await;
    match cents {
        None => assert_eq!((status, spend["error"]["code"].as_str()), (404, Some("not_found"))),
        Some(cents) => assert_eq!(spend, spend_limit(cents)),
    }
}

fn spend_limit(cents: u64) -> Value {
    json!({
        "object": "project.spend_limit", "threshold_amount": cents, "currency": "USD", "interval": "month",
        "enforcement": {"status": "enforcing"},
    })
}

fn limits(requests: Option<u64>, tokens: Option<u64>, budget: Option<f64>) -> Value {
    json!({"requests_per_minute": requests, "tokens_per_minute": tokens, "budget_usd_per_month": budget})
}

#[tokio::test]
async fn three_names_for_one_thing() {
    let app = TestApp::new().await;
    let project = app.project().await;
    let (spend, rate) = ("/spend_limit", "/rate_limits/rl_all");
    let set = json!({"threshold_amount": 10_000, "currency": "USD", "interval": "month"});
    check(&app, &project, ("POST", spend, set), limits(None, None, Some(100.0)), Some(10_000)).await;
    let requests = json!({"max_requests_per_1_minute": 500});
    check(&app, &project, ("POST", rate, requests), limits(Some(500), None, Some(100.0)), Some(10_000)).await;
    let both = json!({"max_requests_per_1_minute": null, "max_tokens_per_1_minute": 9_000});
    check(&app, &project, ("POST", rate, both), limits(None, Some(9_000), Some(100.0)), Some(10_000)).await;
    let budget = json!({"limits": {"budget_usd_per_month": 0.999999}});
    check(&app, &project, ("POST", "", budget), limits(None, Some(9_000), Some(0.999_999)), Some(99)).await;
    check(&app, &project, ("DELETE", spend, Value::Null), limits(None, Some(9_000), None), None).await;
    check(&app, &project, ("DELETE", spend, Value::Null), limits(None, Some(9_000), None), None).await;
}

#[tokio::test]
async fn answers_are_openais() {
    let app = TestApp::new().await;
    let project = app.project().await;
    let set = app.admin("POST", &format!("{project}/spend_limit"), r#"{"threshold_amount":1}"#).await;
    assert_eq!(set, spend_limit(1));
    let deleted = app.admin("DELETE", &format!("{project}/spend_limit"), "").await;
    assert_eq!(deleted, json!({"object": "project.spend_limit.deleted", "deleted": true}));
    let rate = app.admin("POST", &format!("{project}/rate_limits/rl_all"), r#"{"max_tokens_per_1_minute":7}"#).await;
    let expected = json!({
        "object": "project.rate_limit", "id": "rl_all", "model": "*",
        "max_requests_per_1_minute": null, "max_tokens_per_1_minute": 7,
    });
    assert_eq!(rate, expected);
}

/// A hold of `dollars` at the project's meter, as a call under `revision` would make it.
async fn admitted(app: &TestApp, project: &str, revision: u64, dollars: u64) -> bool {
    let now = Timestamp(NOW * 1_000);
    let meter = MeterKey { project_id: project.rsplit('/').next().unwrap().to_owned(), period: now.month(), shard: 0 };
    let amount = MicroUsd(dollars * 1_000_000);
    let attempt = Attempt {
        revision,
        hold: Reservation { id: ReservationId::new(now.plus_ms(60_000)), amount, model: "m".into() },
        budgeted: true,
        tokens: 1,
        max_requests: None,
        max_tokens: None,
        window: WindowMove::Ignore,
        now,
    };
    app.instance.stores().meters().admit(&meter, &attempt).await.unwrap().is_ok()
}

/// Makes this month's meter by hand, as somebody would who read the project at that revision. `false` if he may not.
async fn made(app: &TestApp, project: &str, revision: i64, micro_usd: u32) -> bool {
    let id = project.rsplit('/').next().unwrap();
    let first = shared::data::Move {
        shard: 0,
        seen: None,
        revision,
        delta: micro_usd.into(),
        at_least: None,
        limit: Some(MicroUsd(micro_usd.into())),
    };
    let now = Timestamp(NOW * 1_000);
    app.instance.stores().meters().change_shards(id, &now.month(), &[first], now).await.unwrap()
}

#[tokio::test]
async fn the_first_meter_of_a_month_is_made_for_the_newest_limits() {
    let app = TestApp::new().await;
    let project = app.project().await;
    for cents in [1_000, 700] {
        app.admin("POST", &format!("{project}/spend_limit"), &json!({"threshold_amount": cents}).to_string()).await;
    }
    assert!(!made(&app, &project, 2, 10_000_000).await, "the limits have changed since he read them");
    assert!(made(&app, &project, 3, 7_000_000).await);
}

#[tokio::test]
async fn a_limit_is_in_force_when_the_call_returns() {
    let app = TestApp::new().await;
    let project = app.project().await;
    let set = async |cents: u64| {
        app.admin("POST", &format!("{project}/spend_limit"), &json!({"threshold_amount": cents}).to_string()).await;
    };
    set(1_000).await;
    // The month's meter begins with the first call.
    assert!(made(&app, &project, 2, 10_000_000).await);
    assert!(admitted(&app, &project, 2, 6).await);
    set(700).await;
    assert!(!admitted(&app, &project, 2, 1).await, "a caller that remembers the old limits is refused");
    assert!(!admitted(&app, &project, 3, 2).await && admitted(&app, &project, 3, 1).await);
    set(500).await;
    assert!(!admitted(&app, &project, 4, 0).await, "more is held than the new limit allows");
}
