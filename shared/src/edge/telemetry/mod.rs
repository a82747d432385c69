//! Telemetry of a function: log lines and metrics on standard output, spans to a collector.
//!
//! All of it leaves the process before the answer or the batch ends, because Lambda freezes the process after that.

mod emf;
mod filter;
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
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

pub use filter::{LogFilter, LogFilterError};
pub(super) use metrics::{MessageEnd, RequestEnd};

use super::config::{Config, TelemetryConfig};
use crate::app::telemetry::{self as app, EventListener, TelemetryEvent, continue_trace};
use crate::model::clock::{Clock, Timestamp};
use metrics::Metrics;
use spans::Spans;

/// The writer that takes the metrics of a process.
pub type Output = Arc<Mutex<dyn Write + Send>>;

/// The telemetry of a function. Clones share metrics and spans; the default records nothing.
#[derive(Clone, Default)]
pub struct Telemetry {
    /// The function whose work is recorded; empty outside of functions.
    function: &'static str,
    metrics: Option<Arc<Metrics>>,
    spans: Option<Arc<Spans>>,
}

/// Starts the log, and metrics and spans if the settings ask for them.
pub fn start(function: &'static str, config: &Config) -> Telemetry {
    init_log(config.log_level.as_ref().unwrap_or(&LogFilter::default()));
    if let Err(error) = &config.log_level {
        // A function that logs too much or too little is better than one that does not start.
        tracing::error!(%error, "LOG_LEVEL is wrong, the log is at `info`");
    }
    Telemetry::start(function, &config.telemetry)
}

/// Starts logging to standard output, one JSON object per line.
pub fn init_log(filter: &LogFilter) {
    init_log_to(filter, std::io::stdout);
}

/// Starts logging as [`init_log`] does, to another writer.
pub fn init_log_to<W>(filter: &LogFilter, output: W)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let json = tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(false);
    let lines = json.with_writer(output).with_filter(filter.layer());
    // It fails if the log runs already, as in tests. Then the first writer stays.
    let _ = tracing_subscriber::registry().with(lines).try_init();
}

/// Records the requests of a router.
pub fn observe(router: Router, telemetry: Telemetry) -> Router {
    router.layer(middleware::from_fn(move |request: Request, next: Next| telemetry.observe(next.run(request))))
}

/// The function that answered a request, in a process that runs several.
#[derive(Clone, Copy)]
pub(super) struct Function(pub(super) &'static str);

/// Records the requests of a router as the work of `function`, in a process that runs several functions.
pub fn observe_as(router: Router, function: &'static str) -> Router {
    router.route_layer(middleware::from_fn(move |request: Request, next: Next| async move {
        let mut response = Telemetry::current().for_function(function).observe(next.run(request)).await;
        response.extensions_mut().insert(Function(function));
        response
    }))
}

impl Telemetry {
    /// Starts metrics to standard output, and spans over the HTTP client of the AWS SDK.
    #[must_use]
    pub fn start(function: &'static str, config: &TelemetryConfig) -> Self {
        let output: Output = Arc::new(Mutex::new(std::io::stdout()));
        Self::start_with(function, config, &Clock::system(), output)
    }

    /// Starts as [`Telemetry::start`] does, with another writer for the metrics and another clock for their time.
    #[must_use]
    pub fn start_with(function: &'static str, config: &TelemetryConfig, clock: &Clock, output: Output) -> Self {
        let metrics = config.metrics_namespace.clone();
        let metrics = metrics.map(|namespace| Arc::new(Metrics::new(namespace, clock.clone(), output)));
        let spans = config.traces_endpoint.as_ref().and_then(|endpoint| Spans::start(endpoint, config));
        Self { function, metrics, spans: spans.map(Arc::new) }
    }

    /// The telemetry of the running request or message; the default outside of them.
    pub(super) fn current() -> Self {
        Context::map_current(|context| context.get::<Self>().cloned()).unwrap_or_default()
    }

    /// The same telemetry for another function of this process.
    #[must_use]
    pub fn for_function(&self, function: &'static str) -> Self {
        Self { function, ..self.clone() }
    }

    pub(super) fn function(&self) -> &'static str {
        self.function
    }

    /// Runs `work` with this telemetry as the current one.
    pub fn observe<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        work.with_context(self.context(&Context::current()))
    }

    /// Runs `work` as [`Telemetry::observe`] does, and then [flushes](Telemetry::flush).
    pub async fn observe_and_flush<F: Future>(&self, work: F) -> F::Output {
        let output = self.observe(work).await;
        self.flush().await;
        output
    }

    fn context(&self, parent: &Context) -> Context {
        parent.with_value(self.app()).with_value(self.clone())
    }

    /// The part that operations use.
    fn app(&self) -> app::Telemetry {
        let function = self.function;
        let listener = self.metrics.clone().map(|metrics| {
            let listen = move |event: &TelemetryEvent| metrics.record_event(function, event);
            Arc::new(listen) as EventListener
        });
        app::Telemetry { listener, tracer: self.spans.as_ref().map(|spans| spans.tracer()) }
    }

    /// Starts the span of a request or a message that came from outside. It continues the trace of `traceparent`. Work
    /// within the returned context uses this telemetry.
    pub(super) fn start_span(&self, traceparent: Option<&str>, describe: impl FnOnce() -> SpanBuilder) -> Context {
        let _inside = self.context(&continue_trace(traceparent)).attach();
        self.app().span(describe)
    }

    /// The time by the clock of the metrics; `None` if there are no metrics.
    pub(super) fn now(&self) -> Option<Timestamp> {
        Some(self.metrics.as_ref()?.clock().now())
    }

    pub(super) fn record_request(&self, end: &RequestEnd<'_>) {
        if let Some(metrics) = &self.metrics {
            metrics.record_request(end);
        }
    }

    pub(super) fn record_message(&self, end: &MessageEnd<'_>) {
        if let Some(metrics) = &self.metrics {
            metrics.record_message(end);
        }
    }

    /// Sends the spans that have ended. Gives up after half a second, so that a slow or dead collector delays an answer
    /// no longer than that; an answer never fails because of it.
    pub async fn flush(&self) {
        if let Some(spans) = &self.spans {
            spans.flush().await;
        }
    }
}

/// Ends the span of a request or a message.
pub(super) fn end_span(span: &Context, attributes: Vec<KeyValue>, error: Option<String>) {
    let span = span.span();
    span.set_attributes(attributes);
    if let Some(error) = error {
        span.set_attribute(KeyValue::new("error.type", error.clone()));
        span.set_status(opentelemetry::trace::Status::error(error));
    }
    span.end();
}
