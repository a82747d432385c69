//! The run of a response: it claims the response, writes events, and may return the response to the queue.

use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;

use super::record::{expires_at, read_record, read_unexpired, record_key};
use super::{ResponseRecord, ResponseRecords, StoredReservation};
use crate::data::change::{Change, Returning, UpdateOutcome, WriteOutcome};
use crate::data::due::due_shard;
use crate::data::error::StoreError;
use crate::data::item::{Item, Reader, insert, number, text};
use crate::data::keys;
use crate::dialects::openai_responses::Status;
use crate::model::clock::Timestamp;
use crate::model::id;
use crate::model::message::ResponseKey;

/// The outcome of a claim of a background response.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobClaim {
    /// The caller runs the response, under the record's fence.
    Claimed(Box<ResponseRecord>),
    /// Another run has the response, or it has ended, or may not begin yet.
    Refused(Box<ResponseRecord>),
    /// The response does not exist or has expired.
    Absent,
}

/// The outcome of a commit of events.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitOutcome {
    /// The events count. Contains the record after the commit.
    Committed(Box<ResponseRecord>),
    /// Another run took over, or the response has ended or was deleted. Contains the record, unless it is gone.
    FenceLost(Option<Box<ResponseRecord>>),
}

/// Why a run returns a response to the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequeueReason {
    /// The provider did no work: the next run uses the same reservation.
    Unused,
    /// The provider broke off, and the reservation is settled.
    Used,
    /// The run got no reservation. It does not count as a run.
    NotAdmitted,
    /// The run could not begin, and the reservation waits on. It does not count as a run.
    NotReady,
}

/// The condition of every write of a run. Without it, a run that lost its lease could overwrite the next run's work, or
/// change a response that was cancelled or deleted.
pub(super) const RUNNING: &str = "fence = :fence AND run_status = :running AND attribute_not_exists(deleted)";

impl ResponseRecords {
    /// Claims a background response that is queued, or whose run died.
    pub async fn claim(
        &self,
        key: &ResponseKey,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<JobClaim, StoreError> {
        let owner = id::random(12);
        // Without the condition, two workers with the same message would call the provider twice.
        let change = Change::new(
            "SET run_status = :running, fence = fence + :one, runs = runs + :one, lease_until = :lease, \
             claim_owner = :owner, due_at = :lease, due_shard = :shard",
        )
        .only_if(
            "attribute_exists(pk) AND background = :one AND ((run_status = :queued AND not_before <= :now) \
             OR (run_status = :running AND lease_until <= :now))",
        )
        .values([
            (":running", text(Status::InProgress.name())),
            (":queued", text(Status::Queued.name())),
            (":one", number(1)),
            (":now", number(now.0)),
            (":lease", number(lease_until.0)),
            (":owner", text(&owner)),
            (":shard", text(due_shard(&key.response_id))),
        ])
        .returning(Returning::All);
        match self.table.update(record_key(key), change).await? {
            UpdateOutcome::Written(item) => Ok(JobClaim::Claimed(Box::new(read_record(&item)?))),
            UpdateOutcome::Refused(None) => Ok(JobClaim::Absent),
            UpdateOutcome::Refused(Some(item)) => {
                let Some(found) = read_unexpired(&item, now)? else { return Ok(JobClaim::Absent) };
                // The SDK repeated a claim that had taken effect: this call has the lease.
                let is_mine = Reader(&item).maybe_text("claim_owner").as_deref() == Some(&owner);
                Ok(if is_mine { JobClaim::Claimed(Box::new(found)) } else { JobClaim::Refused(Box::new(found)) })
            }
        }
    }

    /// Stores the reservation of a run's attempt. `Refused`: the run lost its fence.
    pub async fn set_reservation(
        &self,
        run: &ResponseRecord,
        reservation: &StoredReservation,
    ) -> Result<WriteOutcome, StoreError> {
        let change = Change::new("SET holding = :holding, output_bytes = :none")
            .values([(":holding", text(reservation.to_text())), (":none", number(0))]);
        Ok(self.update_run(run, change).await?.into())
    }

    /// Writes a chunk of events. It counts only after [`ResponseRecords::commit_events`].
    pub async fn put_events(&self, run: &ResponseRecord, first: u64, events: &Bytes) -> Result<(), StoreError> {
        let item = self.events_item(run, first, events).await?;
        self.table.put(item).await
    }

    /// Makes the events below `next_sequence` count and renews the lease.
    pub async fn commit_events(
        &self,
        run: &ResponseRecord,
        next_sequence: u64,
        output_bytes: u64,
        lease_until: Timestamp,
    ) -> Result<CommitOutcome, StoreError> {
        // `due_at` moves with the lease: else the sweeper could take a living run for dead, and it would run twice.
        let change =
            Change::new("SET next_sequence = :next, output_bytes = :bytes, lease_until = :lease, due_at = :lease")
                .values([
                    (":next", number(next_sequence)),
                    (":bytes", number(output_bytes)),
                    (":lease", number(lease_until.0)),
                ]);
        Ok(match self.update_run(run, change).await? {
            UpdateOutcome::Written(item) => CommitOutcome::Committed(Box::new(read_record(&item)?)),
            UpdateOutcome::Refused(item) => {
                CommitOutcome::FenceLost(item.map(|item| read_record(&item).map(Box::new)).transpose()?)
            }
        })
    }

    /// Returns a response to the queue. The next run may begin at `not_before`. `Refused`: the run lost its fence.
    pub async fn requeue(
        &self,
        run: &ResponseRecord,
        not_before: Timestamp,
        due_at: Timestamp,
        reason: RequeueReason,
    ) -> Result<WriteOutcome, StoreError> {
        let update = "SET run_status = :queued, not_before = :before, due_at = :due, due_shard = :shard";
        let mut change = Change::new(update).values([
            (":queued", text(Status::Queued.name())),
            (":before", number(not_before.0)),
            (":due", number(due_at.0)),
            (":shard", text(due_shard(&run.key.response_id))),
        ]);
        if matches!(reason, RequeueReason::NotAdmitted | RequeueReason::NotReady) {
            change.push(", runs = runs - :one", ":one", number(1));
        }
        let keeps = matches!(reason, RequeueReason::Unused | RequeueReason::NotReady);
        match run.reservation.clone().filter(|_| keeps) {
            // A run that died left it: the next run settles it as that run's.
            Some(reservation) if reservation.fence != run.fence => {}
            Some(reservation) => {
                let next = StoredReservation { fence: run.fence + 1, ..reservation };
                change.push(", holding = :holding", ":holding", text(next.to_text()));
            }
            None => change.update.push_str(" REMOVE holding"),
        }
        Ok(self.update_run(run, change).await?.into())
    }

    /// Makes a write of the run that holds the fence.
    async fn update_run(&self, run: &ResponseRecord, change: Change) -> Result<UpdateOutcome, StoreError> {
        let change = change.only_if(RUNNING).values(running_values(run)).returning(Returning::All);
        self.table.update(record_key(&run.key), change).await
    }

    /// Makes the item of a chunk of events. Puts a large chunk into the bucket.
    pub(super) async fn events_item(
        &self,
        run: &ResponseRecord,
        first: u64,
        events: &Bytes,
    ) -> Result<Item, StoreError> {
        let ResponseKey { project_id, response_id } = &run.key;
        let mut item = keys::response_events(project_id, response_id, first, run.fence).into_item();
        self.bodies.pack(project_id, &mut item, events).await?;
        insert(&mut item, [("expires_at", number(expires_at(run)))]);
        Ok(item)
    }
}

/// The values of [`RUNNING`].
fn running_values(run: &ResponseRecord) -> [(&'static str, AttributeValue); 2] {
    [(":fence", number(run.fence)), (":running", text(Status::InProgress.name()))]
}
