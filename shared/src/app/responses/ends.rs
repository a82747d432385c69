//! How a worker's run of a response ends, and what a response says that failed.

use std::time::Duration;

use bytes::Bytes;

use super::accept::LOST_AFTER_MS;
use super::emit::{EventLog, EventSink, Stopped};
use super::stored::StoredRequest;
use crate::app::dispatch::ErrorChain;
use crate::app::error::Error;
use crate::app::gateway::Gateway;
use crate::app::telemetry::{TelemetryEvent, tell};
use crate::data::{Claimed, End, ResponseRecord};
use crate::dialects::openai_responses::{ResponseEvent, Status};
use crate::model::clock::Timestamp;
use crate::model::money::MicroUsd;
use crate::model::object::Object;
use crate::model::provider::Failure;
use crate::model::tokens::Usage;

/// What a response says that was given up for its age.
pub(super) const TOO_OLD: &str = "The response did not end within 24 hours.";

/// A response as a run ended it.
pub(super) struct Ended {
    pub(super) status: Status,
    pub(super) response: Object,
    pub(super) events: Vec<ResponseEvent>,
    pub(super) usage: Usage,
    pub(super) cost: MicroUsd,
}

impl Ended {
    /// The end as it is written: with the events that the log has not written yet.
    pub(super) fn written(&self, log: &mut EventLog, finished_at: Timestamp, due_at: Option<Timestamp>) -> End {
        let (events, first_sequence, next_sequence) = log.rest();
        End {
            status: self.status,
            response: self.response.to_bytes(),
            events,
            first_sequence,
            next_sequence,
            usage: self.usage,
            cost: self.cost,
            finished_at,
            due_at,
        }
    }
}

impl Gateway {
    pub(super) async fn end_run(&self, run: &ResponseRecord, mut sink: EventSink, ended: Ended) -> Result<(), Error> {
        sink.tell(&ended.events).await;
        let Some(mut log) = sink.log.take() else { return Ok(()) };
        let now = self.clock.now();
        let end = ended.written(&mut log, now, Some(now.plus_ms(LOST_AFTER_MS)));
        if self.finish_patiently(run, &end, None).await? {
            tell(&TelemetryEvent::JobEnded { outcome: end.status.name() });
            return self.follow_up(&finished(run, &end)).await;
        }
        let found = self.stores.response(&run.key).await?;
        self.stopped(run, Stopped(found.map(Box::new)), ended.usage, ended.cost).await
    }

    /// Writes the end of a run, again if the store fails: what was generated is paid for.
    pub(super) async fn finish_patiently(
        &self,
        record: &ResponseRecord,
        end: &End,
        claim: Option<&Claimed>,
    ) -> Result<bool, Error> {
        for _ in 0..2 {
            match self.stores.finish_response(record, end, claim).await {
                Ok(written) => return Ok(written),
                Err(error) => tracing::warn!(error = %ErrorChain(&error), "end of a response not written yet"),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(self.stores.finish_response(record, end, claim).await?)
    }

    /// The run may not go on. If its response was cancelled, the run knows best what it had used; if another run took
    /// over, that one has settled.
    pub(super) async fn stopped(
        &self,
        run: &ResponseRecord,
        found: Stopped,
        usage: Usage,
        cost: MicroUsd,
    ) -> Result<(), Error> {
        let Some(found) = found.0.filter(|found| found.fence == run.fence && found.status.is_terminal()) else {
            tracing::warn!(run = run.fence, "run lost its response to another");
            return Ok(());
        };
        self.settle_response(run, &usage, cost).await?;
        self.follow_up(&found).await
    }

    /// Ends a response as failed that no provider was called for in this run.
    pub(super) async fn end_unrun(
        &self,
        record: &ResponseRecord,
        skeleton: &Object,
        message: &str,
    ) -> Result<(), Error> {
        let (usage, cost) = self.charge(record);
        // The hold that waited for this run was not used; one of a run before was.
        let fresh = record.holding.as_ref().is_some_and(|holding| holding.fence == record.fence);
        let (usage, cost) = if fresh { (Usage::default(), MicroUsd(0)) } else { (usage, cost) };
        let end = self.failed_end(record, skeleton, message, usage, cost);
        if self.stores.finish_response(record, &end, None).await? {
            tell(&TelemetryEvent::JobEnded { outcome: end.status.name() });
            return self.follow_up(&finished(record, &end)).await;
        }
        Ok(())
    }

    /// The end of a response that failed without a stream of its own.
    pub(super) fn failed_end(
        &self,
        record: &ResponseRecord,
        skeleton: &Object,
        message: &str,
        usage: Usage,
        cost: MicroUsd,
    ) -> End {
        let response = crate::dialects::openai_responses::failed_response(skeleton, "server_error", message);
        let now = self.clock.now();
        End {
            status: Status::Failed,
            events: ResponseEvent::failed(record.next_sequence, &response).sse(),
            response: response.to_bytes(),
            first_sequence: record.next_sequence,
            next_sequence: record.next_sequence + 1,
            usage,
            cost,
            finished_at: now,
            due_at: Some(now.plus_ms(LOST_AFTER_MS)),
        }
    }
}

/// The response before anything was generated, from what was kept of its request; empty if that cannot be read.
pub(super) fn skeleton_of(kept: Option<&Bytes>) -> Object {
    kept.and_then(|kept| StoredRequest::read(kept).ok()).map(|request| request.skeleton).unwrap_or_default()
}

/// The record as an end that was written left it.
pub(super) fn finished(record: &ResponseRecord, end: &End) -> ResponseRecord {
    ResponseRecord {
        status: end.status,
        next_sequence: end.next_sequence,
        finished_at: Some(end.finished_at),
        usage: end.usage,
        cost: end.cost,
        due_at: end.due_at,
        ..record.clone()
    }
}
/// What a response that failed says of it: OpenAI's code, and a message.
pub(super) fn told(error: &Error) -> (&'static str, String) {
    match error {
        Error::Provider { source: Failure::Throttled { .. }, .. } => ("rate_limit_exceeded", error_text(error)),
        Error::Provider { source: Failure::Refused { refusal, .. }, .. } => ("invalid_prompt", refusal.message.clone()),
        other => ("server_error", error_text(other)),
    }
}

fn error_text(error: &Error) -> String {
    match error {
        Error::Provider { provider, attempts, source } => {
            format!("The provider `{provider}` gave no answer after {attempts} attempts: {source}.")
        }
        Error::Internal { .. } => "The server had an error while making the response.".to_owned(),
        other => other.to_string(),
    }
}
