//! A deployment that counts the billed units of its functions.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use ingest::FileReader;
use kit::{Consumed, Hook, Script, TestApp, router_of, send};
use serde_json::{Value, json};
use shared::app::Components;
use shared::data::Queue;
use shared::edge::Telemetry;
use shared::edge::config::TelemetryConfig;
use shared::edge::telemetry::{LogFilter, init_log_to, observe};
use shared::model::clock::Clock;
use shared::model::project::{Limits, Policy};

use super::price::Used;

/// The time of a call of the table within a region.
const STORE_LATENCY: Duration = Duration::from_millis(5);

/// Counts the bytes of the log.
#[derive(Clone, Default)]
pub(super) struct LogBytes(Arc<AtomicU64>);

impl LogBytes {
    /// Starts the log of this process, and counts it.
    pub(super) fn start() -> Self {
        let bytes = Self::default();
        let written = bytes.clone();
        init_log_to(&LogFilter::default(), move || written.clone());
        bytes
    }
}

impl io::Write for LogBytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) struct Site {
    app: TestApp,
    consumed: Consumed,
    log: LogBytes,
    telemetry: Telemetry,
    instance: Components,
    router: Router,
    key: String,
    receiver: Hook,
}

impl Site {
    pub(super) async fn new(script: Script, limits: Limits, policy: Policy, log: &LogBytes) -> Self {
        let app = TestApp::builder().clock(Clock::system()).store_latency(STORE_LATENCY).build().await;
        app.first.always(script);
        let (_, key) = app.project(limits, policy).await;
        let consumed = Consumed::default();
        let instance = app.instance_metered(&consumed);
        let config = TelemetryConfig { metrics_namespace: Some("weir".to_owned()), ..TelemetryConfig::default() };
        let output = Arc::new(Mutex::new(log.clone()));
        let telemetry = Telemetry::start_with("", &config, &app.clock, output);
        let router = observe(router_of(&instance), telemetry.clone());
        let receiver = Hook::start(&app.clock).await;
        Self { app, consumed, log: log.clone(), telemetry, instance, router, key, receiver }
    }

    /// Lets `make` run `made` calls or jobs, and returns the units that each of them uses.
    pub(super) async fn measure(&self, made: usize, make: impl AsyncFnOnce(&mut Used)) -> Used {
        let _ = self.consumed.take();
        let before = self.log.0.load(Ordering::Relaxed);
        let mut used = Used::default();
        make(&mut used).await;
        used.divide(made, &self.consumed.take(), self.log.0.load(Ordering::Relaxed) - before)
    }

    /// Sends a request, which must be answered with `status`. Returns the time that the function took.
    pub(super) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value, status: u16) -> Duration {
        let started = Instant::now();
        let reply = send(&self.router, "POST", path, &self.key, headers, body.to_string()).await;
        assert_eq!(reply.status, status, "{}", reply.text());
        started.elapsed()
    }

    pub(super) async fn add_endpoint(&self) {
        let body = json!({"name": "bench", "url": self.receiver.url(), "event_types": ["response.completed"]});
        self.post("/v1/webhook_endpoints", &[], &body, 200).await;
    }

    /// Runs `jobs` background responses, `together` in an invocation, all invocations at once. Returns the duration of
    /// each invocation.
    pub(super) async fn respond(&self, jobs: usize, together: usize) -> Vec<Duration> {
        let invocations = (0..jobs.div_ceil(together)).map(|_| self.invoke(Queue::Respond, together));
        futures_util::future::join_all(invocations).await
    }

    /// Delivers `events` events, ten in an invocation. Returns the duration of each invocation.
    pub(super) async fn deliver(&self, events: usize) -> Vec<Duration> {
        let together = crate::jobs::BATCH;
        let invocations = (0..events.div_ceil(together)).map(|_| self.invoke(Queue::Deliver, together));
        futures_util::future::join_all(invocations).await
    }

    async fn invoke(&self, queue: Queue, messages: usize) -> Duration {
        let mut received = Vec::new();
        while received.len() < messages {
            match self.app.queues.receive(queue.name(), messages - received.len()) {
                Ok(more) if more.is_empty() => tokio::time::sleep(Duration::from_millis(1)).await,
                Ok(more) => received.extend(more),
                Err(refusal) => panic!("{} has no queue: {refusal:?}", queue.name()),
            }
        }
        let event = local::event_of(queue.name(), received);
        let started = Instant::now();
        let response = match queue {
            Queue::Respond => {
                let job = respond::job(event.clone(), self.instance.response_worker(), None);
                self.telemetry.for_function("respond").observe_and_flush(job).await
            }
            Queue::Deliver => {
                let job = deliver::job(event.clone(), self.instance.deliverer());
                self.telemetry.for_function("deliver").observe_and_flush(job).await
            }
            Queue::Batch => {
                let job = batch::job(event.clone(), self.instance.batch_worker(shared::edge::render), None);
                self.telemetry.for_function("batch").observe_and_flush(job).await
            }
            Queue::Ingest => {
                let worker = self.instance.ingest_worker(Arc::new(FileReader), shared::edge::render);
                let job = ingest::job(event.clone(), worker, None);
                self.telemetry.for_function("ingest").observe_and_flush(job).await
            }
        };
        let lasted = started.elapsed();
        assert!(response.batch_item_failures.is_empty(), "{:?}", response.batch_item_failures);
        self.app.acknowledge(queue, &event, &response);
        lasted
    }
}
