//! Admin keys: what each may do, that none makes itself greater, and that a deleted one works nowhere.

use std::collections::BTreeSet;

use axum::Router;
use kit::{ADMIN_KEY, Reply, TestApp, router_of, routes_of, send};
use serde_json::{Value, json};
use shared::model::admin_key::AdminScope;
use shared::model::key_check::KeyCheck;
use shared::model::key_text::AdminKeySecret;
use shared::model::project::{Limits, Policy};

use super::admin;

const KEYS: &str = "/v1/organization/admin_api_keys";

async fn get(router: &Router, key: &str, path: &str) -> Reply {
    send(router, "GET", path, key, &[], "").await
}

/// The admin routes of the functions `admin` and `usage`, each with whether a key of the scope `keys` may use it.
fn is_of_keys(path: &str) -> bool {
    path.starts_with("/v1/organization/projects/{project_id}/")
        && (path.contains("/service_accounts") || path.contains("/api_keys"))
}

#[tokio::test]
async fn each_scope_reaches_its_routes_only() {
    let app = TestApp::new().await;
    let router = app.router();
    let mut routes = routes_of(&router).await;
    routes.retain(|(_, path)| path.starts_with("/v1/organization/"));
    assert!(routes.len() > 25, "{routes:?}");
    for scope in AdminScope::ALL {
        let (_, key) = app.admin_key(scope).await;
        let mut reached = BTreeSet::new();
        for (method, path) in &routes {
            let literal = path.replace(['{', '}'], "");
            let reply = send(&router, method, &literal, &key, &[], "[]").await;
            let permitted = match scope {
                AdminScope::Read => method == "GET",
                AdminScope::Keys => is_of_keys(path),
                AdminScope::All => true,
            };
            if permitted {
                reached.insert((method, path));
                assert_ne!(reply.status, 403, "{method} {path} with {scope:?}");
            } else {
                assert_eq!((reply.status, &*reply.code()), (403, "missing_scope"), "{method} {path} with {scope:?}");
                assert!(reply.text().contains(&format!("has: {}.", scope.name())), "{}", reply.text());
            }
        }
        assert!(!reached.is_empty(), "{scope:?}");
    }
}

#[tokio::test]
async fn a_key_that_manages_keys_makes_no_admin_key_and_changes_no_project() {
    let app = TestApp::new().await;
    let (project, _) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    let (id, key) = app.admin_key(AdminScope::Keys).await;
    let post = async |path: &str, body: &'static str| send(&router, "POST", path, &key, &[], body).await.status;
    assert_eq!(post(KEYS, r#"{"name":"mine","scope":"all"}"#).await, 403);
    assert_eq!(send(&router, "DELETE", &format!("{KEYS}/{id}"), &key, &[], "").await.status, 403);
    let path = format!("/v1/organization/projects/{}", project.id);
    assert_eq!(post(&path, r#"{"limits":null}"#).await, 403);
    assert_eq!(post(&format!("{path}/service_accounts"), r#"{"name":"app"}"#).await, 200);
    let log = get(&router, ADMIN_KEY, "/v1/organization/audit_logs?limit=1").await.json();
    assert_eq!(log["data"][0]["actor"]["api_key"]["id"], id, "the entry names the key that made the change");
}

#[tokio::test]
async fn two_keys_are_valid_while_one_replaces_the_other() {
    let app = TestApp::new().await;
    let (router, other) = (app.router(), app.router());
    let first = admin(&router, "POST", KEYS, json!({"name": " First "})).await.json();
    let now = app.clock.now().seconds();
    let (id, value) = (first["id"].as_str().unwrap().to_owned(), first["value"].as_str().unwrap().to_owned());
    let owner = json!({"type": "service_account", "object": "organization.service_account", "id": id, "name": "First", "created_at": now, "role": "owner"});
    let redacted = format!("sk-weir-admin-...{}", &value[value.len() - 4..]);
    let mut expected = json!({
        "object": "organization.admin_api_key", "id": id, "name": "First", "redacted_value": redacted, "created_at": now,
        "expires_at": null, "last_used_at": null, "owner": owner, "scope": "all", "value": value,
    });
    assert_eq!(first, expected);
    expected.as_object_mut().unwrap().remove("value");
    assert_eq!(get(&router, ADMIN_KEY, &format!("{KEYS}/{id}")).await.json(), expected, "the key is shown once");
    app.clock.advance_ms(1_000);
    let second = send(&router, "POST", KEYS, &value, &[], r#"{"name":"Second"}"#).await.json();
    let newer = second["value"].as_str().unwrap();
    for router in [&router, &other] {
        assert_eq!((get(router, &value, KEYS).await.status, get(router, newer, KEYS).await.status), (200, 200));
    }
    let list = get(&router, newer, KEYS).await.json();
    let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|key| key["id"].clone()).collect();
    assert_eq!((ids, &list["has_more"]), (vec![first["id"].clone(), second["id"].clone()], &json!(false)));
    let deleted = send(&router, "DELETE", &format!("{KEYS}/{id}"), newer, &[], "").await.json();
    assert_eq!(deleted, json!({"id": id, "object": "organization.admin_api_key.deleted", "deleted": true}));
    for router in [&router, &other] {
        assert_eq!((get(router, &value, KEYS).await.status, get(router, newer, KEYS).await.status), (401, 200));
    }
    assert_eq!(get(&router, newer, &format!("{KEYS}/{id}")).await.status, 404);
}

#[tokio::test]
async fn an_admin_key_expires_to_the_second_and_shows_its_last_use() {
    let app = TestApp::new().await;
    let instance = app.instance();
    let router = router_of(&instance);
    let made =
        admin(&router, "POST", KEYS, json!({"name": "a", "expires_in_seconds": 20, "scope": "read"})).await.json();
    let (id, key) = (made["id"].as_str().unwrap(), made["value"].as_str().unwrap());
    let costs = format!("/v1/organization/costs?start_time={}", app.clock.now().seconds());
    let used = app.clock.now().seconds();
    assert_eq!(get(&router, key, &costs).await.status, 200);
    instance.drain().await;
    assert_eq!(get(&router, ADMIN_KEY, &format!("{KEYS}/{id}")).await.json()["last_used_at"], used);
    app.clock.advance_ms(19_999);
    assert_eq!(get(&router, key, KEYS).await.status, 200);
    app.clock.advance_ms(1);
    let late = get(&router, key, KEYS).await;
    assert_eq!((late.status, &*late.code()), (401, "expired_api_key"));
}

#[tokio::test]
async fn wrong_requests_for_admin_keys_are_refused() {
    let app = TestApp::new().await;
    let router = app.router();
    for (param, body) in [
        (json!("scope"), json!({"name": "a", "scope": "projects"})),
        (json!("expires_in_seconds"), json!({"name": "a", "expires_in_seconds": 0})),
        (json!("expires_in_seconds"), json!({"name": "a", "expires_in_seconds": 31_536_001})),
        (json!("name"), json!({"name": " "})),
    ] {
        let reply = admin(&router, "POST", KEYS, body).await;
        assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &param), "{}", reply.text());
    }
    assert_eq!(admin(&router, "POST", KEYS, json!({"name": "a", "scopes": ["read"]})).await.status, 400);
    assert_eq!(admin(&router, "GET", &format!("{KEYS}?order=desc"), Value::Null).await.status, 400);
    assert_eq!(admin(&router, "DELETE", &format!("{KEYS}/key_nobody"), Value::Null).await.status, 404);
}

#[tokio::test]
async fn a_wrong_admin_key_costs_no_read_and_a_stored_one_works_without_the_secrets() {
    let app = TestApp::new().await;
    let router = app.router();
    let (_, key) = app.admin_key(AdminScope::All).await;
    assert_eq!(get(&router, &key, KEYS).await.status, 200);
    let _ = app.log.take();
    for _ in 0..10 {
        let guess = AdminKeySecret::generate(&KeyCheck::generate());
        assert_eq!(get(&router, guess.secret().expose(), KEYS).await.status, 401);
    }
    assert_eq!(app.log.take(), [""; 0]);
    // A key of a project, and an admin key, are each no key of the other kind.
    assert_eq!(get(&router, &key, "/v1/models").await.status, 401);
}
