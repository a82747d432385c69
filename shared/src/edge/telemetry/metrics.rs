//! The metrics and their dimensions. `docs/telemetry.md` has the same table.
//!
//! A project is never a dimension: CloudWatch bills each combination of dimensions by the month.

use std::sync::PoisonError;
use std::time::Duration;

use super::Output;
use super::emf::{COUNT, Line, NO_UNIT, Set};
use crate::app::telemetry::TelemetryEvent;
use crate::app::{CacheOutcome, CallMetadata, FinalUsage};
use crate::model::clock::{Clock, Timestamp};
use crate::model::money::MicroUsd;
use crate::model::tokens::Usage;

const ALL: Set = &[];
const BY_FUNCTION: &[Set] = &[&["function"]];
const BY_MODEL: &[Set] = &[&["function", "model"]];
const IN_ALL_AND_BY_FUNCTION: &[Set] = &[ALL, &["function"]];
const IN_ALL_AND_BY_MODEL: &[Set] = &[ALL, &["function", "model"]];
const BY_FUNCTION_AND_MODEL: &[Set] = &[&["function"], &["function", "model"]];
const BY_OUTCOME: &[Set] = &[&["function", "outcome"]];
const BREAKERS: &[Set] = &[ALL, &["function"], &["provider"]];
const JOBS: &[Set] = &[ALL, &["outcome"], &["function", "outcome"]];
const REQUESTS: &[Set] = &[ALL, &["outcome"], &["function", "outcome"], &["function", "model", "outcome"]];

/// The metrics of a process.
pub(super) struct Metrics {
    namespace: String,
    clock: Clock,
    output: Output,
}

/// The end of a request.
pub(crate) struct RequestEnd<'a> {
    pub(crate) function: &'a str,
    pub(crate) outcome: &'static str,
    /// The model of a call, as the catalog names it; empty for other requests.
    pub(crate) model: &'a str,
    pub(crate) duration: Duration,
    /// The time until the first byte of a model's answer left.
    pub(crate) first_byte: Option<Duration>,
    pub(crate) is_stream: bool,
    /// The metadata of a call of a model that was answered.
    pub(crate) metadata: Option<&'a CallMetadata>,
    /// The charge for a call that failed.
    pub(crate) charged: Option<FinalUsage>,
    pub(crate) is_budget_refusal: bool,
    /// The request carried a key that is not taken.
    pub(crate) is_key_refusal: bool,
}

/// The end of a worker's work on a message.
pub(crate) struct MessageEnd<'a> {
    pub(crate) function: &'a str,
    pub(crate) outcome: &'static str,
    /// The time at which it was sent; `None` if the queue does not report it.
    pub(crate) sent_at: Option<Timestamp>,
    pub(crate) received_at: Timestamp,
}

impl Metrics {
    pub(super) fn new(namespace: String, clock: Clock, output: Output) -> Self {
        Self { namespace, clock, output }
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) fn record_request(&self, end: &RequestEnd<'_>) {
        let mut line = self.line(&[("function", end.function), ("model", end.model), ("outcome", end.outcome)]);
        line.add("Requests", COUNT, 1.0, REQUESTS);
        line.milliseconds("Latency", end.duration, BY_FUNCTION_AND_MODEL);
        if end.is_budget_refusal {
            line.add("BudgetRefusals", COUNT, 1.0, IN_ALL_AND_BY_FUNCTION);
        }
        if end.is_key_refusal {
            line.add("RefusedKeys", COUNT, 1.0, IN_ALL_AND_BY_FUNCTION);
        }
        if let Some(first) = end.first_byte.filter(|_| end.is_stream) {
            line.milliseconds("TimeToFirstChunk", first, BY_MODEL);
        }
        if let Some(metadata) = end.metadata {
            add_call(&mut line, metadata, end.first_byte);
        }
        if let Some(FinalUsage { usage, cost, .. }) = &end.charged {
            add_usage(&mut line, usage, *cost);
        }
        self.write(&line);
    }

    pub(super) fn record_message(&self, end: &MessageEnd<'_>) {
        let mut line = self.line(&[("function", end.function), ("outcome", end.outcome)]);
        line.add("Messages", COUNT, 1.0, BY_OUTCOME);
        if let Some(sent_at) = end.sent_at {
            let age = Duration::from_millis(sent_at.until(end.received_at));
            line.milliseconds("QueueAge", age, BY_FUNCTION);
        }
        self.write(&line);
    }

    pub(super) fn record_event(&self, function: &str, event: &TelemetryEvent) {
        let mut line = match event {
            TelemetryEvent::Settled { model, .. } | TelemetryEvent::ExcessReported { model, .. } => {
                self.line(&[("function", function), ("model", model)])
            }
            TelemetryEvent::JobEnded { outcome } => self.line(&[("function", function), ("outcome", outcome)]),
            TelemetryEvent::BreakerOpened { provider } => self.line(&[("function", function), ("provider", provider)]),
            _ => self.line(&[("function", function)]),
        };
        match event {
            TelemetryEvent::JobStarted { waited } => line.milliseconds("JobStart", *waited, IN_ALL_AND_BY_FUNCTION),
            TelemetryEvent::JobEnded { .. } => line.add("Jobs", COUNT, 1.0, JOBS),
            TelemetryEvent::Settled { usage, cost, .. } => add_usage(&mut line, usage, *cost),
            TelemetryEvent::BudgetRefused => line.add("BudgetRefusals", COUNT, 1.0, IN_ALL_AND_BY_FUNCTION),
            TelemetryEvent::BreakerOpened { .. } => line.add("BreakerOpenings", COUNT, 1.0, BREAKERS),
            TelemetryEvent::ExcessReported { excess, .. } => {
                line.add("ExcessCost", NO_UNIT, excess.dollars(), IN_ALL_AND_BY_MODEL)
            }
            TelemetryEvent::Swept { reservations_settled } => {
                line.add("Swept", COUNT, number(*reservations_settled), BY_FUNCTION)
            }
        }
        self.write(&line);
    }

    fn line(&self, dimensions: &[(&'static str, &str)]) -> Line {
        Line::new(self.clock.now(), dimensions)
    }

    fn write(&self, line: &Line) {
        let mut json = Vec::with_capacity(1_024);
        let written = line.write(&self.namespace, &mut json).and_then(|()| {
            // The lock and the single write keep the lines of several threads apart.
            let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
            output.write_all(&json)?;
            output.flush()
        });
        if let Err(error) = written {
            tracing::warn!(%error, "metrics not written");
        }
    }
}

/// Adds the metrics of a call of a model whose answer has ended.
fn add_call(line: &mut Line, metadata: &CallMetadata, first_byte: Option<Duration>) {
    // A request that waited for another run of itself also waited for that run's provider: that time is not weir's.
    let is_own_run = metadata.provider.is_some() || metadata.cache == CacheOutcome::Hit;
    if let Some(first_byte) = first_byte.filter(|_| is_own_run && !metadata.replayed) {
        let added = first_byte.saturating_sub(metadata.provider_time);
        line.milliseconds("AddedLatency", added, IN_ALL_AND_BY_FUNCTION);
    }
    match metadata.cache {
        CacheOutcome::Hit => line.add("CacheHits", COUNT, 1.0, IN_ALL_AND_BY_MODEL),
        CacheOutcome::Miss => line.add("CacheMisses", COUNT, 1.0, IN_ALL_AND_BY_MODEL),
        CacheOutcome::Off => {}
    }
    if let Some(FinalUsage { usage, cost, .. }) = metadata.final_usage.get().filter(|_| metadata.provider.is_some()) {
        add_usage(line, usage, *cost);
    }
}

fn add_usage(line: &mut Line, usage: &Usage, cost: MicroUsd) {
    line.add("InputTokens", COUNT, number(usage.input), BY_MODEL);
    line.add("OutputTokens", COUNT, number(usage.output), BY_MODEL);
    line.add("CostUsd", NO_UNIT, number(cost.0) / 1_000_000.0, IN_ALL_AND_BY_MODEL);
}

/// A count as the float that the format wants.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
fn number(count: u64) -> f64 {
    count as f64
}
