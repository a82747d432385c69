//! A deployment in memory: the real router on the embedded engines.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use embedded::{Engines, Place};
use http_body_util::BodyExt as _;
use serde_json::Value;
use shared::app::admin::NewProject;
use shared::app::{Gateway, Parts};
use shared::data::{Bucket, Operation, Queues, Stores, Table, UsageCount, UsageKey, create_table};
use shared::edge::Deps;
use shared::model::catalog::Catalog;
use shared::model::clock::{Clock, Timestamp};
use shared::model::money::MicroUsd;
use shared::model::project::{Limits, Name, Policy};
use shared::model::secret::Secret;
use shared::model::tokens::Usage;
use tower::ServiceExt as _;

pub(crate) const ADMIN_KEY: &str = "sk-weir-admin-test";
/// 2026-01-01T00:00:00Z, the first day of the tests.
pub(crate) const DAY: u64 = 1_767_225_600;
const HOUR: u64 = 3_600;

pub(crate) struct World {
    router: Router,
    pub(crate) gateway: Deps,
    /// Two projects.
    pub(crate) projects: [String; 2],
    _engines: Engines,
}

impl World {
    /// Noon of the third day, after these calls (hours since [`DAY`]):
    /// the first project called `chat` with `key_a` in hours 0, 23 and 24 and `embed` in hour 1; the second project
    /// called `chat` with `key_b` in hour 24 and `moderate` in hour 50.
    pub(crate) async fn new() -> Self {
        let engines = Engines::open(&Place::Memory, Arc::new(|| (DAY + 60 * HOUR) * 1_000)).unwrap();
        let dynamo = embedded::dynamo_client(engines.dynamo.clone());
        create_table(&dynamo, "weir").await.unwrap();
        let bucket = Bucket::new(embedded::s3_client(engines.s3.clone()), "weir");
        let gateway = Gateway::new(Parts {
            stores: Stores { table: Table::new(dynamo, "weir"), bucket, queues: Queues::default() },
            catalog: Arc::new(Catalog::parse("").unwrap()),
            providers: HashMap::new(),
            clock: Clock::manual((DAY + 60 * HOUR) * 1_000),
            receivers: None,
            admin_key: Some(Secret::new(ADMIN_KEY)),
        });
        let projects = [project(&gateway).await, project(&gateway).await];
        let router = shared::edge::stack(usage::router(gateway.clone()));
        let world = Self { router, gateway, projects, _engines: engines };
        for (project, hour, operation, model, key) in [
            (0, 0, Operation::Completions, "chat", "key_a"),
            (0, 23, Operation::Completions, "chat", "key_a"),
            (0, 24, Operation::Completions, "chat", "key_a"),
            (0, 1, Operation::Embeddings, "embed", "key_a"),
            (1, 24, Operation::Completions, "chat", "key_b"),
            (1, 50, Operation::Moderations, "moderate", "key_b"),
        ] {
            world.count(project, hour, operation, model, key).await;
        }
        world
    }

    /// Two calls of 10 tokens in and 3 out, each for 0.1 dollars, settled at different shards.
    async fn count(&self, project: usize, hour: u64, operation: Operation, model: &str, key: &str) {
        let at = Timestamp((DAY + hour * HOUR) * 1_000);
        for shard in 0..2 {
            let key = UsageKey {
                project_id: self.projects[project].clone(),
                hour: at.hour(),
                operation,
                model: model.to_owned(),
                api_key_id: key.to_owned(),
                shard,
            };
            let tokens = Usage { input: 10, cached_input: 4, cache_write: 1, output: 3, reasoning: 2 };
            let count = UsageCount { requests: 1, tokens, cost: MicroUsd(100_000) };
            self.gateway.stores().table.add_usage(&key, &count, at).await.unwrap();
        }
    }

    /// Sends a request; returns the status and the body.
    pub(crate) async fn send(&self, key: Option<&str>, path: &str) -> (u16, Value) {
        let mut request = Request::get(path);
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let response = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }
}

async fn project(gateway: &Gateway) -> String {
    let name = Name::try_from("Team".to_owned()).unwrap();
    let project = gateway
        .create_project(NewProject { name, limits: Limits::default(), policy: Policy::default() })
        .await
        .unwrap();
    gateway.clock().advance_ms(1);
    project.id
}
