//! Telemetry of operations: events, from which metrics are computed, and spans.
//!
//! A [`Telemetry`] travels in the `OpenTelemetry` context of the future that handles a request or a message. Without one,
//! no events are recorded and no spans are made. A trace that came with the request still continues in the requests that
//! weir sends.

mod generation;
mod traceparent;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::{SpanBuilder, TraceContextExt as _, Tracer as _};
use opentelemetry_sdk::trace::SdkTracer;

use crate::model::money::MicroUsd;
use crate::model::tokens::Usage;

pub(super) use generation::Generation;
pub use traceparent::{continue_trace, current_traceparent};
pub(super) use traceparent::{traceparent, traceparent_after};

/// An event that metrics count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TelemetryEvent {
    /// A worker claimed a background response for the first time. `waited` is the time since its creation.
    JobStarted { waited: Duration },
    /// A background response ended, or a delivery was attempted.
    JobEnded { outcome: &'static str },
    /// A call was settled outside of the request that made it: by a worker or by the sweeper.
    Settled { model: String, usage: Usage, cost: MicroUsd },
    /// A run was refused because of the project's budget.
    BudgetRefused,
    /// This process opened the breaker of one of the provider's targets.
    BreakerOpened { provider: String },
    /// A provider reported more than the call could use.
    ExcessReported { model: String, excess: MicroUsd },
    /// A sweep ended.
    Swept { reservations_settled: u64 },
}

/// Receives telemetry events.
pub type EventListener = Arc<dyn Fn(&TelemetryEvent) + Send + Sync>;

/// The receivers of the telemetry of some work.
#[derive(Clone, Default)]
pub struct Telemetry {
    /// Receives the events. Without it, events are discarded.
    pub listener: Option<EventListener>,
    /// Makes the spans. Without it, no spans are made.
    pub tracer: Option<Tracer>,
}

/// Makes spans.
#[derive(Debug, Clone)]
pub struct Tracer {
    pub sdk: SdkTracer,
    /// Whether spans contain the prompts and answers.
    pub records_messages: bool,
}

impl Telemetry {
    /// Returns the telemetry of the current context. The default is returned if the context has none.
    #[must_use]
    pub fn current() -> Self {
        Context::map_current(|context| context.get::<Self>().cloned()).unwrap_or_default()
    }

    /// Begins a span below the current one. `describe` is called only if the span is made.
    ///
    /// The span ends with `span().end()` of the returned context, or when the last clone of that context is dropped.
    #[must_use]
    pub fn span(&self, describe: impl FnOnce() -> SpanBuilder) -> Context {
        let parent = Context::current();
        let Some(tracer) = &self.tracer else { return parent };
        let span = tracer.sdk.build_with_context(describe(), &parent);
        parent.with_span(span)
    }
}

/// Sends an event to the listener of the current context.
pub fn record(event: &TelemetryEvent) {
    if let Some(listener) = Telemetry::current().listener {
        listener(event);
    }
}
