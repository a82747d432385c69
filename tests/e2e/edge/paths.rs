//! Paths and methods that no route has, and the base path of a custom domain.

use std::collections::{BTreeMap, BTreeSet};

use kit::{ADMIN_KEY, Reply, TestApp, router_with, routes_of, send};
use serde_json::Value;
use shared::edge::config::HttpConfig;
use shared::model::project::{Limits, Policy};

use super::{METHODS, check_error, functions};

/// API Gateway sends every method of a path to one function, and paths that no function has to one of them.
#[tokio::test]
async fn every_function_answers_an_unknown_path_with_404_whatever_the_method_and_the_key() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let paths = ["/", "/v1", "/v1/", "/v1/nope", "/nope", "/v1/nope/", "/v1/organization/projects/p/nope", "/%00"];
    for (name, router) in functions(&app, &HttpConfig::default()) {
        for (method, path) in METHODS.iter().flat_map(|method| paths.map(|path| (*method, path))) {
            for token in ["", "nonsense", &key, ADMIN_KEY] {
                let reply = send(&router, method, path, token, &[], "").await;
                check_error(method, &reply, 404, "unknown_url", &format!("{path} of `{name}`"));
                assert!(token.is_empty() || !reply.text().contains(token), "{}", reply.text());
            }
        }
    }
    assert_eq!(app.first.call_count(), 0);
}

#[tokio::test]
async fn every_route_answers_a_wrong_method_with_405_and_names_the_right_ones() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let mut refused = 0;
    for (name, router) in functions(&app, &HttpConfig::default()) {
        let mut methods: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (method, path) in routes_of(&router).await {
            let methods = methods.entry(path.replace(['{', '}', '*'], "")).or_default();
            if method == "GET" {
                methods.insert("HEAD".to_owned());
            }
            methods.insert(method);
        }
        for (path, right) in &methods {
            for method in METHODS.iter().filter(|method| !right.contains(**method)) {
                for token in ["", "nonsense", &key] {
                    let reply = send(&router, method, path, token, &[], "").await;
                    check_error(method, &reply, 405, "method_not_allowed", &format!("{path} of `{name}`"));
                    let allowed: BTreeSet<String> = reply.header("allow").split(',').map(str::to_owned).collect();
                    assert_eq!(&allowed, right, "{method} {path}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 500, "{refused} requests");
}

/// The body as JSON, or as text.
fn read(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or_else(|_| Value::from(reply.text()))
}

fn under(base_path: &str) -> HttpConfig {
    HttpConfig { base_path: base_path.parse().unwrap(), ..HttpConfig::default() }
}

#[tokio::test]
async fn a_base_path_is_stripped_from_every_route_and_requests_without_it_pass() {
    let app = TestApp::new().await;
    let instance = app.instance();
    let plain = app.router();
    for base in ["/ai", "/team/ai"] {
        let router = router_with(&instance, &under(base));
        for (method, path) in routes_of(&plain).await {
            let path = path.replace(['{', '}', '*'], "");
            let expected = send(&plain, &method, &path, "", &[], "").await;
            for path in [path.clone(), format!("{base}{path}")] {
                let reply = send(&router, &method, &path, "", &[], "").await;
                let (mut found, mut wanted) = (read(&reply), read(&expected));
                for body in [&mut found, &mut wanted] {
                    // Anthropic's envelope has the id of the request.
                    body.as_object_mut().map(|members| members.remove("request_id"));
                }
                assert_eq!((reply.status, found), (expected.status, wanted), "{method} {path}");
            }
        }
        for path in [base.to_owned(), format!("{base}/"), format!("{base}{base}/healthz"), format!("{base}m/healthz")] {
            let reply = send(&router, "GET", &path, "", &[], "").await;
            check_error("GET", &reply, 404, "unknown_url", &path);
            assert!(reply.text().contains(&format!("GET {path}.")), "the path as it was sent: {}", reply.text());
        }
    }
    assert_eq!(send(&plain, "GET", "/ai/healthz", "", &[], "").await.status, 404);
}

#[tokio::test]
async fn a_query_survives_the_base_path() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = router_with(&app.instance(), &under("ai"));
    let reply = send(&router, "GET", "/ai/v1/models/vendor%2Fpriced?x=1", &key, &[], "").await;
    assert_eq!((reply.status, reply.json()["id"].as_str()), (200, Some("vendor/priced")));
    let reply = send(&router, "GET", "/ai/v1/organization/jobs?limit=many", ADMIN_KEY, &[], "").await;
    assert_eq!((reply.status, reply.json()["error"]["param"].as_str()), (400, Some("limit")));
}

#[tokio::test]
async fn every_route_is_served_under_other_spellings_of_its_path() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    for (name, router) in functions(&app, &HttpConfig::default()) {
        for (method, path) in routes_of(&router).await.into_iter().filter(|(_, path)| path != "/healthz") {
            let path = path.replace(['{', '}', '*'], "");
            for token in ["", &key] {
                let expected = send(&router, &method, &path, token, &[], "").await;
                let bare = path.strip_prefix("/v1").unwrap();
                for other in [format!("{path}/"), format!("/{path}"), format!("/v1/{bare}"), bare.to_owned()] {
                    let reply = send(&router, &method, &other, token, &[], "").await;
                    let context = format!("{method} {other} of `{name}`");
                    assert_eq!(reply.status, expected.status, "{context}: {}", reply.text());
                    assert_eq!(read(&reply)["error"]["code"], read(&expected)["error"]["code"], "{context}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_spelling_without_a_route_is_named_as_it_was_sent() {
    let app = TestApp::new().await;
    let router = router_with(&app.instance(), &under("ai"));
    let healthy = send(&router, "GET", "/ai/healthz/?x=1", "", &[], "").await;
    assert_eq!((healthy.status, healthy.text().contains("ok")), (200, true));
    for path in ["/nope/", "//v1/nope", "/v1//conversations/c/nope/", "/ai/nope"] {
        let reply = send(&router, "GET", path, "", &[], "").await;
        check_error("GET", &reply, 404, "unknown_url", path);
        assert!(reply.text().contains(&format!("GET {path}.")), "{}", reply.text());
    }
}

/// Codex tries a WebSocket first, and goes on with HTTP at once after this status.
#[tokio::test]
async fn a_websocket_is_refused_with_426() {
    let app = TestApp::new().await;
    let router = app.router();
    for headers in [
        [("connection", "Upgrade"), ("upgrade", "websocket")],
        [("accept", "*/*"), ("upgrade", "h2c, WebSocket")],
        [("accept", "*/*"), ("openai-beta", "assistants=v2, responses_websockets=2026-02-06")],
    ] {
        let reply = send(&router, "GET", "/v1/responses", "", &headers, "").await;
        check_error("GET", &reply, 426, "websocket_not_supported", &format!("{headers:?}"));
    }
    for headers in [&[][..], &[("upgrade", "h2c")], &[("openai-beta", "assistants=v2")]] {
        assert_eq!(send(&router, "GET", "/v1/responses", "", headers, "").await.status, 405, "{headers:?}");
    }
}
