//! The end of a response, and the work that follows it: its reservation is settled, its conversation gets the turn, its
//! webhooks are announced.
//!
//! All of it is safe to repeat, and a response stays due until all of it is done.

use std::sync::Arc;
use std::time::Duration;

use crate::app::conversations::Conversations;
use crate::app::dispatch::UsageMeter;
use crate::app::error::Error;
use crate::app::generation::{failed_end, read_output, read_request};
use crate::app::ledger::{Account, Ledger};
use crate::app::telemetry::{self, TelemetryEvent, traceparent_after};
use crate::app::webhooks::Announcer;
use crate::data::{
    ConversationKey, JobRecords, KeyCompletion, ResponseEnd, ResponseRecord, ResponseRecords, StoreError,
    StoredReservation, Turn, WriteOutcome,
};
use crate::model::clock::{Clock, Timestamp};
use crate::model::error_chain::ErrorChain;
use crate::model::object::Object;
use crate::model::response::Status;
use crate::model::tokens::{Charge, Usage};
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
    pub(in crate::app) async fn end_run(
        &self,
        run: &ResponseRecord,
        end: &ResponseEnd,
        key: Option<&KeyCompletion>,
    ) -> Result<WriteOutcome, StoreError> {
        for _ in 0..2 {
            match self.records.end_run(run, end, key).await {
                Ok(outcome) => return Ok(outcome),
                Err(error) => tracing::warn!(error = %ErrorChain(&error), "end of a response not written yet"),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        self.records.end_run(run, end, key).await
    }

    /// Ends a response as failed that no provider was called for in this run.
    pub(super) async fn end_unstarted(
        &self,
        record: &ResponseRecord,
        skeleton: &Object,
        message: &str,
    ) -> Result<(), Error> {
        // The reservation that waited for this run was not used; the one of an earlier run was.
        let charge = match record.own_reservation() {
            Some(_) => Charge::default(),
            None => self.charge_of_dead_run(record),
        };
        self.end_failed(record, skeleton, message, charge).await
    }

    /// Ends a run as failed.
    pub(super) async fn end_failed(
        &self,
        record: &ResponseRecord,
        skeleton: &Object,
        message: &str,
        charge: Charge,
    ) -> Result<(), Error> {
        let end = failed_end(record, skeleton, message, charge, self.clock.now());
        match self.records.end_run(record, &end, None).await? {
            WriteOutcome::Written => self.finalize_ended(record, &end).await,
            WriteOutcome::Refused => Ok(()),
        }
    }

    /// Ends a response as failed that no process runs.
    pub(super) async fn end_abandoned(
        &self,
        record: &ResponseRecord,
        skeleton: &Object,
        message: &str,
    ) -> Result<(), Error> {
        let end = failed_end(record, skeleton, message, self.charge_of_dead_run(record), self.clock.now());
        match self.records.end_abandoned(record, &end).await? {
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
        let &ResponseEnd { status, charge, finished_at, .. } = end;
        self.finalize(&ResponseRecord { status, charge, finished_at: Some(finished_at), ..record.clone() }).await
    }

    /// Does the work that follows the end of a response, and marks it as done.
    ///
    /// # Errors
    /// If a store fails; the response stays due.
    pub(super) async fn finalize(&self, record: &ResponseRecord) -> Result<(), Error> {
        let charge = match record.status {
            Status::Cancelled => self.charge_of_dead_run(record),
            _ => record.charge,
        };
        self.settle(record, charge).await?;
        // The turn first: a receiver of the webhook may continue the conversation at once.
        self.append_turn(record).await?;
        self.announce(record).await?;
        if let Some(erased_at) = record.erased_at() {
            self.records.erasures().hasten(&record.key, erased_at).await?;
        }
        Ok(self.jobs.mark_finalized(&record.key).await?)
    }

    /// Does the work that follows a cancellation. If a worker runs the response, only the worker knows its usage: it
    /// settles, or the sweeper if it died. The sweeper also repeats the steps that fail here.
    pub(super) async fn finalize_cancelled(&self, record: &ResponseRecord) {
        let is_running = record.reservation.is_none() || record.used_reservation().is_some();
        let done = if is_running { self.announce(record).await } else { self.finalize(record).await };
        if let Err(error) = done {
            tracing::error!(error = %ErrorChain(&error), "cancelled response not finalized, the sweeper will");
        }
    }

    /// Settles the reservation of a response, once.
    ///
    /// # Errors
    /// If the table fails; repeat it.
    pub(super) async fn settle(&self, record: &ResponseRecord, charge: Charge) -> Result<(), Error> {
        let Some(stored) = &record.reservation else { return Ok(()) };
        let account = Account {
            project_id: &record.key.project_id,
            api_key_id: &record.api_key_id,
            run: record.run.as_ref(),
            model: &record.model,
            operation: Operation::Completions,
            requests: 1,
        };
        Ok(self.ledger.settle_once(&account, &stored.placed, charge).await?)
    }

    /// The charge for a run of which only the record is left: all of its input, and the output that it had written.
    /// Nothing for a reservation that no run has used.
    pub(super) fn charge_of_dead_run(&self, record: &ResponseRecord) -> Charge {
        record
            .used_reservation()
            .map(|stored| highest_charge(stored, stored.bound.estimate(record.output_bytes)))
            .unwrap_or_default()
    }

    /// The charge for a run that panicked in this process: nothing if it had called no provider, else its usage so far.
    pub(super) fn charge_of_panicked_run(&self, record: &ResponseRecord, used: &UsageMeter) -> Charge {
        match record.own_reservation() {
            Some(stored) => used.charge(stored.price.as_deref(), &stored.bound),
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
        self.announcer.announce(&record.key.project_id, &event, traceparent.as_deref(), record.kept_seconds).await
    }

    /// Adds the turn of a background response to its conversation.
    async fn append_turn(&self, record: &ResponseRecord) -> Result<(), Error> {
        let (Some(id), Status::Completed | Status::Incomplete) = (&record.conversation_id, record.status) else {
            return Ok(());
        };
        let Some(stored) = self.records.get_stored(&record.key, self.clock.now()).await? else { return Ok(()) };
        let request = read_request(&stored.request)?;
        let mut items = request.input();
        items.extend(stored.response.map(|response| read_output(&response)).transpose()?.unwrap_or_default());
        let turn = Turn { at: Timestamp(request.turn_at), id: record.key.response_id.clone() };
        let (project_id, conversation_id) = (record.key.project_id.clone(), id.clone());
        self.conversations.append_turn(&ConversationKey { project_id, conversation_id }, &turn, &items).await
    }
}

/// The most that a usage can cost at the price of its reservation.
fn highest_charge(stored: &StoredReservation, usage: Usage) -> Charge {
    let charge = Charge::at_most(stored.price.as_deref(), usage);
    Charge { cost: charge.cost.min(stored.placed.project.reservation.amount), ..charge }
}
