//! The exact cache: opt-in, steered by `Cache-Control`, never across projects.

use kit::{TestApp, send};
use shared::model::project::{Limits, Policy};

use crate::{CHAT, CHAT_COST, PATH, STREAM, budget};

fn cached() -> Policy {
    Policy { cache_ttl_seconds: Some(60), ..Policy::default() }
}

#[tokio::test]
async fn the_same_request_is_answered_from_the_cache_and_costs_nothing() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(1.0), cached()).await;
    let router = app.router();
    for body in [CHAT, STREAM] {
        let miss = send(&router, "POST", PATH, &key, &[], body).await;
        let hit = send(&app.router(), "POST", PATH, &key, &[], body.replace(':', ": ")).await;
        assert_eq!((miss.header("x-weir-cache"), hit.header("x-weir-cache")), ("miss", "hit"));
        assert_eq!((hit.status, &hit.body, hit.header("x-weir-cost-usd")), (200, &miss.body, "0.000000"));
    }
    assert_eq!(app.first.call_count(), 2);
    assert_eq!(app.books(&project).await, (2 * CHAT_COST, 0));
    let (_, other) = app.project(Limits::default(), cached()).await;
    assert_eq!(send(&router, "POST", PATH, &other, &[], CHAT).await.header("x-weir-cache"), "miss");
}

#[tokio::test]
async fn the_request_steers_the_cache() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), cached()).await;
    let router = app.router();
    let ask = async |control: &str| {
        send(&router, "POST", PATH, &key, &[("cache-control", control)], CHAT).await.header("x-weir-cache").to_owned()
    };
    assert_eq!(ask("no-store").await, "miss");
    assert_eq!(ask("").await, "miss");
    assert_eq!(ask("").await, "hit");
    assert_eq!(ask("no-cache").await, "off");
    app.clock.advance_ms(10_000);
    assert_eq!(ask("max-age=5").await, "miss");
    app.clock.advance_ms(10_000);
    assert_eq!(ask("max-age=30").await, "hit");
    app.clock.advance_ms(60_000);
    assert_eq!(ask("").await, "miss");
}

#[tokio::test]
async fn without_the_project_s_consent_nothing_is_cached() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    for _ in 0..2 {
        assert_eq!(
            send(&router, "POST", PATH, &key, &[("cache-control", "max-age=60")], CHAT).await.header("x-weir-cache"),
            "off"
        );
    }
    assert_eq!(app.first.call_count(), 2);
}
