//! The check of keys: a guess costs nothing, however many guess, and however cold the process is.

use axum::Router;
use futures_util::future::join_all;
use kit::{ADMIN_KEY, TestApp, new_key, send};
use shared::model::key_check::KeyCheck;
use shared::model::key_text::ApiKeySecret;
use shared::model::project::{Limits, Policy};

async fn status(router: &Router, key: &str) -> u16 {
    send(router, "GET", "/v1/models", key, &[], "").await.status
}

/// Keys of the right form that weir did not make.
fn guesses(project_id: &str, count: usize) -> Vec<String> {
    let other = KeyCheck::generate();
    (0..count).map(|_| ApiKeySecret::generate(project_id, &other).secret().expose().to_owned()).collect()
}

/// The requests for one key: itself, its project, the secret of the checks, and the meters of the project (a batch) and the key.
const ONE_KEY: usize = 5;

#[tokio::test]
async fn a_thousand_wrong_keys_cost_no_more_than_one() {
    let app = TestApp::new().await;
    let (project, key) = app.project(Limits::default(), Policy::default()).await;
    let wrong = guesses(&project.id, 1_000);
    for at_once in [1, 1_000] {
        let router = app.router();
        let _ = app.log.take();
        for some in wrong.chunks(at_once) {
            let answers = join_all(some.iter().map(|key| status(&router, key))).await;
            assert!(answers.iter().all(|status| *status == 401));
        }
        let reads = app.log.take();
        assert!(reads.len() <= ONE_KEY, "{at_once} at once: {}", reads.len());
        assert_eq!(status(&router, &key).await, 200);
        assert_eq!(status(&router, &wrong[0]).await, 401);
    }
}

#[tokio::test]
async fn a_wrong_key_costs_nothing_once_a_right_one_has_come() {
    let app = TestApp::new().await;
    let (project, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    assert_eq!(status(&router, &key).await, 200);
    let _ = app.log.take();
    for wrong in guesses(&project.id, 10) {
        assert_eq!(status(&router, &wrong).await, 401);
    }
    assert_eq!(app.log.take(), [""; 0]);
}

#[tokio::test]
async fn a_revoked_key_costs_its_reads_once_in_30_seconds() {
    let app = TestApp::new().await;
    let (project, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    assert_eq!(status(&router, &key).await, 200);
    let revoked = new_key(&project.id); // It has a right check, and the table does not have it.
    let revoked = revoked.secret().expose();
    assert_eq!(status(&router, revoked).await, 401);
    let _ = app.log.take();
    app.clock.advance_ms(29_000);
    assert_eq!(status(&router, revoked).await, 401);
    assert_eq!(app.log.take().len(), 0);
    app.clock.advance_ms(2_000);
    assert_eq!(status(&router, revoked).await, 401);
    assert!(!app.log.take().is_empty());
}

/// A deployment that made no key yet has no secret, and another process may make the first key at any time.
#[tokio::test]
async fn the_first_key_makes_the_secret_and_works_in_processes_that_saw_none() {
    let app = TestApp::new().await;
    let (project, _) = app.project(Limits::default(), Policy::default()).await;
    app.delete_key_check().await;
    let (early, router) = (app.router(), app.router());
    for wrong in guesses(&project.id, 3) {
        assert_eq!(status(&early, &wrong).await, 401);
    }
    let _ = app.log.take();
    assert_eq!(status(&early, &guesses(&project.id, 1)[0]).await, 401);
    assert_eq!(app.log.take(), ["GetItem"], "without a secret every key is wrong");
    let path = format!("/v1/organization/projects/{}/service_accounts", project.id);
    let made = join_all((0..3).map(|_| send(&router, "POST", &path, ADMIN_KEY, &[], r#"{"name":"app"}"#))).await;
    for made in made {
        let key = made.json()["api_key"]["value"].as_str().unwrap().to_owned();
        assert_eq!((status(&early, &key).await, status(&app.router(), &key).await), (200, 200));
    }
}
