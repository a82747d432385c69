//! Service accounts and API keys: shown once, listed, revoked.

use serde_json::{Value, json};

use crate::world::{ADMIN_KEY, NOW, TestApp, plain, router, send};

struct Made {
    account: String,
    key: String,
    secret: String,
}

async fn make(app: &TestApp, project: &str, name: &str) -> Made {
    let answer = app.admin("POST", &format!("{project}/service_accounts"), &json!({"name": name}).to_string()).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Made {
        account: text(&answer["id"]),
        key: text(&answer["api_key"]["id"]),
        secret: text(&answer["api_key"]["value"]),
    }
}

/// Sends a request with the admin key to a project's path and compares the whole answer, ids replaced.
async fn check(app: &TestApp, method: &str, path: &str, status: u16, expected: &Value) {
    let (found, answer) = app.send(Some(ADMIN_KEY), method, path, "").await;
    assert_eq!(format!("{found} {}", plain(answer)), format!("{status} {expected}"), "{method} {path}");
}

fn account() -> Value {
    json!({"object": "organization.project.service_account", "id": "svc_acct_*", "name": "App", "role": "member", "created_at": NOW})
}

fn key() -> Value {
    json!({
        "object": "organization.project.api_key", "id": "key_*", "name": "App", "redacted_value": "sk-weir-*", "created_at": NOW,
        "last_used_at": null, "owner_project_access": "active",
        "owner": {
            "type": "service_account",
            "service_account": {"id": "svc_acct_*", "name": "App", "created_at": NOW, "role": "member"},
        },
    })
}

fn list(item: &Value) -> Value {
    json!({"object": "list", "data": [item], "first_id": item["id"], "last_id": item["id"], "has_more": false})
}

#[tokio::test]
async fn a_key_is_shown_once_and_then_only_its_end() {
    let app = TestApp::new().await;
    let project = app.project().await;
    let answer = app.admin("POST", &format!("{project}/service_accounts"), r#"{"name":"App"}"#).await;
    let secret = answer["api_key"]["value"].as_str().unwrap().to_owned();
    let expected = json!({
        "object": "organization.project.service_account", "id": "svc_acct_*", "name": "App", "role": "member", "created_at": NOW,
        "api_key": {
            "object": "organization.project.service_account.api_key", "value": "sk-weir-*", "name": "App", "created_at": NOW,
            "id": "key_*",
        },
    });
    assert_eq!(plain(answer.clone()), expected.to_string());
    let key_path = format!("{project}/api_keys/{}", answer["api_key"]["id"].as_str().unwrap());
    let redacted = app.admin("GET", &key_path, "").await["redacted_value"].as_str().unwrap().to_owned();
    assert_eq!(redacted, format!("sk-weir-...{}", &secret[secret.len() - 4..]));
}

#[tokio::test]
async fn accounts_and_keys_are_read_alone_and_in_lists() {
    let app = TestApp::new().await;
    let project = app.project().await;
    let made = make(&app, &project, "App").await;
    check(&app, "GET", &format!("{project}/service_accounts"), 200, &list(&account())).await;
    check(&app, "GET", &format!("{project}/service_accounts/{}", made.account), 200, &account()).await;
    check(&app, "GET", &format!("{project}/api_keys"), 200, &list(&key())).await;
    check(&app, "GET", &format!("{project}/api_keys/{}", made.key), 200, &key()).await;
}

#[tokio::test]
async fn a_revoked_key_stops_working_here_at_once_and_elsewhere_within_30_seconds() {
    let app = TestApp::new().await;
    let project = app.project().await;
    let (made, kept) = (make(&app, &project, "App").await, make(&app, &project, "Other").await);
    let other = app.other_process();
    let works_there = async || send(router(&other), Some(&made.secret), "GET", "/v1/models", "").await.0 == 200;
    assert!(app.works(&made.secret).await && works_there().await);
    let deleted = json!({"object": "organization.project.api_key.deleted", "id": "key_*", "deleted": true});
    check(&app, "DELETE", &format!("{project}/api_keys/{}", made.key), 200, &deleted).await;
    assert!(!app.works(&made.secret).await && app.works(&kept.secret).await);
    app.clock.advance_ms(30_000);
    assert!(!works_there().await);
    let gone = not_found("API key", &made.key);
    for method in ["GET", "DELETE"] {
        let (status, answer) = app.send(Some(ADMIN_KEY), method, &format!("{project}/api_keys/{}", made.key), "").await;
        assert_eq!((status, answer), (404, gone.clone()));
    }
}

fn not_found(kind: &str, id: &str) -> Value {
    let message = format!("No {kind} found with id '{id}'.");
    json!({"error": {"message": message, "type": "invalid_request_error", "param": null, "code": "not_found"}})
}

#[tokio::test]
async fn deleting_an_account_revokes_its_keys() {
    let app = TestApp::new().await;
    let project = app.project().await;
    let (made, kept) = (make(&app, &project, "App").await, make(&app, &project, "App").await);
    assert!(app.works(&made.secret).await);
    let deleted =
        json!({"object": "organization.project.service_account.deleted", "id": "svc_acct_*", "deleted": true});
    check(&app, "DELETE", &format!("{project}/service_accounts/{}", made.account), 200, &deleted).await;
    assert!(!app.works(&made.secret).await && app.works(&kept.secret).await);
    check(&app, "GET", &format!("{project}/api_keys"), 200, &list(&key())).await;
    check(&app, "GET", &format!("{project}/service_accounts"), 200, &list(&account())).await;
}

#[tokio::test]
async fn a_client_can_delete_what_it_lists() {
    let app = TestApp::new().await;
    let project = app.project().await;
    for _ in 0..3 {
        make(&app, &project, "App").await;
        app.clock.advance_ms(1);
    }
    let (mut deleted, mut after) = (0, String::new());
    loop {
        let page = app.admin("GET", &format!("{project}/api_keys?limit=1{after}"), "").await;
        let Some(last) = page["last_id"].as_str() else { break };
        app.admin("DELETE", &format!("{project}/api_keys/{last}"), "").await;
        deleted += 1;
        after = format!("&after={last}");
    }
    assert_eq!(deleted, 3);
}

#[tokio::test]
async fn a_key_is_not_found_in_another_project() {
    let app = TestApp::new().await;
    let (one, other) = (app.project().await, app.project().await);
    let made = make(&app, &one, "App").await;
    for (method, path) in
        [("GET", format!("api_keys/{}", made.key)), ("DELETE", format!("service_accounts/{}", made.account))]
    {
        assert_eq!(app.send(Some(ADMIN_KEY), method, &format!("{other}/{path}"), "").await.0, 404);
    }
    assert!(app.works(&made.secret).await);
}
