//! A deployment in memory: the real router on the embedded engines.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use embedded::{Engines, Place};
use http_body_util::BodyExt as _;
use serde_json::Value;
use shared::app::{Gateway, Parts};
use shared::data::{Bucket, Queues, Stores, Table, create_table};
use shared::edge::Deps;
use shared::model::catalog::Catalog;
use shared::model::clock::Clock;
use shared::model::secret::Secret;
use tower::ServiceExt as _;

pub(crate) const ADMIN_KEY: &str = "sk-weir-admin-test";
/// 2026-01-01T00:00:00Z.
pub(crate) const NOW: u64 = 1_767_225_600;

pub(crate) struct World {
    router: Router,
    pub(crate) gateway: Deps,
    pub(crate) clock: Clock,
    stores: Stores,
    _engines: Engines,
}

impl World {
    pub(crate) async fn new() -> Self {
        let engines = Engines::open(&Place::Memory, Arc::new(|| NOW * 1_000)).unwrap();
        let dynamo = embedded::dynamo_client(engines.dynamo.clone());
        create_table(&dynamo, "weir").await.unwrap();
        let bucket = Bucket::new(embedded::s3_client(engines.s3.clone()), "weir");
        let stores = Stores { table: Table::new(dynamo, "weir"), bucket, queues: Queues::default() };
        let clock = Clock::manual(NOW * 1_000);
        let gateway = gateway(&stores, &clock);
        Self { router: router(&gateway), gateway, clock, stores, _engines: engines }
    }

    /// Another process on the same stores.
    pub(crate) fn other_process(&self) -> Deps {
        gateway(&self.stores, &self.clock)
    }

    /// Sends a request with a key; returns the status and the body.
    pub(crate) async fn send(&self, key: Option<&str>, method: &str, path: &str, body: &str) -> (u16, Value) {
        send(self.router.clone(), key, method, path, body).await
    }

    /// Sends a request of an administrator that must succeed.
    pub(crate) async fn admin(&self, method: &str, path: &str, body: &str) -> Value {
        let (status, answer) = self.send(Some(ADMIN_KEY), method, path, body).await;
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer
    }

    /// A new project's path.
    pub(crate) async fn project(&self) -> String {
        let project = self.admin("POST", PROJECTS, r#"{"name":"Team"}"#).await;
        format!("{PROJECTS}/{}", project["id"].as_str().unwrap())
    }

    /// Whether a project's key works.
    pub(crate) async fn works(&self, key: &str) -> bool {
        self.send(Some(key), "GET", "/v1/models", "").await.0 == 200
    }
}

pub(crate) const PROJECTS: &str = "/v1/organization/projects";

fn gateway(stores: &Stores, clock: &Clock) -> Deps {
    Gateway::new(Parts {
        stores: stores.clone(),
        catalog: Arc::new(Catalog::parse("").unwrap()),
        providers: HashMap::new(),
        clock: clock.clone(),
        receivers: None,
        admin_key: Some(Secret::new(ADMIN_KEY)),
    })
}

pub(crate) fn router(gateway: &Deps) -> Router {
    shared::edge::stack(admin::router(gateway.clone()).merge(models::router(gateway.clone())))
}

pub(crate) async fn send(router: Router, key: Option<&str>, method: &str, path: &str, body: &str) -> (u16, Value) {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    let response = router.oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

/// Replaces ids and keys by their kind, so that answers can be compared as a whole.
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
