//! The webhook API of a [`TestApp`], called by a project.

use axum::Router;
use kit::{Reply, TestApp};
use outbound::Options;
use serde_json::{Value, json};
use shared::app::Components;
use shared::app::webhooks::Announcer;
use shared::model::message::DeliveryKey;
use shared::model::project::{Limits, Policy};
use shared::model::webhook::{EventType, WebhookEvent};

pub(crate) const ENDPOINTS: &str = "/v1/webhook_endpoints";

pub(crate) struct WebhooksApi {
    pub(crate) app: TestApp,
    instance: Components,
    router: Router,
    key: String,
    project_id: String,
}

impl WebhooksApi {
    /// The API of a deployment: events go to public addresses only.
    pub(crate) async fn strict() -> Self {
        Self::with(Options::default()).await
    }

    /// The API on a developer's machine: events may go to that machine.
    pub(crate) async fn local() -> Self {
        Self::with(Options { permit_loopback: true, ..Options::default() }).await
    }

    async fn with(options: Options) -> Self {
        let app = TestApp::builder().receivers(options).build().await;
        app.names.set("example.com", &["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]);
        let (project, key) = app.project(Limits::default(), Policy::default()).await;
        let instance = app.instance();
        Self { router: kit::router_of(&instance), app, instance, key, project_id: project.id }
    }

    pub(crate) async fn send_as(&self, key: &str, method: &str, path: &str, body: Value) -> Reply {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        kit::send(&self.router, method, path, key, &[], body).await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: Value) -> Reply {
        self.send_as(&self.key, method, path, body).await
    }

    /// Sends a request that must succeed.
    pub(crate) async fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let reply = self.send(method, path, body).await;
        assert_eq!(reply.status, 200, "{method} {path}: {}", reply.text());
        reply.json()
    }

    /// Registers an endpoint. Returns its path and its object.
    pub(crate) async fn endpoint(&self, url: &str) -> (String, Value) {
        let body = json!({"name": "Orders", "url": url, "event_types": ["response.completed"]});
        let endpoint = self.ok("POST", ENDPOINTS, body).await;
        (format!("{ENDPOINTS}/{}", endpoint["id"].as_str().unwrap()), endpoint)
    }

    /// Announces the end of a response. Its deliveries are pending.
    pub(crate) async fn announce(&self, response_id: &str) {
        let event = WebhookEvent::new(EventType::ResponseCompleted, response_id, self.app.clock.now());
        let announcer = Announcer::new(&self.app.stores, self.app.clock.clone());
        announcer.announce(&self.project_id, &event, None, 86_400).await.unwrap();
        self.app.clock.advance_ms(1);
    }

    /// Makes an attempt of a delivery that the API listed.
    pub(crate) async fn deliver(&self, delivery: &Value) {
        let text = |name: &str| delivery[name].as_str().unwrap().to_owned();
        let key = DeliveryKey {
            project_id: self.project_id.clone(),
            endpoint_id: text("webhook_endpoint_id"),
            delivery_id: text("id"),
        };
        self.instance.deliverer().deliver(&key).await.unwrap();
    }
}

/// The ids of a list.
pub(crate) fn ids(list: &Value) -> Vec<String> {
    list["data"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}
