//! Requests that store something count against the requests per minute, as calls do.

use kit::{Reply, TestApp, send};
use shared::model::money::MicroUsd;
use shared::model::project::{Limits, Policy};

use crate::{CHAT, PATH};

const CONVERSATIONS: &str = "/v1/conversations";
const ITEMS: &str = r#"{"items":[{"type":"message","role":"user","content":"Hi"}]}"#;

fn per_minute(requests: u64) -> Limits {
    Limits { requests_per_minute: Some(requests), ..Limits::default() }
}

async fn post(app: &TestApp, path: &str, key: &str, body: &'static str) -> Reply {
    send(&app.router(), "POST", path, key, &[], body).await
}

#[tokio::test]
async fn whatever_stores_something_counts_and_reading_does_not() {
    let app = TestApp::new().await;
    let (_, key) = app.project(per_minute(4), Policy::default()).await;
    let made = post(&app, CONVERSATIONS, &key, "{}").await;
    let path = format!("{CONVERSATIONS}/{}", made.json()["id"].as_str().unwrap());
    let items = format!("{path}/items");
    assert_eq!(post(&app, PATH, &key, CHAT).await.status, 200, "a call and what is stored share the limit");
    assert_eq!(post(&app, &items, &key, ITEMS).await.status, 200);
    assert_eq!(post(&app, &path, &key, r#"{"metadata":{"a":"b"}}"#).await.status, 200);
    for (path, body) in [(CONVERSATIONS, "{}"), (&*items, ITEMS), (&*path, r#"{"metadata":{}}"#), (PATH, CHAT)] {
        let refused = post(&app, path, &key, body).await;
        assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limit_exceeded"), "{path}");
        let message = "Rate limit of the project reached on requests per minute: limit 4, used 4, requested 1.";
        assert!(refused.text().contains(message), "{}", refused.text());
    }
    for path in [&path, &items] {
        assert_eq!(send(&app.router(), "GET", path, &key, &[], "").await.status, 200);
    }
    app.clock.advance_ms(60_000);
    assert_eq!(post(&app, &items, &key, ITEMS).await.status, 200, "the next minute has begun");
}

#[tokio::test]
async fn a_key_with_a_limit_of_its_own_is_counted_on_both_levels() {
    let app = TestApp::new().await;
    let (_, key) = app.project_with_limited_key(per_minute(2), Policy::default()).await;
    let made = [post(&app, CONVERSATIONS, &key, "{}").await, post(&app, CONVERSATIONS, &key, "{}").await];
    assert_eq!(made.map(|reply| reply.status), [200, 200]);
    let refused = post(&app, CONVERSATIONS, &key, "{}").await;
    assert!(refused.status == 429 && refused.text().contains("Rate limit of the API key"), "{}", refused.text());
}

#[tokio::test]
async fn what_is_stored_needs_no_money_and_without_the_limit_no_write() {
    let app = TestApp::new().await;
    let spent = Limits { budget: Some(MicroUsd(1)), ..per_minute(100) };
    let (_, key) = app.project(spent, Policy::default()).await;
    assert_eq!(post(&app, PATH, &key, CHAT).await.code(), "budget_exceeded");
    assert_eq!(post(&app, CONVERSATIONS, &key, "{}").await.status, 200);
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    assert_eq!(send(&router, "POST", CONVERSATIONS, &key, &[], "{}").await.status, 200);
    let _ = app.log.take();
    assert_eq!(send(&router, "POST", CONVERSATIONS, &key, &[], "{}").await.status, 200);
    assert_eq!(app.log.take(), ["Query", "TransactWriteItems"], "only the conversation is written");
}
