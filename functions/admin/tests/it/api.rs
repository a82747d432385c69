//! The admin API of a [`TestApp`].

use axum::Router;
use kit::{ADMIN_KEY, TestApp};
use serde_json::Value;
use shared::model::clock::Clock;

pub(crate) const PROJECTS: &str = "/v1/organization/projects";
/// 2026-01-01T00:00:00Z.
pub(crate) const NOW: u64 = 1_767_225_600;

pub(crate) struct AdminApi {
    pub(crate) app: TestApp,
    router: Router,
}

impl AdminApi {
    pub(crate) async fn new() -> Self {
        let app = TestApp::builder().clock(Clock::manual(NOW * 1_000)).build().await;
        Self { router: app.router(), app }
    }

    /// Sends a request with a key. Returns the status and the body.
    pub(crate) async fn send(&self, key: Option<&str>, method: &str, path: &str, body: &str) -> (u16, Value) {
        let reply = kit::send(&self.router, method, path, key.unwrap_or_default(), &[], body.to_owned()).await;
        (reply.status, serde_json::from_slice(&reply.body).unwrap_or_default())
    }

    /// Sends a request with the admin key, which must succeed.
    pub(crate) async fn admin(&self, method: &str, path: &str, body: &str) -> Value {
        let (status, answer) = self.send(Some(ADMIN_KEY), method, path, body).await;
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer
    }

    /// Makes a project. Returns its path.
    pub(crate) async fn project(&self) -> String {
        let project = self.admin("POST", PROJECTS, r#"{"name":"Team"}"#).await;
        format!("{PROJECTS}/{}", project["id"].as_str().unwrap())
    }

    /// Whether this instance accepts a project's key.
    pub(crate) async fn accepts(&self, key: &str) -> bool {
        accepts(&self.router, key).await
    }
}

/// Whether an instance accepts a project's key.
pub(crate) async fn accepts(router: &Router, key: &str) -> bool {
    kit::send(router, "GET", "/v1/models", key, &[], "").await.status == 200
}

/// Replaces ids and keys by their kind, so that whole answers can be compared.
pub(crate) fn plain(mut value: Value) -> String {
    fn walk(value: &mut Value) {
        match value {
            Value::String(text) => {
                for prefix in ["proj_", "svc_acct_", "key_", "sk-weir-"] {
                    if text.starts_with(prefix) {
                        *text = format!("{prefix}*");
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(walk),
            Value::Object(members) => members.values_mut().for_each(walk),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    walk(&mut value);
    value.to_string()
}
