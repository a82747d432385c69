//! Recorded events, replayed through the functions they are named after; every recorded answer is compared whole.
//! `WEIR_RECORD=1` writes the answers anew.

use std::sync::Arc;

use kit::{ADMIN_KEY, RECORDED_ADMIN_KEY, Recorded, TestApp, compared, recorded_events};
use serde_json::Value;
use shared::app::Components;
use shared::app::{Gateway, Parts};
use shared::model::secret::Secret;

/// The service as the events expect it, with the builtin simulator.
async fn service() -> (TestApp, Components) {
    let app = TestApp::new().await;
    let catalog = Arc::new(providers::builtin::builtin_catalog(&|_| false));
    let instance = Gateway::new(Parts {
        providers: providers::registry(&catalog, &|_| None, &app.clock).unwrap(),
        catalog,
        stores: app.stores.clone(),
        clock: app.clock.clone(),
        receivers: Some(app.local_receivers()),
        admin_key: Some(Secret::new(RECORDED_ADMIN_KEY)),
    });
    assert_ne!(ADMIN_KEY, RECORDED_ADMIN_KEY);
    app.provision_recorded().await;
    (app, instance)
}

async fn answer(event: &Recorded) -> Value {
    let (_world, instance) = service().await;
    let answer = local::invoke_on(&instance, event.function(), &event.text).await;
    let answer = answer.unwrap_or_else(|error| panic!("{}: {error}", event.name));
    let Some(body) = answer["body"].as_str() else { return answer };
    let status = answer["statusCode"].as_u64().and_then(|status| status.try_into().ok()).unwrap();
    compared(status, answer["headers"]["content-type"].as_str().unwrap_or_default(), body)
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
    assert!(events.len() >= 39, "{} events", events.len());
}
