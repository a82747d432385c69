//! The telemetry of functions: metrics in the format that CloudWatch reads, spans to a collector.

mod collector;
mod lines;
mod metrics;
mod spans;

use std::sync::{Arc, Mutex};

use axum::Router;
use ingest::FileReader;
use kit::{Reply, TestApp, router_of, send};
use shared::app::Components;
use shared::data::Queue;
use shared::edge::Telemetry;
use shared::edge::config::TelemetryConfig;
use shared::edge::telemetry::observe;
use shared::model::project::{Limits, Policy};

use collector::Collector;
use lines::shown;

/// An app whose telemetry is recorded.
struct Observed {
    app: TestApp,
    key: String,
    project_id: String,
    instance: Components,
    router: Router,
    telemetry: Telemetry,
    lines: Arc<Mutex<Vec<u8>>>,
}

impl Observed {
    async fn new(limits: Limits, policy: Policy, config: TelemetryConfig) -> Self {
        let app = TestApp::new().await;
        let (project, key) = app.project(limits, policy).await;
        let lines = Arc::new(Mutex::new(Vec::new()));
        let telemetry = Telemetry::start_with("", &config, &app.clock, lines.clone());
        let instance = app.instance();
        let router = observe(router_of(&instance), telemetry.clone());
        Self { app, key, project_id: project.id, instance, router, telemetry, lines }
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
        let (instance, telemetry) = (&self.instance, &self.telemetry);
        let worked = self.app.work_once(queue, |event| async move {
            match queue {
                Queue::Respond => {
                    telemetry.observe_and_flush(respond::job(event, instance.response_worker(), None)).await
                }
                Queue::Deliver => telemetry.observe_and_flush(deliver::job(event, instance.deliverer())).await,
                Queue::Batch => {
                    let worker = instance.batch_worker(shared::edge::render);
                    telemetry.observe_and_flush(batch::job(event, worker, None)).await
                }
                Queue::Ingest => {
                    let worker = instance.ingest_worker(Arc::new(FileReader), shared::edge::render);
                    telemetry.observe_and_flush(ingest::job(event, worker, None)).await
                }
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
