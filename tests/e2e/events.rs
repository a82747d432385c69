//! Recorded events, replayed through the functions they are named after; every recorded answer is compared whole.
//! `WEIR_RECORD=1` writes the answers again.

use std::sync::Arc;

use kit::{
    ADMIN_KEY, RECORDED_ADMIN_KEY, RECORDED_BASE_PATH, RECORDED_ORIGINS, Recorded, START_MS, TestApp, compared,
    recorded_events,
};
use serde_json::Value;
use shared::app::ServedModels;
use shared::edge::config::HttpConfig;
use shared::edge::connect::EnvKeys;
use shared::model::clock::Clock;

/// The service as the events expect it, with the builtin simulator.
async fn recorded_app() -> TestApp {
    assert_ne!(ADMIN_KEY, RECORDED_ADMIN_KEY);
    let clock = Clock::manual(START_MS);
    let catalog = Arc::new(providers::builtin::builtin_catalog(&|_| false));
    let make = providers::connect(Arc::new(EnvKeys), &clock);
    let providers = ServedModels::connect((*catalog).clone(), &make, None).providers;
    let app = TestApp::builder().clock(clock).models(catalog).providers(providers).admin_key(RECORDED_ADMIN_KEY);
    let app = app.build().await;
    app.provision_recorded().await;
    app
}

async fn answer(event: &Recorded) -> Value {
    let app = recorded_app().await;
    let http = HttpConfig {
        allowed_origins: RECORDED_ORIGINS.parse().unwrap(),
        base_path: RECORDED_BASE_PATH.parse().unwrap(),
    };
    let answer = local::invoke_on(&app.instance(), event.function(), &event.text, &http).await;
    let answer = answer.unwrap_or_else(|error| panic!("{}: {error}", event.name));
    let Some(body) = answer["body"].as_str() else { return answer };
    let status = answer["statusCode"].as_u64().and_then(|status| status.try_into().ok()).unwrap();
    compared(status, |name| answer["headers"][name].as_str().unwrap_or_default(), body)
}

#[tokio::test]
async fn recorded_events_get_their_recorded_answers() {
    let record = shared::edge::config::env("WEIR_RECORD").is_some();
    let events = recorded_events();
    for event in &events {
        let found = answer(event).await;
        if record {
            std::fs::write(&event.answer, format!("{}\n", serde_json::to_string_pretty(&found).unwrap())).unwrap();
        }
        assert_eq!(found, event.expected(), "{}", event.name);
    }
    assert!(events.len() >= 66, "{} events", events.len());
}
