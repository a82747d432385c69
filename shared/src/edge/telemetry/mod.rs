//! What a function tells of itself: log lines and metrics on standard output, spans to a collector.
//!
//! Everything is told before the answer or the batch ends, because Lambda freezes the process after that.

mod emf;
mod metrics;
mod spans;
mod transport;

use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanBuilder, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

pub(super) use metrics::{MessageEnd, RequestEnd};

use super::config::{Config, TelemetryConfig};
use crate::app::telemetry::{self as app, TelemetryEvent, continued};
use crate::model::clock::{Clock, Timestamp};
use metrics::Metrics;
use spans::Spans;

/// Where the metrics of a process are written.
pub type Output = Arc<Mutex<dyn Write + Send>>;

/// Where a function tells what happens. Clones are the same; the default tells nobody.
#[derive(Clone, Default)]
pub struct Telemetry {
    /// Whose work is told of; empty where no function is at work.
    function: &'static str,
    metrics: Option<Arc<Metrics>>,
    spans: Option<Arc<Spans>>,
}

/// Starts what the settings ask for: the log, and metrics and spans where they say so.
pub fn start(function: &'static str, config: &Config) -> Telemetry {
    init_log(&config.log_level);
    Telemetry::start(function, &config.telemetry)
}

/// Starts logging to standard output, one JSON object per line. `filter` is `info`, `warn,shared=debug` and the like.
pub fn init_log(filter: &str) {
    init_log_to(filter, std::io::stdout);
}

/// As [`init_log`], to somewhere else.
pub fn init_log_to<W>(filter: &str, output: W)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let json = tracing_subscriber::fmt().json().flatten_event(true).with_current_span(false);
    // A second start, in tests, keeps the first.
    let _ = json.with_env_filter(filter).with_writer(output).try_init();
}

/// Tells what happens to the requests of a router.
pub fn observed(router: Router, telemetry: Telemetry) -> Router {
    router.layer(middleware::from_fn(move |request: Request, next: Next| telemetry.around(next.run(request))))
}

/// Which function answered, where one process has several.
#[derive(Clone, Copy)]
pub(super) struct Function(pub(super) &'static str);

/// Tells what happens to the requests of a router as the work of a function.
pub fn named(router: Router, function: &'static str) -> Router {
    router.route_layer(middleware::from_fn(move |request: Request, next: Next| async move {
        let mut response = Telemetry::current().named(function).around(next.run(request)).await;
        response.extensions_mut().insert(Function(function));
        response
    }))
}

impl Telemetry {
    /// Metrics to standard output, and spans over the HTTP client of the AWS SDK.
    #[must_use]
    pub fn start(function: &'static str, config: &TelemetryConfig) -> Self {
        let output: Output = Arc::new(Mutex::new(std::io::stdout()));
        Self::start_with(function, config, &Clock::system(), output)
    }

    /// As [`Telemetry::start`], with metrics to somewhere else, at the time of a clock.
    #[must_use]
    pub fn start_with(function: &'static str, config: &TelemetryConfig, clock: &Clock, output: Output) -> Self {
        let metrics = config.metrics_namespace.clone();
        let metrics = metrics.map(|namespace| Arc::new(Metrics::new(namespace, clock.clone(), output)));
        let spans = config.traces_endpoint.as_ref().and_then(|endpoint| Spans::start(endpoint, config));
        Self { function, metrics, spans: spans.map(Arc::new) }
    }

    /// The one that the current work tells to.
    pub(super) fn current() -> Self {
        Context::map_current(|context| context.get::<Self>().cloned()).unwrap_or_default()
    }

    /// The same for the work of another function of this process.
    #[must_use]
    pub fn named(&self, function: &'static str) -> Self {
        Self { function, ..self.clone() }
    }

    pub(super) fn function(&self) -> &'static str {
        self.function
    }

    /// What is done in `work` is told here.
    pub fn around<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        work.with_context(self.context(&Context::current()))
    }

    /// As [`Telemetry::around`]; what was told has left before the work is over.
    pub async fn told<F: Future>(&self, work: F) -> F::Output {
        let done = self.around(work).await;
        self.flush().await;
        done
    }

    fn context(&self, parent: &Context) -> Context {
        parent.with_value(self.app()).with_value(self.clone())
    }

    fn app(&self) -> app::Telemetry {
        let function = self.function;
        let facts = self.metrics.clone().map(|metrics| {
            let take = move |fact: &TelemetryEvent| metrics.fact(function, fact);
            Arc::new(take) as Arc<dyn Fn(&TelemetryEvent) + Send + Sync>
        });
        app::Telemetry { facts, tracer: self.spans.as_ref().map(|spans| spans.tracer()) }
    }

    /// Begins the span of what came in from outside, as a part of the trace that came with it. Work inside the context that
    /// is returned is told here.
    pub(super) fn incoming(&self, traceparent: Option<&str>, describe: impl FnOnce() -> SpanBuilder) -> Context {
        let _inside = self.context(&continued(traceparent)).attach();
        self.app().span(describe)
    }

    /// The time by the clock of the metrics; `None` without any.
    pub(super) fn now(&self) -> Option<Timestamp> {
        Some(self.metrics.as_ref()?.clock().now())
    }

    pub(super) fn request(&self, end: &RequestEnd<'_>) {
        if let Some(metrics) = &self.metrics {
            metrics.request(end);
        }
    }

    pub(super) fn message(&self, end: &MessageEnd<'_>) {
        if let Some(metrics) = &self.metrics {
            metrics.message(end);
        }
    }

    /// Sends the spans that have ended, and gives up after half a second: a collector that is slow or dead holds no answer
    /// for longer, and fails none.
    pub async fn flush(&self) {
        if let Some(spans) = &self.spans {
            spans.flush().await;
        }
    }
}

/// Ends the span of what came in.
pub(super) fn end(span: &Context, attributes: Vec<KeyValue>, error: Option<String>) {
    let span = span.span();
    span.set_attributes(attributes);
    if let Some(error) = error {
        span.set_attribute(KeyValue::new("error.type", error.clone()));
        span.set_status(opentelemetry::trace::Status::error(error));
    }
    span.end();
}
