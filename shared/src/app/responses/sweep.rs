//! What the sweeper does for responses: lost messages are sent again, dead runs are taken over or ended, ends are
//! followed up.

use std::time::Duration;

use super::LIFETIME_MS;
use super::accept::LOST_AFTER_MS;
use super::ends::{TOO_OLD, finished, skeleton_of};
use crate::app::dispatch::ErrorChain;
use crate::app::error::Error;
use crate::app::gateway::Gateway;
use crate::app::telemetry::{TelemetryEvent, tell};
use crate::data::ResponseRecord;
use crate::dialects::openai_responses::Status;
use crate::model::clock::Timestamp;
use crate::model::message::ResponseKey;

impl Gateway {
    /// Handles a response that is due. Any number of sweepers may do so at once.
    pub(in crate::app) async fn sweep_response(&self, key: &ResponseKey, now: Timestamp) -> Result<(), Error> {
        let Some(record) = self.stores.response(key).await? else { return Ok(()) };
        // The index is behind the table by moments.
        if record.due_at.is_none_or(|due_at| due_at > now) {
            return Ok(());
        }
        let age = record.created_at.until(now);
        match record.status {
            Status::Completed | Status::Incomplete | Status::Failed | Status::Cancelled => {
                self.follow_up(&record).await
            }
            Status::Queued | Status::InProgress if !record.background => {
                self.abandon(&record, "The server stopped while it made the response. Send the request again.").await
            }
            Status::Queued | Status::InProgress if age >= LIFETIME_MS => self.abandon(&record, TOO_OLD).await,
            Status::Queued | Status::InProgress => {
                // The longer it waits, the rarer it is sent again: the queue may be long.
                let until = now.plus_ms(LOST_AFTER_MS.max(age / 2));
                if self.stores.postpone_response(&record, until).await? {
                    tracing::warn!(response.id = record.key.response_id, "worker woken again");
                    self.wake(&record, Duration::ZERO).await;
                }
                Ok(())
            }
        }
    }

    /// Ends a response that nobody runs.
    async fn abandon(&self, record: &ResponseRecord, message: &str) -> Result<(), Error> {
        let request = self.stores.response_request(&record.key).await;
        if let Err(error) = &request {
            tracing::error!(error = %ErrorChain(error), "request of a response cannot be read");
        }
        let skeleton = skeleton_of(request.ok().flatten().as_ref());
        let (usage, cost) = self.charge(record);
        let end = self.failed_end(record, &skeleton, message, usage, cost);
        if self.stores.abandon_response(record, &end).await? {
            if record.background {
                tell(&TelemetryEvent::JobEnded { outcome: end.status.name() });
            }
            return self.follow_up(&finished(record, &end)).await;
        }
        Ok(())
    }
}
