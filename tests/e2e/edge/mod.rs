//! Every function at its edge: requests that match no route, bodies that are too large, pages in browsers, and copies of
//! answers.

mod browsers;
mod connection;
mod copies;
mod paths;
mod sizes;
mod slow;

use axum::Router;
use kit::{Reply, TestApp};
use shared::edge::config::HttpConfig;
use shared::edge::stack;

/// The methods of HTTP, and one that it does not define.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"];

/// The functions that serve requests, each in its stack.
fn functions(app: &TestApp, http: &HttpConfig) -> Vec<(&'static str, Router)> {
    let routers = local::function_names().filter_map(|name| Some((name, local::router(name, &app.instance())?)));
    let routers: Vec<_> = routers.map(|(name, router)| (name, stack(router, http))).collect();
    assert!(routers.len() >= 7, "{} functions", routers.len());
    routers
}

/// Checks the envelope of an error, which an answer to HEAD leaves out.
#[track_caller]
fn check_error(method: &str, reply: &Reply, status: u16, code: &str, context: &str) {
    assert_eq!(reply.status, status, "{method} {context}: {}", reply.text());
    assert_eq!(reply.header("content-type"), "application/json", "{method} {context}");
    assert!(reply.header("x-request-id").starts_with("req_"), "{method} {context}");
    if method == "HEAD" {
        assert_eq!(reply.text(), "", "{context}");
        return;
    }
    let json = reply.json();
    if json["type"] == "error" {
        // Anthropic's envelope.
        assert_eq!(json["request_id"], reply.header("request-id"), "{method} {context}: {json}");
        assert_eq!(
            (json["error"]["message"].is_string(), reply.code().as_str()),
            (true, code),
            "{method} {context}: {json}"
        );
        return;
    }
    let members: Vec<&str> = json["error"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["code", "message", "param", "type"], "{method} {context}: {json}");
    let kind = (json["error"]["type"].as_str(), json["error"]["code"].as_str());
    assert_eq!(kind, (Some("invalid_request_error"), Some(code)), "{method} {context}: {json}");
}
