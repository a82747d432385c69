//! Responses that are due: lost messages are sent again, dead runs are taken over or ended, ended responses are finalized.

use std::sync::Arc;
use std::time::Duration;

use super::{Finalizer, LIFETIME_MS, TOO_OLD};
use crate::app::error::Error;
use crate::app::generation::{LOST_AFTER_MS, skeleton_of};
use crate::app::worker_queues::WorkerQueues;
use crate::data::{JobRecords, LONGEST_DUE_MS, ResponseRecord, ResponseRecords};
use crate::model::clock::Timestamp;
use crate::model::error_chain::ErrorChain;
use crate::model::message::ResponseKey;

/// Recovers responses whose message was lost or whose process died.
pub(in crate::app) struct Recovery {
    pub(in crate::app) records: ResponseRecords,
    pub(in crate::app) jobs: JobRecords,
    pub(in crate::app) finalizer: Arc<Finalizer>,
    pub(in crate::app) queues: WorkerQueues,
}

impl Recovery {
    /// Handles a response that is due. Any number of sweepers may do so at once.
    ///
    /// # Errors
    /// If a store fails; the response stays due.
    pub(super) async fn recover(&self, key: &ResponseKey, now: Timestamp) -> Result<(), Error> {
        let Some(record) = self.records.get(key).await? else { return Ok(()) };
        // The index lags behind the table by moments.
        if record.due_at.is_none_or(|due_at| now.is_before(due_at, LONGEST_DUE_MS)) {
            return Ok(());
        }
        let age = record.created_at.until(now);
        if record.status.is_terminal() {
            return self.finalizer.finalize(&record).await;
        }
        if !record.background {
            return self
                .end_abandoned(&record, "The server stopped while it made the response. Send the request again.")
                .await;
        }
        if age >= LIFETIME_MS {
            return self.end_abandoned(&record, TOO_OLD).await;
        }
        // The longer a response waits, the rarer its message is sent again: the queue may be long.
        let until = now.plus_ms(LOST_AFTER_MS.max(age / 2));
        if self.jobs.postpone(&record, until).await?.is_written() {
            tracing::warn!(response.id = record.key.response_id, "worker woken again");
            self.queues.wake_for_response(&record, Duration::ZERO).await;
        }
        Ok(())
    }

    /// Ends a response that no process runs.
    async fn end_abandoned(&self, record: &ResponseRecord, message: &str) -> Result<(), Error> {
        let request = self.records.request(&record.key).await;
        if let Err(error) = &request {
            tracing::error!(error = %ErrorChain(error), "request of a response cannot be read");
        }
        let skeleton = skeleton_of(request.ok().flatten().as_ref());
        self.finalizer.end_abandoned(record, &skeleton, message).await
    }
}
