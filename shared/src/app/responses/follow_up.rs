//! What follows the end of a response: its hold is settled, its webhooks are told, its conversation gets the turn.
//!
//! All of it is safe to repeat, and a response stays due until all of it is done.

use super::perform::at_most;
use super::stored::{StoredRequest, output};
use crate::app::admission::Ticket;
use crate::app::books::Account;
use crate::app::dispatch::ErrorChain;
use crate::app::error::Error;
use crate::app::gateway::Gateway;
use crate::app::telemetry::within;
use crate::data::{Operation, ResponseRecord, StoredReservation, Turn};
use crate::dialects::openai_responses::Status;
use crate::model::clock::Timestamp;
use crate::model::money::MicroUsd;
use crate::model::tokens::{Bound, Usage};
use crate::model::webhook::{EventType, WebhookEvent};

impl Gateway {
    /// Does what follows the end of a response, and marks it as done.
    ///
    /// # Errors
    /// If a store fails; the response stays due.
    pub(super) async fn follow_up(&self, record: &ResponseRecord) -> Result<(), Error> {
        let (usage, cost) = match record.status {
            Status::Cancelled => self.charge(record),
            _ => (record.usage, record.cost),
        };
        self.settle_response(record, &usage, cost).await?;
        // Whoever is told of the end may go on with the conversation.
        self.add_turn(record).await?;
        self.tell_webhooks(record).await?;
        Ok(self.stores.close_response(&record.key).await?)
    }

    /// Follows up a response that was cancelled just now. What its worker used is known only to the worker: it settles, or
    /// the sweeper if it died. What fails here is done by the sweeper, too.
    pub(super) async fn follow_up_cancel(&self, record: &ResponseRecord) {
        let runs = record.holding.as_ref().is_none_or(|holding| holding.fence <= record.fence);
        let done = if runs { self.tell_webhooks(record).await } else { self.follow_up_unrun(record).await };
        if let Err(error) = done {
            tracing::error!(error = %ErrorChain(&error), "cancelled response not followed up, the sweeper will");
        }
    }

    /// As [`Gateway::follow_up`], for a response that no run has touched: it cost nothing and is no turn.
    async fn follow_up_unrun(&self, record: &ResponseRecord) -> Result<(), Error> {
        self.settle_response(record, &Usage::default(), MicroUsd(0)).await?;
        self.tell_webhooks(record).await?;
        Ok(self.stores.close_response(&record.key).await?)
    }

    /// Settles the hold of a response, once.
    pub(super) async fn settle_response(
        &self,
        record: &ResponseRecord,
        usage: &Usage,
        cost: MicroUsd,
    ) -> Result<(), Error> {
        let Some(holding) = &record.holding else { return Ok(()) };
        let ticket = Ticket::of_kept(holding, &record.key.project_id, &record.model);
        if *usage == Usage::default() && cost == MicroUsd(0) {
            self.settle(&ticket, cost, 0).await?;
            return Ok(());
        }
        let account = Account {
            project_id: &record.key.project_id,
            api_key_id: &record.api_key_id,
            model: &record.model,
            operation: Operation::Completions,
        };
        self.book_once(&account, &ticket, usage, cost).await
    }

    /// What is charged for an attempt of which only the record is left: all of its input, and what it had written down.
    /// Nothing for a hold that no run has used.
    pub(super) fn charge(&self, record: &ResponseRecord) -> (Usage, MicroUsd) {
        let Some(holding) = record.holding.as_ref().filter(|holding| holding.fence <= record.fence) else {
            return (Usage::default(), MicroUsd(0));
        };
        let usage = at_most(holding.bound, record.output_bytes);
        (usage, self.worst_cost(holding, &record.model, usage))
    }

    fn worst_cost(&self, holding: &StoredReservation, model: &str, usage: Usage) -> MicroUsd {
        // A model that was taken out of the list since has no price any more.
        let Some(model) = self.catalog.model(model) else { return holding.amount };
        let bound = Bound { input: usage.input, output: usage.output };
        model.price.map_or(MicroUsd(0), |price| price.worst_case(&bound)).min(holding.amount)
    }

    async fn tell_webhooks(&self, record: &ResponseRecord) -> Result<(), Error> {
        let Some(finished_at) = record.finished_at.filter(|_| record.background) else { return Ok(()) };
        let event_type = match record.status {
            Status::Completed => EventType::ResponseCompleted,
            Status::Incomplete => EventType::ResponseIncomplete,
            Status::Failed => EventType::ResponseFailed,
            Status::Cancelled => EventType::ResponseCancelled,
            Status::Queued | Status::InProgress => return Ok(()),
        };
        let event = WebhookEvent::new(event_type, &record.key.response_id, finished_at);
        self.announce(&record.key.project_id, &event, within(record.traceparent.as_deref()).as_deref()).await
    }

    /// Adds the turn of a background response to its conversation.
    async fn add_turn(&self, record: &ResponseRecord) -> Result<(), Error> {
        let (Some(conversation_id), Status::Completed | Status::Incomplete) = (&record.conversation_id, record.status)
        else {
            return Ok(());
        };
        let Some(whole) = self.stores.whole_response(&record.key, self.clock.now()).await? else { return Ok(()) };
        let request = StoredRequest::read(&whole.request)?;
        let mut items = request.input();
        items.extend(whole.response.map(|response| output(&response)).transpose()?.unwrap_or_default());
        let turn = Turn { at: Timestamp(request.turn_at), id: record.key.response_id.clone() };
        self.append_turn(&record.key.project_id, conversation_id, &turn, &items).await
    }
}
