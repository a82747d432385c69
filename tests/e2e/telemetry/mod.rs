//! What a function tells of itself: metrics in the format that CloudWatch reads, spans to a collector.

mod collector;
mod lines;
mod metrics;
mod spans;

use std::sync::{Arc, Mutex};

use axum::Router;
use kit::{Reply, World, router_of, send};
use shared::data::Queue;
use shared::edge::config::TelemetryConfig;
use shared::edge::telemetry::observed;
use shared::edge::{Deps, Telemetry};
use shared::model::project::{Limits, Policy};

use collector::Collector;
use lines::shown;

/// A deployment that tells what happens.
struct Told {
    world: World,
    key: String,
    project_id: String,
    gateway: Deps,
    router: Router,
    telemetry: Telemetry,
    lines: Arc<Mutex<Vec<u8>>>,
}

impl Told {
    async fn new(limits: Limits, policy: Policy, config: TelemetryConfig) -> Self {
        let world = World::new().await;
        let (project, key) = world.project(limits, policy).await;
        let lines = Arc::new(Mutex::new(Vec::new()));
        let telemetry = Telemetry::start_with("", &config, &world.clock, lines.clone());
        let gateway = world.gateway();
        let router = observed(router_of(&gateway), telemetry.clone());
        Self { world, key, project_id: project.id, gateway, router, telemetry, lines }
    }

    /// With metrics and without spans.
    async fn counted(limits: Limits, policy: Policy) -> Self {
        let config = TelemetryConfig { metrics_namespace: Some("weir-test".to_owned()), ..TelemetryConfig::default() };
        Self::new(limits, policy, config).await
    }

    /// With spans and without metrics.
    async fn traced(collector: &Collector, records_messages: bool) -> Self {
        let traces_endpoint = Some(collector.endpoint());
        let config = TelemetryConfig { traces_endpoint, records_messages, ..TelemetryConfig::default() };
        Self::new(Limits::default(), Policy::default(), config).await
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        send(&self.router, "POST", path, &self.key, headers, body.to_owned()).await
    }

    /// Gives the visible messages of a queue to its worker.
    async fn work(&self, queue: Queue) {
        let (gateway, telemetry) = (self.gateway.clone(), &self.telemetry);
        let worked = self.world.work_once(queue, |event| async move {
            match queue {
                Queue::Respond => telemetry.told(respond::job(event, gateway, None)).await,
                Queue::Deliver => telemetry.told(deliver::job(event, gateway)).await,
            }
        });
        assert!(worked.await > 0, "no message in {}", queue.name());
    }

    /// The lines since the last time, in the order in which they were written.
    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(std::mem::take(&mut *self.lines.lock().unwrap())).unwrap();
        assert!(!text.contains(&self.project_id), "{text}");
        text.lines().map(shown).collect()
    }
}
