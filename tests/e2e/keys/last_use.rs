//! When a key was last used: one write an hour, beside the calls, and no call fails for it.

use kit::{Fault, TestApp, router_of};
use serde_json::{Value, json};
use shared::app::Components;
use shared::model::project::{Limits, Policy};

use super::{admin, get_models, make};

/// The key's `last_used_at` when all that began has ended.
async fn last_used(instance: &Components, path: &str) -> Value {
    instance.drain().await;
    admin(&router_of(instance), "GET", path, Value::Null).await.json()["last_used_at"].clone()
}

#[tokio::test]
async fn the_use_of_a_key_is_written_once_an_hour_by_all_processes_together() {
    let app = TestApp::new().await;
    let (project, _) = app.project(Limits::default(), Policy::default()).await;
    let (one, other) = (app.instance(), app.instance());
    let key = make(&router_of(&one), &project.id, json!({})).await;
    assert_eq!(last_used(&one, &key.path).await, Value::Null);
    let first = app.clock.now().seconds();
    for _ in 0..3 {
        assert_eq!(get_models(&router_of(&one), &key.text).await.status, 200);
    }
    assert_eq!(last_used(&one, &key.path).await, first);
    app.clock.advance_ms(600_000);
    assert_eq!(get_models(&router_of(&other), &key.text).await.status, 200);
    assert_eq!(last_used(&other, &key.path).await, first, "the hour is recorded already");
    app.clock.advance_ms(3_000_000);
    let later = app.clock.now().seconds();
    assert_eq!(get_models(&router_of(&other), &key.text).await.status, 200);
    assert_eq!(last_used(&other, &key.path).await, later);
    let list = admin(&router_of(&one), "GET", key.path.rsplit_once('/').unwrap().0, Value::Null).await.json();
    let used: Vec<_> = list["data"].as_array().unwrap().iter().filter(|key| key["last_used_at"] == later).collect();
    assert_eq!(used.len(), 1);
    assert_eq!(admin(&router_of(&one), "DELETE", &key.path, Value::Null).await.status, 200);
    let left = app.items().await.iter().filter(|item| item["pk"].as_s().unwrap().starts_with("USED#")).count();
    assert_eq!(left, 0, "the record goes with its key");
}

#[tokio::test]
async fn a_use_that_cannot_be_written_fails_nothing() {
    let app = TestApp::new().await;
    let (project, _) = app.project(Limits::default(), Policy::default()).await;
    let instance = app.instance();
    let key = make(&router_of(&instance), &project.id, json!({})).await;
    app.faults.set(|operation| if operation == "PutItem" { Fault::Lose } else { Fault::None });
    assert_eq!(get_models(&router_of(&instance), &key.text).await.status, 200);
    instance.drain().await;
    app.faults.clear();
    assert_eq!(last_used(&instance, &key.path).await, Value::Null);
}
