//! Circuit breakers: they judge targets by failures that no caller can cause, and take no model from anybody.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures_util::future::join_all;
use kit::{ADMIN_KEY, Reply, Script, TestApp, send};
use serde_json::{Value, json};
use shared::model::catalog::Catalog;
use shared::model::project::{Limits, Policy};
use shared::model::provider::{Failure, ProviderRequest};
use tokio::time::sleep;

use crate::{CHAT, PATH, budget};

/// Two models of one provider, a model with a fallback, and a provider that is judged early.
const CATALOG: &str = r#"
[[provider]]
name = "first"
kind = "simulator"
[[provider]]
name = "second"
kind = "simulator"
breaker = { failure_share = 1, min_calls = 2, open_ms = 60000 }

[[model]]
name = "priced"
kind = "chat"
price = { input = 1.0, output = 2.0 }
context_tokens = 128000
max_output_tokens = 4096
targets = [{ provider = "first", model = "good", timeouts = { first_byte_ms = 1000 } }]

[[model]]
name = "broken"
kind = "chat"
targets = [{ provider = "first", model = "bad" }]

[[model]]
name = "two-targets"
kind = "chat"
targets = [{ provider = "first", model = "good", timeouts = { first_byte_ms = 1000 } }, { provider = "second", model = "spare" }]

[[model]]
name = "spare"
kind = "chat"
targets = [{ provider = "second", model = "spare" }]
"#;

struct Served {
    app: TestApp,
    router: Router,
}

impl Served {
    async fn new() -> Self {
        let app = TestApp::builder().models(Arc::new(Catalog::parse(CATALOG).unwrap())).build().await;
        let router = app.router();
        Self { app, router }
    }

    /// A key of another project.
    async fn key(&self) -> String {
        self.app.project(Limits::default(), Policy::default()).await.1
    }

    async fn call(&self, key: &str, model: &str) -> Reply {
        call(&self.router, key, model).await
    }

    /// The target of the provider `first` for the model `priced`, as an operator sees it.
    async fn good(&self) -> Value {
        let listed = send(&self.router, "GET", "/v1/organization/providers", ADMIN_KEY, &[], "").await;
        listed.json()["data"][0].clone()
    }

    async fn state(&self) -> String {
        self.good().await["state"].as_str().unwrap().to_owned()
    }
}

async fn call(router: &Router, key: &str, model: &str) -> Reply {
    send(router, "POST", PATH, key, &[], CHAT.replace("priced", model)).await
}

/// Who answered.
fn provider(reply: &Reply) -> &str {
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.header("x-weir-provider")
}

fn busy() -> Failure {
    Failure::Unavailable { status: 503, message: "busy".into(), retry_after: None }
}

/// Takes four seconds for a call that asks for much, and answers others at once.
fn slow_if_long(call: &ProviderRequest) -> Script {
    let is_long = call.body.text("messages").is_some_and(|messages| messages.contains("long"));
    Script::slow(Duration::from_secs(if is_long { 4 } else { 0 }), "Hello there.", 10, 5)
}

#[tokio::test(start_paused = true)]
async fn a_project_whose_calls_all_stall_takes_the_model_from_nobody() {
    let served = Served::new().await;
    served.app.first.always(Script::Choose(slow_if_long));
    let limits = Limits { requests_per_minute: Some(60), ..budget(1.0) };
    let (_, hostile) = served.app.project(limits, Policy::default()).await;
    let other = served.key().await;
    let attack = async {
        let long = CHAT.replace("Hello", "Write a long story");
        for _ in 0..20 {
            let calls = (0..8).map(|_| send(&served.router, "POST", PATH, &hostile, &[], long.clone()));
            let replies = join_all(calls).await;
            assert!(replies.iter().all(|reply| reply.status == 504 || reply.status == 429));
            sleep(Duration::from_secs(8)).await;
            served.app.clock.advance_ms(12_000);
        }
    };
    let victim = async {
        let mut answered = 0;
        for _ in 0..199 {
            answered += u32::from(served.call(&other, "priced").await.status == 200);
            sleep(Duration::from_secs(1)).await;
        }
        answered
    };
    let ((), answered) = tokio::join!(attack, victim);
    assert_eq!(answered, 199);
    assert_eq!(served.state().await, "closed");
}

#[tokio::test(start_paused = true)]
async fn a_broken_model_leaves_the_other_models_of_its_provider_alone() {
    let served = Served::new().await;
    let only_bad = |call: &ProviderRequest| match call.model.as_str() {
        "bad" => Script::Fail(busy),
        _ => Script::answer("Hello there.", 10, 5),
    };
    served.app.first.always(Script::Choose(only_bad));
    let key = served.key().await;
    let mut refused = 0;
    for _ in 0..30 {
        refused += u32::from(served.call(&key, "broken").await.text().contains("left alone"));
    }
    assert!(refused > 0, "its own breaker is open");
    for _ in 0..20 {
        assert_eq!(served.call(&key, "priced").await.status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn half_of_ten_calls_open_a_breaker_and_other_processes_learn_of_it() {
    let served = Served::new().await;
    let key = served.key().await;
    for _ in 0..5 {
        assert_eq!(provider(&served.call(&key, "two-targets").await), "first");
    }
    served.app.first.always(Script::Fail(busy));
    for n in 1..=5 {
        assert_eq!(served.state().await, "closed", "{n}");
        let reply = served.call(&key, "two-targets").await;
        assert_eq!((provider(&reply), reply.header("x-weir-attempts")), ("second", "2"));
    }
    let now = served.app.clock.now().seconds();
    let expected = json!({
        "object": "organization.target", "provider": "first", "model": "good", "serves": ["priced", "two-targets"],
        "state": "open", "failures": 5, "calls": 10, "cause": "503", "opened_at": now, "open_until": now + 15,
    });
    assert_eq!(served.good().await, expected);
    let other = served.app.router();
    for router in [&served.router, &other] {
        let reply = call(router, &key, "two-targets").await;
        assert_eq!((provider(&reply), reply.header("x-weir-attempts")), ("second", "1"));
    }
    assert_eq!(served.app.first.call_count(), 10);
}

#[tokio::test(start_paused = true)]
async fn after_its_time_three_projects_probe_the_target_and_one_answer_closes_the_breaker() {
    let served = Served::new().await;
    let keys = [served.key().await, served.key().await, served.key().await, served.key().await];
    served.app.first.always(Script::Fail(busy));
    for _ in 0..10 {
        served.call(&keys[0], "two-targets").await;
    }
    served.app.clock.advance_ms(15_000);
    assert_eq!(served.state().await, "half_open");
    served.app.first.always(Script::slow(Duration::from_millis(500), "back", 1, 1));
    let other = served.app.router();
    let probes = keys.iter().flat_map(|key| [(&served.router, key), (&other, key)]).enumerate();
    let probes = probes.map(async |(n, (router, key))| {
        sleep(Duration::from_millis(10 * n as u64)).await;
        call(router, key, "two-targets").await
    });
    let replies = join_all(probes).await;
    assert_eq!(replies.iter().filter(|reply| provider(reply) == "first").count(), 3);
    assert_eq!((served.app.first.call_count(), served.state().await.as_str()), (10 + 3, "closed"));
    assert_eq!(provider(&served.call(&keys[3], "two-targets").await), "first");
    served.app.clock.advance_ms(5_000);
    assert_eq!(provider(&call(&other, &keys[3], "two-targets").await), "first");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_stalls_decides_nothing_and_leaves_room_for_other_projects() {
    let served = Served::new().await;
    let (hostile, other) = (served.key().await, served.key().await);
    served.app.first.always(Script::Fail(busy));
    for _ in 0..10 {
        served.call(&other, "two-targets").await;
    }
    served.app.clock.advance_ms(15_000);
    served.app.first.always(Script::Hang);
    let hangs = join_all((0..5).map(|_| served.call(&hostile, "two-targets"))).await;
    assert!(hangs.iter().all(|reply| provider(reply) == "second"));
    assert_eq!((served.app.first.call_count(), served.state().await.as_str()), (10 + 1, "half_open"));
    served.app.first.always(Script::answer("back", 1, 1));
    assert_eq!(provider(&served.call(&other, "two-targets").await), "first");
    assert_eq!(served.state().await, "closed");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_meets_an_outage_opens_the_breaker_again() {
    let served = Served::new().await;
    let (one, two) = (served.key().await, served.key().await);
    served.app.first.always(Script::Fail(busy));
    for _ in 0..10 {
        served.call(&one, "two-targets").await;
    }
    let first = served.good().await["open_until"].as_u64().unwrap();
    served.app.clock.advance_ms(15_000);
    served.call(&one, "two-targets").await;
    served.app.first.always(Script::answer("back", 1, 1));
    assert_eq!(provider(&served.call(&two, "two-targets").await), "second");
    let again = served.good().await;
    assert_eq!((again["state"].as_str(), again["open_until"].as_u64()), (Some("open"), Some(first + 15)));
}

#[tokio::test(start_paused = true)]
async fn failures_that_callers_can_cause_open_no_breaker() {
    let failures: [fn() -> Failure; 8] = [
        || Failure::Unavailable { status: 500, message: "oops".into(), retry_after: None },
        || Failure::Unavailable { status: 504, message: "slow".into(), retry_after: None },
        || Failure::Malformed("html".into()),
        || Failure::Interrupted("reset".into()),
        || Failure::Throttled { message: "slow down".into(), retry_after: None },
        || Failure::Unauthorized { message: "no".into() },
        || Failure::Refused { status: 404, refusal: shared::model::provider::ProviderRefusal::default() },
        || Failure::TimedOut { awaited: shared::model::provider::Awaited::Answer, after: Duration::from_secs(1) },
    ];
    for failure in failures {
        let served = Served::new().await;
        let key = served.key().await;
        served.app.first.always(Script::Fail(failure));
        for _ in 0..12 {
            served.call(&key, "two-targets").await;
        }
        assert_eq!(served.state().await, "closed", "{:?}", failure());
        assert_eq!(served.app.first.call_count(), 12, "{:?}", failure());
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_stall_for_several_projects_open_a_breaker() {
    let served = Served::new().await;
    let keys = [served.key().await, served.key().await];
    served.app.first.always(Script::Hang);
    for _ in 0..5 {
        for key in &keys {
            assert_eq!(provider(&served.call(key, "two-targets").await), "second");
        }
    }
    let good = served.good().await;
    assert_eq!((good["state"].as_str(), good["cause"].as_str()), (Some("open"), Some("timeout")));
}

#[tokio::test(start_paused = true)]
async fn where_no_other_target_is_some_calls_pass_and_an_answer_ends_the_outage() {
    let served = Served::new().await;
    let key = served.key().await;
    served.app.first.always(Script::Fail(busy));
    for _ in 0..10 {
        served.call(&key, "two-targets").await;
    }
    let before = served.app.first.call_count();
    let mut refused = 0;
    for _ in 0..200 {
        refused += u32::from(served.call(&key, "priced").await.text().contains("left alone"));
    }
    let passed = served.app.first.call_count() - before;
    assert!((1..=60).contains(&passed), "a tenth passes: {passed} of 200");
    assert_eq!(passed + refused as usize, 200, "and is not tried again");
    served.app.first.always(Script::answer("back", 1, 1));
    while served.call(&key, "priced").await.status != 200 {}
    assert_eq!(served.state().await, "closed");
}

#[tokio::test(start_paused = true)]
async fn a_provider_has_its_own_settings() {
    let served = Served::new().await;
    let key = served.key().await;
    served.app.second.always(Script::Fail(busy));
    served.call(&key, "spare").await;
    let listed = send(&served.router, "GET", "/v1/organization/providers", ADMIN_KEY, &[], "").await.json();
    let spare = &listed["data"][2];
    let now = served.app.clock.now().seconds();
    let expected = json!({
        "object": "organization.target", "provider": "second", "model": "spare", "serves": ["two-targets", "spare"],
        "state": "open", "failures": 2, "calls": 2, "cause": "503", "opened_at": now, "open_until": now + 60,
    });
    assert_eq!(spare, &expected);
    assert_eq!(listed["data"][0]["state"], "closed");
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(3));
}
