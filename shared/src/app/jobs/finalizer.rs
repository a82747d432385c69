//! The end of a response, and the work that follows it: its reservation is settled, its conversation gets the turn, its
//! webhooks are announced.
//!
//! All of it is safe to repeat, and a response stays due until all of it is done.

use std::sync::Arc;
use std::time::Duration;

use crate::app::admission::Admitted;
use crate::app::conversations::Conversations;
use crate::app::error::Error;
use crate::app::generation::{failed_end, finished_record, read_output, read_request};
use crate::app::ledger::{Account, Ledger};
use crate::app::pipeline::UsageMeter;
use crate::app::telemetry::{self, TelemetryEvent, traceparent_after};
use crate::app::webhooks::Announcer;
use crate::data::{
    JobRecords, KeyCompletion, ResponseEnd, ResponseRecord, ResponseRecords, StoreError, StoredReservation, Turn,
    WriteOutcome,
};
use crate::dialects::openai_chat::bound::estimated_usage;
use crate::dialects::openai_responses::Status;
use crate::model::clock::{Clock, Timestamp};
use crate::model::error_chain::ErrorChain;
use crate::model::money::MicroUsd;
use crate::model::object::Object;
use crate::model::tokens::{Bound, Usage};
use crate::model::usage::Operation;
use crate::model::webhook::{EventType, WebhookEvent};

/// Ends responses and does the work that follows.
pub(in crate::app) struct Finalizer {
    pub(in crate::app) records: ResponseRecords,
    pub(in crate::app) jobs: JobRecords,
    pub(in crate::app) ledger: Arc<Ledger>,
    pub(in crate::app) conversations: Arc<Conversations>,
    pub(in crate::app) announcer: Announcer,
    pub(in crate::app) clock: Clock,
}

impl Finalizer {
    /// Writes the end of a run, again if the store fails: the generated answer is paid for.
    ///
    /// # Errors
    /// If a store fails three times.
    pub(in crate::app) async fn finish(
        &self,
        run: &ResponseRecord,
        end: &ResponseEnd,
        key: Option<&KeyCompletion>,
    ) -> Result<WriteOutcome, StoreError> {
        for _ in 0..2 {
            match self.records.finish(run, end, key).await {
                Ok(outcome) => return Ok(outcome),
                Err(error) => tracing::warn!(error = %ErrorChain(&error), "end of a response not written yet"),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        self.records.finish(run, end, key).await
    }

    /// Ends a response as failed that no provider was called for in this run.
    pub(super) async fn fail_unstarted(
        &self,
        record: &ResponseRecord,
        skeleton: &Object,
        message: &str,
    ) -> Result<(), Error> {
        // The reservation that waited for this run was not used; the one of an earlier run was.
        let is_unused = record.reservation.as_ref().is_some_and(|stored| stored.fence == record.fence);
        let charge = if is_unused { (Usage::default(), MicroUsd(0)) } else { self.charge_of_dead_run(record) };
        self.fail(record, skeleton, message, charge).await
    }

    /// Ends a response as failed.
    pub(super) async fn fail(
        &self,
        record: &ResponseRecord,
        skeleton: &Object,
        message: &str,
        charge: (Usage, MicroUsd),
    ) -> Result<(), Error> {
        let end = failed_end(record, skeleton, message, charge, self.clock.now());
        match self.records.finish(record, &end, None).await? {
            WriteOutcome::Written => self.finalize_ended(record, &end).await,
            WriteOutcome::Refused => Ok(()),
        }
    }

    /// Ends a response that no process runs.
    pub(super) async fn abandon(&self, record: &ResponseRecord, skeleton: &Object, message: &str) -> Result<(), Error> {
        let charge = self.charge_of_dead_run(record);
        let end = failed_end(record, skeleton, message, charge, self.clock.now());
        match self.records.abandon(record, &end).await? {
            WriteOutcome::Written => self.finalize_ended(record, &end).await,
            WriteOutcome::Refused => Ok(()),
        }
    }

    /// Does the work that follows an end that was written just now.
    ///
    /// # Errors
    /// If a store fails; the response stays due.
    pub(super) async fn finalize_ended(&self, record: &ResponseRecord, end: &ResponseEnd) -> Result<(), Error> {
        if record.background {
            telemetry::record(&TelemetryEvent::JobEnded { outcome: end.status.name() });
        }
        self.finalize(&finished_record(record, end)).await
    }

    /// Does the work that follows the end of a response, and marks it as done.
    ///
    /// # Errors
    /// If a store fails; the response stays due.
    pub(super) async fn finalize(&self, record: &ResponseRecord) -> Result<(), Error> {
        let (usage, cost) = match record.status {
            Status::Cancelled => self.charge_of_dead_run(record),
            _ => (record.usage, record.cost),
        };
        self.settle(record, &usage, cost).await?;
        // The turn first: a receiver of the webhook may continue the conversation at once.
        self.append_turn(record).await?;
        self.announce(record).await?;
        Ok(self.jobs.mark_finalized(&record.key).await?)
    }

    /// Does the work that follows a cancellation. If a worker runs the response, only the worker knows its usage: it
    /// settles, or the sweeper if it died. The sweeper also repeats the steps that fail here.
    pub(super) async fn finalize_cancelled(&self, record: &ResponseRecord) {
        let is_running = record.reservation.as_ref().is_none_or(|stored| stored.fence <= record.fence);
        let done = if is_running { self.announce(record).await } else { self.finalize_unstarted(record).await };
        if let Err(error) = done {
            tracing::error!(error = %ErrorChain(&error), "cancelled response not finalized, the sweeper will");
        }
    }

    /// As [`Finalizer::finalize`], for a response that no run has touched: it cost nothing and is no turn.
    async fn finalize_unstarted(&self, record: &ResponseRecord) -> Result<(), Error> {
        self.settle(record, &Usage::default(), MicroUsd(0)).await?;
        self.announce(record).await?;
        Ok(self.jobs.mark_finalized(&record.key).await?)
    }

    /// Settles the reservation of a response, once.
    ///
    /// # Errors
    /// If the table fails; repeat it.
    pub(super) async fn settle(&self, record: &ResponseRecord, usage: &Usage, cost: MicroUsd) -> Result<(), Error> {
        let Some(stored) = &record.reservation else { return Ok(()) };
        let admitted = Admitted::from_stored(stored, &record.key.project_id, &record.model);
        let account = Account {
            project_id: &record.key.project_id,
            api_key_id: &record.api_key_id,
            model: &record.model,
            operation: Operation::Completions,
        };
        Ok(self.ledger.settle_once(&account, &admitted, usage, cost).await?)
    }

    /// The charge for a run of which only the record is left: all of its input, and the output that it had written.
    /// Nothing for a reservation that no run has used.
    pub(super) fn charge_of_dead_run(&self, record: &ResponseRecord) -> (Usage, MicroUsd) {
        let Some(stored) = record.reservation.as_ref().filter(|stored| stored.fence <= record.fence) else {
            return (Usage::default(), MicroUsd(0));
        };
        let usage = estimated_usage(&stored.bound, record.output_bytes);
        (usage, highest_cost(stored, usage))
    }

    /// The charge for a run that panicked in this process: nothing if it had called no provider, else its usage so far.
    pub(super) fn charge_of_panicked_run(&self, record: &ResponseRecord, used: &UsageMeter) -> (Usage, MicroUsd) {
        match record.reservation.as_ref().filter(|stored| stored.fence == record.fence) {
            Some(_) if !used.is_sent() => (Usage::default(), MicroUsd(0)),
            Some(stored) => {
                let usage = used.total(&stored.bound);
                (usage, highest_cost(stored, usage))
            }
            // The panic came before this run had a reservation of its own.
            None => self.charge_of_dead_run(record),
        }
    }

    async fn announce(&self, record: &ResponseRecord) -> Result<(), Error> {
        let Some(finished_at) = record.finished_at.filter(|_| record.background) else { return Ok(()) };
        let event_type = match record.status {
            Status::Completed => EventType::ResponseCompleted,
            Status::Incomplete => EventType::ResponseIncomplete,
            Status::Failed => EventType::ResponseFailed,
            Status::Cancelled => EventType::ResponseCancelled,
            Status::Queued | Status::InProgress => return Ok(()),
        };
        let event = WebhookEvent::new(event_type, &record.key.response_id, finished_at);
        let traceparent = traceparent_after(record.traceparent.as_deref());
        self.announcer.announce(&record.key.project_id, &event, traceparent.as_deref()).await
    }

    /// Adds the turn of a background response to its conversation.
    async fn append_turn(&self, record: &ResponseRecord) -> Result<(), Error> {
        let (Some(conversation_id), Status::Completed | Status::Incomplete) = (&record.conversation_id, record.status)
        else {
            return Ok(());
        };
        let Some(stored) = self.records.get_stored(&record.key, self.clock.now()).await? else { return Ok(()) };
        let request = read_request(&stored.request)?;
        let mut items = request.input();
        items.extend(stored.response.map(|response| read_output(&response)).transpose()?.unwrap_or_default());
        let turn = Turn { at: Timestamp(request.turn_at), id: record.key.response_id.clone() };
        self.conversations.append_turn(&record.key.project_id, conversation_id, &turn, &items).await
    }
}

/// The most that a usage can cost at the price of its reservation.
fn highest_cost(stored: &StoredReservation, usage: Usage) -> MicroUsd {
    let bound = Bound { input: usage.input, output: usage.output };
    stored.price.map_or(MicroUsd(0), |price| price.worst_case(&bound)).min(stored.amount)
}
