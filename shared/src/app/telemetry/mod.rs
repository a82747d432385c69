//! What operations tell beside their results: facts, of which metrics are made, and spans.
//!
//! It travels as `OpenTelemetry`'s context does, with the future that works on a request or a message. Without it nothing
//! is told and no span is made, and a trace that came with a request still goes on to whoever weir calls.

mod generation;
mod messages;
mod traceparent;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::{SpanBuilder, TraceContextExt as _, Tracer as _};
use opentelemetry_sdk::trace::SdkTracer;

use crate::model::money::MicroUsd;
use crate::model::tokens::Usage;

pub(super) use generation::Generation;
pub use traceparent::{continued, current_traceparent};
pub(super) use traceparent::{traceparent, within};

/// Something that happened and is counted, whoever asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TelemetryEvent {
    /// A background response was claimed for the first time.
    JobStarted { waited: Duration },
    /// A background response ended, or a delivery was attempted.
    JobEnded { outcome: &'static str },
    /// The books of a call were closed by somebody other than the request that made it.
    Booked { model: String, usage: Usage, cost: MicroUsd },
    /// A run was refused for money.
    BudgetRefused,
    /// A sweep is over.
    SweepReport { holds: u64 },
}

/// Takes facts.
pub type Listener = Arc<dyn Fn(&TelemetryEvent) + Send + Sync>;

/// Where a process tells what happens.
#[derive(Clone, Default)]
pub struct Telemetry {
    /// `None`: nobody wants facts.
    pub facts: Option<Listener>,
    /// Makes spans; `None`: none are made.
    pub tracer: Option<Tracer>,
}

/// Makes spans.
#[derive(Debug, Clone)]
pub struct Tracer {
    pub sdk: SdkTracer,
    /// Whether prompts and answers are recorded on spans.
    pub records_messages: bool,
}

impl Telemetry {
    /// The one that the current work tells to.
    #[must_use]
    pub fn current() -> Self {
        Context::map_current(|context| context.get::<Self>().cloned()).unwrap_or_default()
    }

    /// Begins a span below the current one, which is described only if it is made. It ends with its context's `span().end()`, or when the last context that has
    /// it is dropped.
    #[must_use]
    pub fn span(&self, describe: impl FnOnce() -> SpanBuilder) -> Context {
        let parent = Context::current();
        let Some(tracer) = &self.tracer else { return parent };
        let span = tracer.sdk.build_with_context(describe(), &parent);
        parent.with_span(span)
    }
}

/// Tells a fact to whoever the current work tells to.
pub fn tell(fact: &TelemetryEvent) {
    if let Some(facts) = Telemetry::current().facts {
        facts(fact);
    }
}
