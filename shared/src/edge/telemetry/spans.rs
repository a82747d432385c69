//! Spans, which are sent together when their request or message is over. A thread that sends them in the background
//! would stop while Lambda freezes the process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, Span, SpanData, SpanExporter as _, SpanProcessor};
use tokio::time::{Instant, timeout_at};

use super::super::config::TelemetryConfig;
use super::transport::Transport;
use crate::app::ErrorChain;
use crate::app::telemetry::Tracer;

/// The longest time that an answer waits for the collector.
const FLUSH: Duration = Duration::from_millis(500);
/// The pause after a failure of the collector, so that it does not delay every answer.
const PAUSE: Duration = Duration::from_secs(30);
/// The most spans that wait to be sent; further ones are dropped.
const MAX_WAITING: usize = 2_048;

/// Makes spans and sends them.
pub(super) struct Spans {
    provider: SdkTracerProvider,
    records_messages: bool,
    waiting: Waiting,
    /// Behind a lock, because the exporter allows one export at a time.
    exporter: tokio::sync::Mutex<Sender>,
}

struct Sender {
    exporter: SpanExporter,
    /// The end of the pause after a failure.
    pauses_until: Option<Instant>,
}

impl Spans {
    /// Starts the exporter. Returns `None`, and logs the reason, if the settings are wrong.
    pub(super) fn start(endpoint: &str, config: &TelemetryConfig) -> Option<Self> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Transport::default())
            .with_endpoint(endpoint)
            .with_protocol(Protocol::HttpBinary)
            // A retry would make the answer wait: a batch that fails is dropped.
            .with_retry_policy(RetryPolicy::disabled())
            .build();
        let mut exporter = exporter
            .inspect_err(
                |error| tracing::error!(error = %ErrorChain(error), "no spans: the settings of OTLP are wrong"),
            )
            .ok()?;
        // The builder reads `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME`.
        let mut resource = Resource::builder();
        if !config.service_is_named {
            resource = resource.with_service_name("weir");
        }
        let resource = resource.build();
        exporter.set_resource(&resource);
        let waiting = Waiting::default();
        let provider =
            SdkTracerProvider::builder().with_resource(resource).with_span_processor(waiting.clone()).build();
        Some(Self {
            provider,
            records_messages: config.records_messages,
            waiting,
            exporter: tokio::sync::Mutex::new(Sender { exporter, pauses_until: None }),
        })
    }

    pub(super) fn tracer(&self) -> Tracer {
        Tracer { sdk: self.provider.tracer("weir"), records_messages: self.records_messages }
    }

    /// Sends the spans that have ended.
    pub(super) async fn flush(&self) {
        if self.waiting.lock().is_empty() {
            return;
        }
        let until = Instant::now() + FLUSH;
        // If another request exports at the moment, it may send the spans of this one too. The wait for it counts against
        // the same time limit.
        let Ok(mut sender) = timeout_at(until, self.exporter.lock()).await else { return };
        if sender.pauses_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        let batch = std::mem::take(&mut *self.waiting.lock());
        if batch.is_empty() {
            return;
        }
        let spans = batch.len();
        let failure = match timeout_at(until, sender.exporter.export(batch)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(ErrorChain(&error).to_string()),
            Err(_) => Some(format!("no answer within {} ms", FLUSH.as_millis())),
        };
        sender.pauses_until = failure.is_some().then(|| Instant::now() + PAUSE);
        if let Some(error) = failure {
            tracing::warn!(
                error,
                spans,
                rest_s = PAUSE.as_secs(),
                "spans lost, the collector is left alone for a while"
            );
        }
    }
}

/// Spans that have ended and are not sent yet.
#[derive(Debug, Clone, Default)]
struct Waiting(Arc<Mutex<Vec<SpanData>>>);

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Vec<SpanData>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SpanProcessor for Waiting {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        let mut waiting = self.lock();
        if waiting.len() < MAX_WAITING {
            waiting.push(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(()) // `Spans::flush` sends them: unlike this function it is async.
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
