//! The run of a response: it claims the response, writes events, and may return the response to the queue.

use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;

use super::record::read_record;
use super::{ResponseRecord, ResponseRecords, StoredReservation};
use crate::data::change::{Change, Returning, UpdateOutcome, WriteOutcome};
use crate::data::due::due_shard;
use crate::data::error::StoreError;
use crate::data::item::{number, text};
use crate::data::keys;
use crate::data::queues::MAX_DELAY;
use crate::model::clock::Timestamp;
use crate::model::message::ResponseKey;
use crate::model::response::Status;

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
    /// The run got no reservation.
    NotAdmitted,
    /// The run could not call a provider, and the reservation waits on. It does not count as a run.
    NotReady,
}

/// The condition of every write of a run. Without it, a run that lost its lease could overwrite the next run's work, or
/// change a response that was cancelled or deleted.
pub(super) const RUNNING: &str = "fence = :fence AND run_status = :running AND attribute_not_exists(deleted)";

impl ResponseRecords {
    /// Claims a background response that is queued, or whose run died. A wait or a lease that ends later than it could have
    /// been set is from before the clock was set back, and has ended. The caller runs it, under the fence of the returned
    /// record. `None`: another run has the response, or it has ended, may not begin yet, or does not exist.
    pub async fn claim(
        &self,
        key: &ResponseKey,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Option<ResponseRecord>, StoreError> {
        // Without the condition, two workers with the same message would call the provider twice.
        let change = Change::new(
            "SET run_status = :running, fence = fence + :one, unbegun = unbegun + :one, lease_until = :lease, \
             claim_owner = :mark, due_at = :lease, due_shard = :shard",
        )
        .only_if(
            "attribute_exists(pk) AND background = :one AND ((run_status = :queued AND NOT not_before BETWEEN :next AND :latest_wait) \
             OR (run_status = :running AND NOT lease_until BETWEEN :next AND :latest))",
        )
        .values([
            (":running", text(Status::InProgress.name())),
            (":queued", text(Status::Queued.name())),
            (":one", number(1)),
            (":next", number(now.plus_ms(1).0)),
            (":latest", number(now.latest_end(now.until(lease_until)).0)),
            (":latest_wait", number(now.latest_end(MAX_DELAY.as_secs() * 1_000).0)),
            (":lease", number(lease_until.0)),
            (":shard", text(due_shard(&key.response_id))),
        ])
        .marked("claim_owner")
        .returning(Returning::All);
        match self.table.update(keys::response(key), change).await? {
            UpdateOutcome::Written(item) => read_record(&item).map(Some),
            UpdateOutcome::Refused(_) => Ok(None),
        }
    }

    /// Marks that the run is about to call a provider: from here on its reservation is used, and the run counts.
    pub async fn begin(&self, run: &ResponseRecord, lease_until: Timestamp) -> Result<CommitOutcome, StoreError> {
        let change =
            Change::new("SET begun = :fence, runs = :runs, unbegun = :none, lease_until = :lease, due_at = :lease")
                .values([
                    // A number and not an addition: the SDK repeats a write whose answer was lost.
                    (":runs", number(run.runs + 1)),
                    (":none", number(0)),
                    (":lease", number(lease_until.0)),
                ]);
        committed(self.update_run(run, change).await?)
    }

    /// Stores the reservation of a run. `Refused`: the run lost its fence.
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
        let item = self.body_item(run, keys::response_events(&run.key, first, run.fence), events).await?;
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
        committed(self.update_run(run, change).await?)
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
            let counted = u64::from(run.begun == run.fence);
            change.push(", runs = :runs", ":runs", number(run.runs.saturating_sub(counted)));
            change.push(", unbegun = :none", ":none", number(0));
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
        self.table.update(keys::response(&run.key), change).await
    }
}

fn committed(outcome: UpdateOutcome) -> Result<CommitOutcome, StoreError> {
    Ok(match outcome {
        UpdateOutcome::Written(item) => CommitOutcome::Committed(Box::new(read_record(&item)?)),
        UpdateOutcome::Refused(item) => {
            CommitOutcome::FenceLost(item.map(|item| read_record(&item).map(Box::new)).transpose()?)
        }
    })
}

/// The values of [`RUNNING`].
fn running_values(run: &ResponseRecord) -> [(&'static str, AttributeValue); 2] {
    [(":fence", number(run.fence)), (":running", text(Status::InProgress.name()))]
}
