//! Vector stores and their files that are due: a worker is woken for them.

use std::time::Duration;

use crate::app::error::Error;
use crate::app::files::due_of;
use crate::app::generation::LOST_AFTER_MS;
use crate::app::worker_queues::WorkerQueues;
use crate::data::{DueStore, LONGEST_DUE_MS, StoreFileRecords, VectorStoreRecords};
use crate::model::clock::Timestamp;
use crate::model::vector_store::{StoreFileKey, VectorStoreKey};

/// The longest time after which a message is sent again.
const LONGEST_WAIT_MS: u64 = 900_000;

/// Wakes the worker of vector stores for what is due. Any number of sweepers may do so at once.
pub(in crate::app) struct StoreSweeper {
    pub(in crate::app) stores: VectorStoreRecords,
    pub(in crate::app) files: StoreFileRecords,
    pub(in crate::app) queues: WorkerQueues,
}

impl StoreSweeper {
    /// Wakes a worker for a store that was deleted or has expired.
    ///
    /// # Errors
    /// If the table fails; the store stays due.
    pub(super) async fn wake_for_store(&self, key: &VectorStoreKey, now: Timestamp) -> Result<(), Error> {
        match self.stores.due(key, now).await? {
            DueStore::Nothing => Ok(()),
            // It does not expire any more.
            DueStore::Kept => Ok(self.stores.clear_due(key).await?),
            DueStore::Later(expires_at) => {
                self.stores.put_off(key, due_of(expires_at, now), now).await.map(drop)?;
                Ok(())
            }
            DueStore::Empty { .. } => {
                if self.stores.put_off(key, now.plus_ms(LOST_AFTER_MS), now).await?.is_written() {
                    self.queues.wake_for_store(key).await;
                }
                Ok(())
            }
        }
    }

    /// Wakes a worker for a file that is to be ingested, or whose chunks are to be deleted.
    ///
    /// # Errors
    /// If the table fails; the file stays due.
    pub(super) async fn wake_for_file(&self, key: &StoreFileKey, now: Timestamp) -> Result<(), Error> {
        let Some(file) = self.files.find(key).await? else { return Ok(()) };
        // The index lags behind the table by moments.
        if file.due_at.is_none_or(|due_at| now.is_before(due_at, LONGEST_DUE_MS)) {
            return Ok(());
        }
        // The longer a file waits, the rarer its message is sent again: the queue may be long.
        let age_ms = file.due_at.unwrap_or_default().until(now).max(file.begun_at.until(now) / 2);
        let until = now.plus_ms(age_ms.clamp(LOST_AFTER_MS, LONGEST_WAIT_MS));
        if self.files.postpone(&file, until).await?.is_written() {
            self.queues.wake_for_store_file(&file, Duration::ZERO).await;
        }
        Ok(())
    }
}
