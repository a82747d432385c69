//! Keys: what a wrong one costs, and what a right one may do.

mod addresses;
mod admin;
mod checks;
mod last_use;
mod models;
mod scopes;

use axum::Router;
use kit::{ADMIN_KEY, Reply, send};
use serde_json::{Value, json};

/// An API key that an administrator made.
pub(crate) struct Made {
    pub(crate) text: String,
    /// The path of the key in the admin API.
    path: String,
}

/// Makes a key of a project with these settings.
pub(crate) async fn make(router: &Router, project_id: &str, settings: Value) -> Made {
    let mut body = json!({"name": "app"});
    body.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let path = format!("/v1/organization/projects/{project_id}");
    let reply = send(router, "POST", &format!("{path}/service_accounts"), ADMIN_KEY, &[], body.to_string()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let key = reply.json()["api_key"].clone();
    Made {
        text: key["value"].as_str().unwrap().to_owned(),
        path: format!("{path}/api_keys/{}", key["id"].as_str().unwrap()),
    }
}

async fn admin(router: &Router, method: &str, path: &str, body: Value) -> Reply {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    send(router, method, path, ADMIN_KEY, &[], body).await
}

async fn get_models(router: &Router, key: &str) -> Reply {
    send(router, "GET", "/v1/models", key, &[], "").await
}
