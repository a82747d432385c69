//! Work on whole projects that is due: a bounded step with each sweep, until all of it is done.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::time::Instant;

use super::{Canceller, Purger};
use crate::app::error::Error;
use crate::data::{JobRecords, ProjectWork, ResponseRecord, WorkKey, WorkKind, WorkRecords};
use crate::model::clock::Timestamp;
use crate::model::message::ResponseKey;

/// A step begins nothing more after this time: a sweep has 50 seconds for all that is due.
const STEP: Duration = Duration::from_secs(10);
/// Jobs that are looked at together, and jobs that are cancelled at the same time.
const PAGE: usize = 100;
const AT_ONCE: usize = 8;

/// Does the work on whole projects.
pub(in crate::app) struct ProjectWorker {
    pub(in crate::app) work: WorkRecords,
    pub(in crate::app) jobs: JobRecords,
    pub(in crate::app) canceller: Arc<Canceller>,
    pub(in crate::app) purger: Purger,
}

impl ProjectWorker {
    /// Makes the next step of work that is due. Every step is safe to repeat, so any number of sweepers may do so at once.
    ///
    /// # Errors
    /// If a store fails; the work stays due.
    pub(super) async fn go_on(&self, key: &WorkKey, now: Timestamp) -> Result<(), Error> {
        // The index lags behind the table by moments.
        let Some(work) = self.work.get(key).await?.filter(|work| work.due_at <= now) else { return Ok(()) };
        match key.kind {
            WorkKind::CancelJobs => self.cancel_jobs(&work, now).await,
            WorkKind::Purge => self.purger.go_on(&work, STEP).await,
        }
    }

    /// Cancels the jobs of an archived project. A job that is accepted later, by a process that still knew the key, is ended
    /// by its worker.
    async fn cancel_jobs(&self, work: &ProjectWork, now: Timestamp) -> Result<(), Error> {
        let (begun, mut before) = (Instant::now(), Some(work.cursor.clone()).filter(|cursor| !cursor.is_empty()));
        while begun.elapsed() < STEP {
            let page = self.jobs.list(&work.key.project_id, before.as_deref(), PAGE).await?;
            let open: Vec<ResponseRecord> =
                page.records.into_iter().filter(|record| !record.status.is_terminal()).collect();
            let cancelled = futures_util::stream::iter(open).map(|record| self.cancel(record.key));
            cancelled.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
            let Some(next) = page.next else { return Ok(self.work.finish(&work.key).await?) };
            before = Some(next);
        }
        let next = ProjectWork { cursor: before.unwrap_or_default(), due_at: now.plus_ms(1), ..work.clone() };
        Ok(self.work.advance(work, &next).await?)
    }

    async fn cancel(&self, key: ResponseKey) -> Result<(), Error> {
        match self.canceller.cancel(&key).await {
            // It ended meanwhile, or was deleted.
            Ok(()) | Err(Error::Invalid(_) | Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
