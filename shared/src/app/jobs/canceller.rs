//! Cancelling background responses.

use std::sync::Arc;

use super::Finalizer;
use crate::app::error::Error;
use crate::app::generation::LEASE_MS;
use crate::app::telemetry::{self, TelemetryEvent};
use crate::data::{CancelOutcome, JobRecords};
use crate::model::clock::Clock;
use crate::model::invalid::Invalid;
use crate::model::message::ResponseKey;

/// Cancels background responses.
pub(in crate::app) struct Canceller {
    pub(in crate::app) jobs: JobRecords,
    pub(in crate::app) finalizer: Arc<Finalizer>,
    pub(in crate::app) clock: Clock,
}

impl Canceller {
    /// Cancels a background response. Its worker finds out with its next heartbeat and leaves the provider. One that has ended
    /// stays as it is, which is no error.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` if the response is not in the background.
    pub(in crate::app) async fn cancel(&self, key: &ResponseKey) -> Result<(), Error> {
        let now = self.clock.now();
        match self.jobs.cancel(key, now, now.plus_ms(LEASE_MS)).await? {
            CancelOutcome::Cancelled(record) => {
                telemetry::record(&TelemetryEvent::JobEnded { outcome: record.status.name() });
                self.finalizer.finalize_cancelled(&record).await;
                Ok(())
            }
            CancelOutcome::Absent => Err(Error::not_found("response", &key.response_id)),
            CancelOutcome::Ended => Ok(()),
            CancelOutcome::NotInBackground => Err(not_cancellable(&key.response_id).into()),
        }
    }
}

fn not_cancellable(response_id: &str) -> Invalid {
    let message = format!("Response '{response_id}' cannot be cancelled: it was not made with background=true.");
    Invalid { message, param: Some("response_id".to_owned()), code: Some("not_cancellable") }
}
