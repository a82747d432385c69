//! Scopes and the time of keys: every route has a scope, and a key without it is refused.

use kit::{TestApp, routes_of, send};
use serde_json::{Value, json};
use shared::model::project::{Limits, Policy};
use shared::model::scope::Scope;

use super::{admin, get_models, make};

/// The routes that take a project's key.
async fn routes(app: &TestApp) -> Vec<(String, String)> {
    let mut routes = routes_of(&app.router()).await;
    routes.retain(|(_, path)| path.starts_with("/v1/") && !path.starts_with("/v1/organization"));
    assert!(routes.len() > 20, "{routes:?}");
    routes
}

#[tokio::test]
async fn a_key_reaches_the_routes_of_its_scopes_only() {
    let app = TestApp::new().await;
    let (project, free) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    for scope in Scope::ALL {
        let key = make(&router, &project.id, json!({"scopes": [scope.name()]})).await.text;
        let mut reached = 0;
        for (method, path) in routes(&app).await {
            let needed = Scope::of(method == "GET", &path).unwrap_or_else(|| panic!("{method} {path} has no scope"));
            let literal = path.replace(['{', '}', '*'], "");
            let reply = send(&router, &method, &literal, &key, &[], "{}").await;
            if needed == scope {
                reached += 1;
                assert_ne!(reply.status, 403, "{method} {path} with {scope:?}");
                continue;
            }
            assert_eq!((reply.status, &*reply.code()), (403, "missing_scope"), "{method} {path} with {scope:?}");
            let message = reply.json()["error"]["message"].as_str().unwrap().to_owned();
            let says = format!("Missing scopes: {}. This API key has: {}.", needed.name(), scope.name());
            assert!(message.contains(&says), "{message}");
            assert_ne!(
                send(&router, &method, &literal, &free, &[], "{}").await.status,
                403,
                "a key without scopes has all"
            );
        }
        assert!(reached > 0, "no route needs {scope:?}");
    }
}

#[tokio::test]
async fn a_key_expires_to_the_second_also_where_it_is_remembered() {
    let app = TestApp::new().await;
    let (project, _) = app.project(Limits::default(), Policy::default()).await;
    let (router, other) = (app.router(), app.router());
    let ends = app.clock.now().seconds() + 20;
    let key = make(&router, &project.id, json!({"expires_at": ends})).await;
    app.clock.advance_ms(19_999);
    assert_eq!((get_models(&router, &key.text).await.status, get_models(&other, &key.text).await.status), (200, 200));
    app.clock.advance_ms(1);
    for router in [&router, &other, &app.router()] {
        let reply = get_models(router, &key.text).await;
        assert_eq!((reply.status, &*reply.code()), (401, "expired_api_key"));
        assert!(reply.text().contains(&ends.to_string()), "{}", reply.text());
    }
    let late = admin(&router, "POST", &key.path, json!({"expires_at": ends + 60})).await;
    assert_eq!((late.status, &late.json()["expires_at"]), (200, &json!(ends + 60)));
    assert_eq!(get_models(&router, &key.text).await.status, 200);
    assert_eq!(admin(&router, "POST", &key.path, json!({"expires_at": ends - 60})).await.status, 400);
    let cleared = admin(&router, "POST", &key.path, json!({"expires_at": null})).await;
    assert_eq!(cleared.json()["expires_at"], Value::Null);
}

#[tokio::test]
async fn changed_rights_hold_at_once_here_and_after_30_seconds_elsewhere() {
    let app = TestApp::new().await;
    let (project, _) = app.project(Limits::default(), Policy::default()).await;
    let (router, other) = (app.router(), app.router());
    let key = make(&router, &project.id, json!({})).await;
    assert_eq!((get_models(&router, &key.text).await.status, get_models(&other, &key.text).await.status), (200, 200));
    let changed = admin(&router, "POST", &key.path, json!({"scopes": ["api.model.request"], "models": ["a*"]})).await;
    assert_eq!(changed.json()["scopes"], json!(["api.model.request"]));
    assert_eq!(get_models(&router, &key.text).await.status, 403);
    app.clock.advance_ms(30_000);
    assert_eq!(get_models(&other, &key.text).await.status, 403);
    let read = admin(&other, "GET", &key.path, Value::Null).await.json();
    assert_eq!((&read["models"], &read["allowed_ips"]), (&json!(["a*"]), &Value::Null));
}

#[tokio::test]
async fn rights_that_nobody_can_mean_are_refused() {
    let app = TestApp::new().await;
    let (project, _) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    let key = make(&router, &project.id, json!({})).await;
    let accounts = format!("/v1/organization/projects/{}/service_accounts", project.id);
    for (param, wrong) in [
        ("scopes", json!({"scopes": []})),
        ("scopes", json!({"scopes": ["api.model.write"]})),
        ("models", json!({"models": []})),
        ("models", json!({"models": ["a*b"]})),
        ("expires_at", json!({"expires_at": 1})),
        ("allowed_ips", json!({"allowed_ips": ["10.0.0.0/99"]})),
        ("allowed_ips", json!({"allowed_ips": []})),
        ("allowed_ips", json!({"allowed_ips": vec!["10.0.0.1"; 101]})),
    ] {
        let mut body = wrong.clone();
        body["name"] = json!("app");
        for reply in [admin(&router, "POST", &key.path, wrong).await, admin(&router, "POST", &accounts, body).await] {
            assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!(param)), "{}", reply.text());
        }
    }
    // A mistyped restriction would restrict nothing.
    for path in [&key.path, &accounts] {
        assert_eq!(admin(&router, "POST", path, json!({"name": "app", "scope": ["api.model.read"]})).await.status, 400);
    }
}
