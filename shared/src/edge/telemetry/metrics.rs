//! Which metrics are made of what happened, and with which dimensions. `docs/telemetry.md` has the same table.
//!
//! A project is never a dimension: each combination of dimensions is a metric that costs by the month.

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
const JOBS: &[Set] = &[ALL, &["outcome"], &["function", "outcome"]];
const REQUESTS: &[Set] = &[ALL, &["outcome"], &["function", "outcome"], &["function", "model", "outcome"]];

/// The metrics of a process.
pub(super) struct Metrics {
    namespace: String,
    clock: Clock,
    output: Output,
}

/// A request whose answer has ended.
pub(crate) struct RequestEnd<'a> {
    pub(crate) function: &'a str,
    pub(crate) outcome: &'static str,
    /// Of a call of a model, as the catalog names it; else empty.
    pub(crate) model: &'a str,
    pub(crate) duration: Duration,
    /// When the first byte of a model's answer left.
    pub(crate) first_byte: Option<Duration>,
    pub(crate) is_stream: bool,
    pub(crate) facts: Option<&'a CallMetadata>,
    pub(crate) refused_for_money: bool,
}

/// A message that a worker is done with.
pub(crate) struct MessageEnd<'a> {
    pub(crate) function: &'a str,
    pub(crate) outcome: &'static str,
    /// When it was sent and when it came, where the queue says so.
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

    pub(super) fn request(&self, end: &RequestEnd<'_>) {
        let mut line = self.line(&[("function", end.function), ("model", end.model), ("outcome", end.outcome)]);
        line.add("Requests", COUNT, 1.0, REQUESTS);
        line.milliseconds("Latency", end.duration, BY_FUNCTION_AND_MODEL);
        if end.refused_for_money {
            line.add("BudgetRefusals", COUNT, 1.0, IN_ALL_AND_BY_FUNCTION);
        }
        if let Some(first) = end.first_byte.filter(|_| end.is_stream) {
            line.milliseconds("TimeToFirstChunk", first, BY_MODEL);
        }
        if let Some(facts) = end.facts {
            call(&mut line, facts, end.first_byte);
        }
        self.write(&line);
    }

    pub(super) fn message(&self, end: &MessageEnd<'_>) {
        let mut line = self.line(&[("function", end.function), ("outcome", end.outcome)]);
        line.add("Messages", COUNT, 1.0, BY_OUTCOME);
        if let Some(sent_at) = end.sent_at {
            let age = Duration::from_millis(sent_at.until(end.received_at));
            line.milliseconds("QueueAge", age, BY_FUNCTION);
        }
        self.write(&line);
    }

    pub(super) fn fact(&self, function: &str, fact: &TelemetryEvent) {
        let mut line = match fact {
            TelemetryEvent::Booked { model, .. } => self.line(&[("function", function), ("model", model)]),
            TelemetryEvent::JobEnded { outcome } => self.line(&[("function", function), ("outcome", outcome)]),
            _ => self.line(&[("function", function)]),
        };
        match fact {
            TelemetryEvent::JobStarted { waited } => line.milliseconds("JobStart", *waited, IN_ALL_AND_BY_FUNCTION),
            TelemetryEvent::JobEnded { .. } => line.add("Jobs", COUNT, 1.0, JOBS),
            TelemetryEvent::Booked { usage, cost, .. } => booked(&mut line, usage, *cost),
            TelemetryEvent::BudgetRefused => line.add("BudgetRefusals", COUNT, 1.0, IN_ALL_AND_BY_FUNCTION),
            TelemetryEvent::SweepReport { holds } => line.add("SweepReport", COUNT, number(*holds), BY_FUNCTION),
        }
        self.write(&line);
    }

    fn line(&self, dimensions: &[(&'static str, &str)]) -> Line {
        Line::new(self.clock.now(), dimensions)
    }

    fn write(&self, line: &Line) {
        let mut json = Vec::with_capacity(1_024);
        let written = line.write(&self.namespace, &mut json).and_then(|()| {
            // One write, so that lines of several threads do not mix.
            let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
            output.write_all(&json)?;
            output.flush()
        });
        if let Err(error) = written {
            tracing::warn!(%error, "metrics not written");
        }
    }
}

/// What is known of a call of a model when its answer has ended.
fn call(line: &mut Line, facts: &CallMetadata, first_byte: Option<Duration>) {
    // Who waited for another run of the same request waited for its provider.
    let own = facts.provider.is_some() || facts.cache == CacheOutcome::Hit;
    if let Some(first_byte) = first_byte.filter(|_| own && !facts.replayed) {
        line.milliseconds("AddedLatency", first_byte.saturating_sub(facts.provider_time), IN_ALL_AND_BY_FUNCTION);
    }
    match facts.cache {
        CacheOutcome::Hit => line.add("CacheHits", COUNT, 1.0, IN_ALL_AND_BY_MODEL),
        CacheOutcome::Miss => line.add("CacheMisses", COUNT, 1.0, IN_ALL_AND_BY_MODEL),
        CacheOutcome::Off => {}
    }
    if let Some(FinalUsage { usage, cost, .. }) = facts.closing.get().filter(|_| facts.provider.is_some()) {
        booked(line, usage, *cost);
    }
}

fn booked(line: &mut Line, usage: &Usage, cost: MicroUsd) {
    line.add("InputTokens", COUNT, number(usage.input), BY_MODEL);
    line.add("OutputTokens", COUNT, number(usage.output), BY_MODEL);
    line.add("CostUsd", NO_UNIT, number(cost.0) / 1_000_000.0, IN_ALL_AND_BY_MODEL);
}

/// A metric is a float in the end; the tokens of a call are far from where that matters.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
fn number(count: u64) -> f64 {
    count as f64
}
