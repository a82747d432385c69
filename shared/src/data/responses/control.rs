//! Changes of a response from outside its run: cancellation, and the marks of the sweeper and of followers.

use super::record::{read_record, read_unexpired, record_key};
use super::{ResponseRecord, ResponseRecords};
use crate::data::change::{Change, Returning, UpdateOutcome, WriteOutcome};
use crate::data::due::due_shard;
use crate::data::error::StoreError;
use crate::data::item::{Reader, number, text};
use crate::dialects::openai_responses::Status;
use crate::model::clock::Timestamp;
use crate::model::id;
use crate::model::message::ResponseKey;

/// The outcome of a cancellation.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CancelOutcome {
    /// The response is cancelled. Contains the record after that.
    Cancelled(Box<ResponseRecord>),
    /// The response has ended, or does not run in the background.
    NotCancellable(Box<ResponseRecord>),
    /// The response does not exist or has expired.
    Absent,
}

impl ResponseRecords {
    /// Cancels a background response that has not ended.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the table fails, [`StoreError::Damaged`] if the record cannot be read.
    pub async fn cancel(
        &self,
        key: &ResponseKey,
        now: Timestamp,
        due_at: Timestamp,
    ) -> Result<CancelOutcome, StoreError> {
        let owner = id::random(12);
        // Without the condition, a late cancellation would overwrite the end of a response.
        let change = Change::new(
            "SET run_status = :cancelled, finished_ms = :now, due_at = :due, due_shard = :shard, end_owner = :owner",
        )
        .only_if("attribute_exists(pk) AND background = :one AND run_status IN (:queued, :running)")
        .values([
            (":cancelled", text(Status::Cancelled.name())),
            (":queued", text(Status::Queued.name())),
            (":running", text(Status::InProgress.name())),
            (":one", number(1)),
            (":now", number(now.0)),
            (":due", number(due_at.0)),
            (":shard", text(due_shard(&key.response_id))),
            (":owner", text(&owner)),
        ])
        .returning(Returning::All);
        match self.table.update(record_key(key), change).await? {
            UpdateOutcome::Written(item) => Ok(CancelOutcome::Cancelled(Box::new(read_record(&item)?))),
            UpdateOutcome::Refused(None) => Ok(CancelOutcome::Absent),
            UpdateOutcome::Refused(Some(item)) => {
                let Some(found) = read_unexpired(&item, now)? else { return Ok(CancelOutcome::Absent) };
                // The SDK repeated a write that had taken effect.
                let is_mine = Reader(&item).maybe_text("end_owner").as_deref() == Some(&owner);
                let outcome = if is_mine { CancelOutcome::Cancelled } else { CancelOutcome::NotCancellable };
                Ok(outcome(Box::new(found)))
            }
        }
    }

    /// Marks that no work is left for a response that has ended.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the table fails.
    pub async fn mark_finalized(&self, key: &ResponseKey) -> Result<(), StoreError> {
        // Without the condition, a response that still waits or runs would disappear from the sweeper's sight.
        let change = Change::new("REMOVE due_at, due_shard")
            .only_if("attribute_exists(pk) AND NOT run_status IN (:queued, :running)")
            .values([(":queued", text(Status::Queued.name())), (":running", text(Status::InProgress.name()))]);
        self.table.update(record_key(key), change).await.map(drop)
    }

    /// Moves the time at which the sweeper looks again. `Refused`: the response is not due, or no longer at the time that
    /// the caller read, because another sweep or its run moved it.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the table fails.
    pub async fn postpone(&self, seen: &ResponseRecord, until: Timestamp) -> Result<WriteOutcome, StoreError> {
        let Some(due_at) = seen.due_at else { return Ok(WriteOutcome::Refused) };
        // Without the condition, two sweeps would handle the same response, or undo the renewal of its lease.
        let change = Change::new("SET due_at = :until")
            .only_if("due_at = :seen")
            .values([(":until", number(until.0)), (":seen", number(due_at.0))]);
        Ok(self.table.update(record_key(&seen.key), change).await?.into())
    }

    /// Marks that a client follows a response until `until`.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the table fails.
    pub async fn watch(&self, key: &ResponseKey, until: Timestamp) -> Result<(), StoreError> {
        // Without the condition, one follower would shorten the mark of another.
        let change = Change::new("SET watched_until = :until")
            .only_if("attribute_exists(pk) AND watched_until < :until")
            .values([(":until", number(until.0))]);
        self.table.update(record_key(key), change).await.map(drop)
    }
}
