//! `limits`, the spend limit and the rate limit are one thing.

use kit::ADMIN_KEY;
use serde_json::{Value, json};
use shared::data::{AdmissionAttempt, AdmitOutcome, WindowChange};
use shared::model::clock::Timestamp;
use shared::model::meter::{MeterKey, Reservation, ReservationId, ReservedFor, ShardChange};
use shared::model::money::MicroUsd;

use crate::api::{AdminApi, NOW};

/// Sends a change to a path below a project; compares its answer, the project's limits, spend limit and rate limit.
async fn check(api: &AdminApi, project: &str, change: (&str, &str, Value), limits: Value, cents: Option<u64>) {
    let (method, below, body) = change;
    api.admin(method, &format!("{project}{below}"), &body.to_string()).await;
    assert_eq!(api.admin("GET", project, "").await["limits"], limits);
    let rate = json!({
        "object": "project.rate_limit", "id": "rl_all", "model": "*",
        "max_requests_per_1_minute": limits["requests_per_minute"].as_u64().unwrap_or(1_000_000_000),
        "max_tokens_per_1_minute": limits["tokens_per_minute"].as_u64().unwrap_or(1_000_000_000_000),
    });
    let rates = json!({"object": "list", "data": [rate], "first_id": "rl_all", "last_id": "rl_all", "has_more": false});
    assert_eq!(api.admin("GET", &format!("{project}/rate_limits"), "").await, rates);
    let (status, spend) = api.send(Some(ADMIN_KEY), "GET", &format!("{project}/spend_limit"), "").await;
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
    json!({"requests_per_minute": requests, "tokens_per_minute": tokens, "concurrent_requests": null, "budget_usd_per_month": budget})
}

#[tokio::test]
async fn three_names_for_one_thing() {
    let api = AdminApi::new().await;
    let project = api.project().await;
    let (spend, rate) = ("/spend_limit", "/rate_limits/rl_all");
    let set = json!({"threshold_amount": 10_000, "currency": "USD", "interval": "month"});
    check(&api, &project, ("POST", spend, set), limits(None, None, Some(100.0)), Some(10_000)).await;
    let requests = json!({"max_requests_per_1_minute": 500});
    check(&api, &project, ("POST", rate, requests), limits(Some(500), None, Some(100.0)), Some(10_000)).await;
    let both = json!({"max_requests_per_1_minute": null, "max_tokens_per_1_minute": 9_000});
    check(&api, &project, ("POST", rate, both), limits(None, Some(9_000), Some(100.0)), Some(10_000)).await;
    let budget = json!({"limits": {"budget_usd_per_month": 0.999999}});
    check(&api, &project, ("POST", "", budget), limits(None, Some(9_000), Some(0.999_999)), Some(99)).await;
    check(&api, &project, ("DELETE", spend, Value::Null), limits(None, Some(9_000), None), None).await;
    check(&api, &project, ("DELETE", spend, Value::Null), limits(None, Some(9_000), None), None).await;
}

#[tokio::test]
async fn answers_are_openais() {
    let api = AdminApi::new().await;
    let project = api.project().await;
    let set = api.admin("POST", &format!("{project}/spend_limit"), r#"{"threshold_amount":1}"#).await;
    assert_eq!(set, spend_limit(1));
    let deleted = api.admin("DELETE", &format!("{project}/spend_limit"), "").await;
    assert_eq!(deleted, json!({"object": "project.spend_limit.deleted", "deleted": true}));
    let rate = api.admin("POST", &format!("{project}/rate_limits/rl_all"), r#"{"max_tokens_per_1_minute":7}"#).await;
    let expected = json!({
        "object": "project.rate_limit", "id": "rl_all", "model": "*",
        "max_requests_per_1_minute": 1_000_000_000, "max_tokens_per_1_minute": 7,
    });
    assert_eq!(rate, expected);
}

/// Reserves `dollars` at the project's meter, as a call under `revision` does. Returns whether it was admitted.
async fn admit(api: &AdminApi, project: &str, revision: u64, dollars: u64) -> bool {
    let now = Timestamp(NOW * 1_000);
    let meter = MeterKey::of_project(project.rsplit('/').next().unwrap(), now.month());
    let amount = MicroUsd(dollars * 1_000_000);
    let attempt = AdmissionAttempt {
        revision,
        reservation: Reservation {
            id: ReservationId::new(now.plus_ms(60_000), ReservedFor::Request),
            amount,
            model: "m".into(),
        },
        budgeted: true,
        tokens: 1,
        max_requests: None,
        max_tokens: None,
        max_open_requests: None,
        window: WindowChange::Ignore,
        now,
    };
    let outcome = api.app.stores.meters().admit(&meter, &attempt).await.unwrap();
    matches!(outcome, AdmitOutcome::Admitted(_))
}

/// Makes this month's meter, as a process does that read the project at that revision. Returns `false` if it may not.
async fn make_meter(api: &AdminApi, project: &str, revision: i64, micro_usd: u32) -> bool {
    let id = project.rsplit('/').next().unwrap();
    let first = ShardChange {
        shard: 0,
        seen: None,
        revision,
        delta: micro_usd.into(),
        at_least: None,
        limit: Some(MicroUsd(micro_usd.into())),
    };
    let now = Timestamp(NOW * 1_000);
    api.app
        .stores
        .meters()
        .change_shards(&MeterKey::of_project(id, now.month()), &[first], now)
        .await
        .unwrap()
        .is_written()
}

#[tokio::test]
async fn the_first_meter_of_a_month_is_made_for_the_newest_limits() {
    let api = AdminApi::new().await;
    let project = api.project().await;
    for cents in [1_000, 700] {
        api.admin("POST", &format!("{project}/spend_limit"), &json!({"threshold_amount": cents}).to_string()).await;
    }
    assert!(!make_meter(&api, &project, 2, 10_000_000).await, "the limits have changed since they were read");
    assert!(make_meter(&api, &project, 3, 7_000_000).await);
}

#[tokio::test]
async fn a_limit_is_in_force_when_the_call_returns() {
    let api = AdminApi::new().await;
    let project = api.project().await;
    let set = async |cents: u64| {
        api.admin("POST", &format!("{project}/spend_limit"), &json!({"threshold_amount": cents}).to_string()).await;
    };
    set(1_000).await;
    // The month's meter begins with the first call.
    assert!(make_meter(&api, &project, 2, 10_000_000).await);
    assert!(admit(&api, &project, 2, 6).await);
    set(700).await;
    assert!(!admit(&api, &project, 2, 1).await, "a caller that remembers the old limits is refused");
    assert!(!admit(&api, &project, 3, 2).await && admit(&api, &project, 3, 1).await);
    set(500).await;
    assert!(!admit(&api, &project, 4, 0).await, "more is held than the new limit allows");
}
