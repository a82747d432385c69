//! Spans wait until what they belong to is over, then go to the collector at once: no thread of their own would run while
//! Lambda freezes the process.

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

/// The longest that an answer waits for the collector.
const FLUSH: Duration = Duration::from_millis(500);
/// A collector that failed is left alone for this time, so that it does not hold every answer.
const REST: Duration = Duration::from_secs(30);
/// Spans that wait; what comes when there are so many is dropped.
const MAX_WAITING: usize = 2_048;

/// Makes spans and sends them.
pub(super) struct Spans {
    provider: SdkTracerProvider,
    records_messages: bool,
    waiting: Waiting,
    /// One export at a time, as the exporter demands; and until when the collector is left alone.
    exporter: tokio::sync::Mutex<Sender>,
}

struct Sender {
    exporter: SpanExporter,
    rests_until: Option<Instant>,
}

impl Spans {
    /// `None` if the settings do not make an exporter; the log says why.
    pub(super) fn start(endpoint: &str, config: &TelemetryConfig) -> Option<Self> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Transport::default())
            .with_endpoint(endpoint)
            .with_protocol(Protocol::HttpBinary)
            // What is not taken in time is not worth a thread that sleeps.
            .with_retry_policy(RetryPolicy::disabled())
            .build();
        let mut exporter = exporter
            .inspect_err(
                |error| tracing::error!(error = %ErrorChain(error), "no spans: the settings of OTLP are wrong"),
            )
            .ok()?;
        // Reads `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME`.
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
            exporter: tokio::sync::Mutex::new(Sender { exporter, rests_until: None }),
        })
    }

    pub(super) fn tracer(&self) -> Tracer {
        Tracer { sdk: self.provider.tracer("weir"), records_messages: self.records_messages }
    }

    pub(super) async fn flush(&self) {
        if self.waiting.lock().is_empty() {
            return;
        }
        let until = Instant::now() + FLUSH;
        // Whoever exports at the moment takes what is there: it is not waited for longer than one would export oneself.
        let Ok(mut sender) = timeout_at(until, self.exporter.lock()).await else { return };
        if sender.rests_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        let batch = std::mem::take(&mut *self.waiting.lock());
        if batch.is_empty() {
            return;
        }
        let spans = batch.len();
        let failed = match timeout_at(until, sender.exporter.export(batch)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(ErrorChain(&error).to_string()),
            Err(_) => Some(format!("no answer within {} ms", FLUSH.as_millis())),
        };
        sender.rests_until = failed.is_some().then(|| Instant::now() + REST);
        if let Some(error) = failed {
            tracing::warn!(
                error,
                spans,
                rest_s = REST.as_secs(),
                "spans lost, the collector is left alone for a while"
            );
        }
    }
}

/// Spans that have ended and were not sent yet.
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
        Ok(()) // `Spans::flush` does it, which can wait.
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
