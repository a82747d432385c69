//! Service accounts and API keys: shown once, listed, revoked.

use kit::ADMIN_KEY;
use serde_json::{Value, json};

use crate::api::{AdminApi, NOW, accepts, plain};

struct Made {
    account: String,
    key: String,
    secret: String,
}

async fn make(api: &AdminApi, project: &str, name: &str) -> Made {
    let answer = api.admin("POST", &format!("{project}/service_accounts"), &json!({"name": name}).to_string()).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Made {
        account: text(&answer["id"]),
        key: text(&answer["api_key"]["id"]),
        secret: text(&answer["api_key"]["value"]),
    }
}

/// Sends a request with the admin key to a project's path and compares the whole answer, ids replaced.
async fn check(api: &AdminApi, method: &str, path: &str, status: u16, expected: &Value) {
    let (found, answer) = api.send(Some(ADMIN_KEY), method, path, "").await;
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
        "limits": {"requests_per_minute": null, "tokens_per_minute": null, "concurrent_requests": null, "budget_usd_per_month": null},
        "scopes": null, "models": null, "expires_at": null, "allowed_ips": null,
    })
}

fn list(item: &Value) -> Value {
    json!({"object": "list", "data": [item], "first_id": item["id"], "last_id": item["id"], "has_more": false})
}

#[tokio::test]
async fn a_key_is_shown_once_and_then_only_its_end() {
    let api = AdminApi::new().await;
    let project = api.project().await;
    let answer = api.admin("POST", &format!("{project}/service_accounts"), r#"{"name":"App"}"#).await;
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
    let redacted = api.admin("GET", &key_path, "").await["redacted_value"].as_str().unwrap().to_owned();
    assert_eq!(redacted, format!("sk-weir-...{}", &secret[secret.len() - 4..]));
}

#[tokio::test]
async fn accounts_and_keys_are_read_alone_and_in_lists() {
    let api = AdminApi::new().await;
    let project = api.project().await;
    let made = make(&api, &project, "App").await;
    check(&api, "GET", &format!("{project}/service_accounts"), 200, &list(&account())).await;
    check(&api, "GET", &format!("{project}/service_accounts/{}", made.account), 200, &account()).await;
    check(&api, "GET", &format!("{project}/api_keys"), 200, &list(&key())).await;
    check(&api, "GET", &format!("{project}/api_keys/{}", made.key), 200, &key()).await;
}

#[tokio::test]
async fn a_revoked_key_stops_working_here_at_once_and_elsewhere_within_30_seconds() {
    let api = AdminApi::new().await;
    let project = api.project().await;
    let (made, kept) = (make(&api, &project, "App").await, make(&api, &project, "Other").await);
    let other = api.app.router();
    assert!(api.accepts(&made.secret).await && accepts(&other, &made.secret).await);
    let deleted = json!({"object": "organization.project.api_key.deleted", "id": "key_*", "deleted": true});
    check(&api, "DELETE", &format!("{project}/api_keys/{}", made.key), 200, &deleted).await;
    assert!(!api.accepts(&made.secret).await && api.accepts(&kept.secret).await);
    api.app.clock.advance_ms(30_000);
    assert!(!accepts(&other, &made.secret).await);
    let gone = not_found("API key", &made.key);
    for method in ["GET", "DELETE"] {
        let (status, answer) = api.send(Some(ADMIN_KEY), method, &format!("{project}/api_keys/{}", made.key), "").await;
        assert_eq!((status, answer), (404, gone.clone()));
    }
}

fn not_found(kind: &str, id: &str) -> Value {
    let message = format!("No {kind} found with id '{id}'.");
    json!({"error": {"message": message, "type": "invalid_request_error", "param": null, "code": "not_found"}})
}

#[tokio::test]
async fn deleting_an_account_revokes_its_keys() {
    let api = AdminApi::new().await;
    let project = api.project().await;
    let (made, kept) = (make(&api, &project, "App").await, make(&api, &project, "App").await);
    assert!(api.accepts(&made.secret).await);
    let deleted =
        json!({"object": "organization.project.service_account.deleted", "id": "svc_acct_*", "deleted": true});
    check(&api, "DELETE", &format!("{project}/service_accounts/{}", made.account), 200, &deleted).await;
    assert!(!api.accepts(&made.secret).await);
    check(&api, "GET", &format!("{project}/api_keys"), 200, &list(&key())).await;
    check(&api, "GET", &format!("{project}/service_accounts"), 200, &list(&account())).await;
    assert!(api.accepts(&kept.secret).await);
}

#[tokio::test]
async fn a_client_can_delete_what_it_lists() {
    let api = AdminApi::new().await;
    let project = api.project().await;
    for _ in 0..3 {
        make(&api, &project, "App").await;
        api.app.clock.advance_ms(1);
    }
    let (mut deleted, mut after) = (0, String::new());
    loop {
        let page = api.admin("GET", &format!("{project}/api_keys?limit=1{after}"), "").await;
        let Some(last) = page["last_id"].as_str() else { break };
        api.admin("DELETE", &format!("{project}/api_keys/{last}"), "").await;
        deleted += 1;
        after = format!("&after={last}");
    }
    assert_eq!(deleted, 3);
}

#[tokio::test]
async fn a_key_is_not_found_in_another_project() {
    let api = AdminApi::new().await;
    let (one, other) = (api.project().await, api.project().await);
    let made = make(&api, &one, "App").await;
    for (method, path) in
        [("GET", format!("api_keys/{}", made.key)), ("DELETE", format!("service_accounts/{}", made.account))]
    {
        assert_eq!(api.send(Some(ADMIN_KEY), method, &format!("{other}/{path}"), "").await.0, 404);
    }
    assert!(api.accepts(&made.secret).await);
}

#[tokio::test]
async fn a_key_expires_as_long_after_its_creation_as_was_asked() {
    let api = AdminApi::new().await;
    let project = api.project().await;
    let body = r#"{"name":"App","expires_in_seconds":60}"#;
    let answer = api.admin("POST", &format!("{project}/service_accounts"), body).await;
    let key = answer["api_key"]["id"].as_str().unwrap();
    assert_eq!(api.admin("GET", &format!("{project}/api_keys/{key}"), "").await["expires_at"], NOW + 60);
}

#[tokio::test]
async fn keys_are_listed_by_the_access_of_their_owners() {
    let api = AdminApi::new().await;
    let project = api.project().await;
    make(&api, &project, "App").await;
    let count = async |access: &str| {
        let path = format!("{project}/api_keys?owner_project_access={access}");
        api.admin("GET", &path, "").await["data"].as_array().unwrap().len()
    };
    assert_eq!((count("").await, count("any").await, count("active").await, count("inactive").await), (1, 1, 1, 0));
    api.admin("POST", &format!("{project}/archive"), "").await;
    assert_eq!((count("any").await, count("active").await, count("inactive").await), (1, 0, 1));
}
