//! Cancelling background responses.

use std::sync::Arc;

use super::Finalizer;
use crate::app::error::Error;
use crate::app::generation::LEASE_MS;
use crate::app::telemetry::{self, TelemetryEvent};
use crate::data::{CancelOutcome, JobRecords, ResponseRecord};
use crate::model::clock::Clock;
use crate::model::invalid::Invalid;
use crate::model::message::ResponseKey;
use crate::model::response::Status;

/// Cancels background responses.
pub(in crate::app) struct Canceller {
    pub(in crate::app) jobs: JobRecords,
    pub(in crate::app) finalizer: Arc<Finalizer>,
    pub(in crate::app) clock: Clock,
}

impl Canceller {
    /// Cancels a background response. Its worker finds out with its next heartbeat and leaves the provider. Cancelling
    /// again succeeds.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` if the response is not in the background or has ended otherwise.
    pub(in crate::app) async fn cancel(&self, key: &ResponseKey) -> Result<(), Error> {
        let now = self.clock.now();
        match self.jobs.cancel(key, now, now.plus_ms(LEASE_MS)).await? {
            CancelOutcome::Cancelled(record) => {
                telemetry::record(&TelemetryEvent::JobEnded { outcome: record.status.name() });
                self.finalizer.finalize_cancelled(&record).await;
                Ok(())
            }
            CancelOutcome::Absent => Err(Error::not_found("response", &key.response_id)),
            CancelOutcome::NotCancellable(record) if record.status == Status::Cancelled => Ok(()),
            CancelOutcome::NotCancellable(record) => Err(not_cancellable(&record).into()),
        }
    }
}

fn not_cancellable(record: &ResponseRecord) -> Invalid {
    let reason = match record.background {
        true => format!("has ended with the status '{}'", record.status.name()),
        false => "was not made with background=true".to_owned(),
    };
    let message = format!("Response '{}' cannot be cancelled: it {reason}.", record.key.response_id);
    Invalid { message, param: Some("response_id".to_owned()), code: Some("not_cancellable") }
}
