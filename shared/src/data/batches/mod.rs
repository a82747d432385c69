//! Batches: a record in the table with the state, an item for each part that was begun, and results in the bucket.
//!
//! A batch is due until its last work is done. Whoever takes it up has it alone for the time of a lease; the fence keeps out those
//! whose lease has ended. Parts are run beside that, under leases of their own, see `parts`.

mod parts;
mod record;
mod results;

pub use parts::{BatchParts, NativeWave, PartKey, PartRun, PartState, TriedLines};
pub use results::{BatchResults, LineResult, LineSummary, ResultObject};

use super::change::{Change, Returning, UpdateOutcome, WriteOutcome};
use super::error::StoreError;
use super::idempotency::{self, CreateOutcome, NewCreation};
use super::item::{number, text};
use super::keys;
use super::table::{ItemStream, Table};
use crate::model::batch::{Batch, BatchError, BatchKey, BatchStatus, Waiting};
use crate::model::clock::Timestamp;
use record::{new_record, read_batch};

/// The batches of all projects.
#[derive(Clone, Debug)]
pub struct BatchRecords(pub(super) Table);

/// What the check of a file found: the batch can run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedFile {
    pub model: String,
    pub lines: u64,
    pub parts: u32,
    /// Its lines are for the batch API of a provider.
    pub is_native: bool,
}

/// The end of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BatchEnd {
    pub errors: Vec<BatchError>,
    pub output_file_id: Option<String>,
    pub error_file_id: Option<String>,
}

impl BatchRecords {
    /// Makes the record of a new batch. The batch is due, so that the sweeper finds it if no message arrives.
    ///
    /// A batch that is made `by` a key is made once for it.
    pub async fn create(&self, batch: &Batch, by: Option<&NewCreation>) -> Result<CreateOutcome, StoreError> {
        idempotency::create(&self.0, &batch.key.batch_id, new_record(batch), by, batch.created_at).await
    }

    pub async fn get(&self, key: &BatchKey) -> Result<Option<Batch>, StoreError> {
        let item = self.0.get(keys::batch(key)).await?;
        item.map(|item| read_batch(&key.project_id, &item)).transpose()
    }

    /// Returns the batches of a project, the newest first: those older than `after`, up to `limit`, and one more if there are more.
    pub async fn list(&self, project_id: &str, after: Option<&str>, limit: usize) -> Result<Vec<Batch>, StoreError> {
        let request = self
            .0
            .query_where(&keys::batches_partition(project_id), "pk = :pk AND sk < :after")
            .expression_attribute_values(":after", text(after.unwrap_or("~")))
            .scan_index_forward(false)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX).saturating_add(1));
        let items = ItemStream::of(request).take(limit + 1).await?;
        items.iter().map(|item| read_batch(project_id, item)).collect()
    }

    /// Takes up a batch that nobody works on. A lease that ends later than it could have been set is from before the clock was set
    /// back, and has ended. `None`: another process has it, or there is none.
    pub async fn take(
        &self,
        key: &BatchKey,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Option<Batch>, StoreError> {
        let change = Change::new("SET fence = fence + :one, lease_until = :lease, lease_owner = :mark")
            .only_if("attribute_exists(due_at) AND NOT lease_until BETWEEN :next AND :latest")
            .values([
                (":one", number(1)),
                (":lease", number(lease_until.0)),
                (":next", number(now.plus_ms(1).0)),
                (":latest", number(now.latest_end(now.until(lease_until)).0)),
            ])
            .marked("lease_owner")
            .returning(Returning::All);
        match self.0.update(keys::batch(key), change).await? {
            UpdateOutcome::Written(item) => read_batch(&key.project_id, &item).map(Some),
            UpdateOutcome::Refused(_) => Ok(None),
        }
    }

    /// Renews the lease of a batch. `Refused`: another process took it up.
    pub async fn renew(&self, batch: &Batch, lease_until: Timestamp) -> Result<WriteOutcome, StoreError> {
        let change = Change::new("SET lease_until = :lease").values([(":lease", number(lease_until.0))]);
        self.change(batch, change, "").await
    }

    /// Leaves a batch to the next process.
    pub async fn leave(&self, batch: &Batch) -> Result<WriteOutcome, StoreError> {
        self.change(batch, Change::new("SET lease_until = :none").values([(":none", number(0))]), "").await
    }

    /// Starts the lines of a batch whose file was checked. `Refused`: it was cancelled meanwhile, or taken up by another process.
    pub async fn start(&self, batch: &Batch, file: &CheckedFile, now: Timestamp) -> Result<WriteOutcome, StoreError> {
        let mut change = Change::new(
            "SET batch_status = :in_progress, in_progress_at = :now, model = :model, line_count = :lines, parts = :parts",
        )
        .values([
            (":in_progress", text(BatchStatus::InProgress.name())),
            (":now", number(now.0)),
            (":model", text(&file.model)),
            (":lines", number(file.lines)),
            (":parts", number(file.parts)),
            (":validating", text(BatchStatus::Validating.name())),
        ]);
        if file.is_native {
            change.push(", is_native = :native", ":native", number(1));
        }
        self.change(batch, change, " AND batch_status = :validating").await
    }

    /// Cancels a batch, unless its results are written already or it has ended. Returns the batch as it is then; `None`: there is none.
    pub async fn cancel(&self, key: &BatchKey, now: Timestamp) -> Result<Option<Batch>, StoreError> {
        let change = Change::new("SET batch_status = :cancelling, cancelling_at = :now")
            .only_if("batch_status IN (:validating, :in_progress)")
            .values([
                (":cancelling", text(BatchStatus::Cancelling.name())),
                (":validating", text(BatchStatus::Validating.name())),
                (":in_progress", text(BatchStatus::InProgress.name())),
                (":now", number(now.0)),
            ])
            .returning(Returning::All);
        let found = match self.0.update(keys::batch(key), change).await? {
            UpdateOutcome::Written(item) => Some(item),
            UpdateOutcome::Refused(item) => item,
        };
        found.map(|item| read_batch(&key.project_id, &item)).transpose()
    }

    /// Begins to write the files of results, which get these ids. `Refused`: the batch was taken up by another process, or, if it was in
    /// progress, cancelled.
    pub async fn finalize(&self, batch: &Batch, files: &BatchEnd, now: Timestamp) -> Result<WriteOutcome, StoreError> {
        // A batch that is cancelled says so until it has ended.
        let status = if batch.status == BatchStatus::InProgress { BatchStatus::Finalizing } else { batch.status };
        let change = Change::new(
            "SET batch_status = :status, finalizing_at = if_not_exists(finalizing_at, :now), output_file = :output, error_file = :error",
        )
        .values([
            (":status", text(status.name())),
            (":now", number(now.0)),
            (":output", text(files.output_file_id.as_deref().unwrap_or_default())),
            (":error", text(files.error_file_id.as_deref().unwrap_or_default())),
            (":before", text(batch.status.name())),
        ]);
        self.change(batch, change, " AND batch_status = :before").await
    }

    /// Ends a batch. It stays due for the work that follows. `Refused`: it was taken up by another process, or cancelled meanwhile.
    pub async fn end(
        &self,
        batch: &Batch,
        status: BatchStatus,
        end: &BatchEnd,
        now: Timestamp,
    ) -> Result<WriteOutcome, StoreError> {
        let mut change = Change::new("SET batch_status = :status, ended_at = :now").values([
            (":status", text(status.name())),
            (":now", number(now.0)),
            (":before", text(batch.status.name())),
        ]);
        if !end.errors.is_empty() {
            change.push(", errors = :errors", ":errors", text(serde_json::to_string(&end.errors).unwrap_or_default()));
        }
        let mut absent = Vec::new();
        for (file_id, attribute, clause, value) in [
            (&end.output_file_id, "output_file", ", output_file = :output", ":output"),
            (&end.error_file_id, "error_file", ", error_file = :error", ":error"),
        ] {
            match file_id {
                Some(file_id) => change.push(clause, value, text(file_id)),
                None => absent.push(attribute),
            }
        }
        if !absent.is_empty() {
            change.update.push_str(&format!(" REMOVE {}", absent.join(", ")));
        }
        self.change(batch, change, " AND batch_status = :before").await
    }

    /// Notes that nothing is left to do. `kept_until`: when DynamoDB may delete the record.
    pub async fn close(&self, batch: &Batch, kept_until: Option<u64>) -> Result<WriteOutcome, StoreError> {
        let change = match kept_until {
            Some(seconds) => Change::new("SET expires_at = :kept REMOVE due_at, due_shard, lease_until")
                .values([(":kept", number(seconds))]),
            None => Change::new("REMOVE due_at, due_shard, lease_until"),
        };
        self.change(batch, change, "").await
    }

    /// Makes a due batch due later, for the one sweeper that wakes a worker for it. `Refused`: another did.
    pub async fn postpone(&self, batch: &Batch, until: Timestamp) -> Result<WriteOutcome, StoreError> {
        let change = Change::new("SET due_at = :until")
            .only_if("due_at = :before")
            .values([(":until", number(until.0)), (":before", number(batch.due_at.unwrap_or_default().0))]);
        Ok(self.0.update(keys::batch(&batch.key), change).await?.into())
    }

    /// Notes why lines wait, for those who look at the batch.
    pub async fn note_waiting(&self, key: &BatchKey, waiting: &Waiting) -> Result<(), StoreError> {
        let change = Change::new("SET waiting_for = :reason, waiting_until = :until")
            .only_if("attribute_exists(pk)")
            .values([(":reason", text(&waiting.reason)), (":until", number(waiting.until.0))]);
        self.0.update(keys::batch(key), change).await.map(drop)
    }

    /// Changes a batch that this process has taken up.
    async fn change(&self, batch: &Batch, change: Change, and: &str) -> Result<WriteOutcome, StoreError> {
        let change = change.only_if(format!("fence = :fence{and}")).values([(":fence", number(batch.fence))]);
        Ok(self.0.update(keys::batch(&batch.key), change).await?.into())
    }
}
