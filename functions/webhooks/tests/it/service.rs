//! A project that calls the routes.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use kit::{Reply, TestApp};
use outbound::Options;
use serde_json::{Value, json};
use shared::app::Components;
use shared::app::{Gateway, Parts};
use shared::edge::stack;
use shared::model::catalog::Catalog;
use shared::model::project::{Limits, Policy};
use shared::model::webhook::{EventType, WebhookEvent};

pub(crate) const ENDPOINTS: &str = "/v1/webhook_endpoints";

pub(crate) struct Service {
    pub(crate) app: TestApp,
    pub(crate) instance: Components,
    router: Router,
    pub(crate) key: String,
    pub(crate) project_id: String,
}

impl Service {
    /// A deployment: events go to public addresses only.
    pub(crate) async fn strict() -> Self {
        Self::with(Options::default()).await
    }

    /// A developer's machine: events may go to it.
    pub(crate) async fn local() -> Self {
        Self::with(Options { permit_loopback: true, ..Options::default() }).await
    }

    async fn with(options: Options) -> Self {
        let app = TestApp::new().await;
        app.names.set("example.com", &["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]);
        let (project, key) = app.project(Limits::default(), Policy::default()).await;
        let instance = Gateway::new(Parts {
            stores: app.stores.clone(),
            catalog: Arc::new(Catalog::parse("").unwrap()),
            providers: HashMap::new(),
            clock: app.clock.clone(),
            receivers: Some(app.receivers(options)),
            admin_key: None,
        });
        let router = stack(webhooks::router(instance.clone()));
        Self { app, instance, router, key, project_id: project.id }
    }

    pub(crate) async fn send_as(&self, key: &str, method: &str, path: &str, body: Value) -> Reply {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        kit::send(&self.router, method, path, key, &[], body).await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: Value) -> Reply {
        self.send_as(&self.key, method, path, body).await
    }

    /// A request that must succeed.
    pub(crate) async fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let reply = self.send(method, path, body).await;
        assert_eq!(reply.status, 200, "{method} {path}: {}", reply.text());
        reply.json()
    }

    /// A new endpoint's path and object.
    pub(crate) async fn endpoint(&self, url: &str) -> (String, Value) {
        let body = json!({"url": url, "event_types": ["response.completed"]});
        let endpoint = self.ok("POST", ENDPOINTS, body).await;
        (format!("{ENDPOINTS}/{}", endpoint["id"].as_str().unwrap()), endpoint)
    }

    /// Lets something happen to a response; its deliveries wait.
    pub(crate) async fn announce(&self, response_id: &str) {
        let event = WebhookEvent::new(EventType::ResponseCompleted, response_id, self.app.clock.now());
        self.instance.announce(&self.project_id, &event, None).await.unwrap();
        self.app.clock.advance_ms(1);
    }
}

/// The ids of a list.
pub(crate) fn ids(list: &Value) -> Vec<String> {
    list["data"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}
