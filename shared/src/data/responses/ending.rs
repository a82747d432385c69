//! The end of a response: written once, in one transaction with its last events.

use bytes::Bytes;

use super::record::{read_record, usage_attribute};
use super::runs::RUNNING;
use super::{KeyCompletion, ResponseRecord, ResponseRecords};
use crate::data::change::{Change, Write, WriteOutcome};
use crate::data::due::due_shard;
use crate::data::error::{Contended, StoreError};
use crate::data::idempotency::LeaseState;
use crate::data::item::{number, text};
use crate::data::keys;
use crate::data::table::conflict_pause;
use crate::model::clock::Timestamp;
use crate::model::response::Status;
use crate::model::tokens::Charge;

/// The end of a response.
#[derive(Debug, Clone)]
pub struct ResponseEnd {
    pub status: Status,
    /// The response object.
    pub response: Bytes,
    /// The last events, in the format that clients get.
    pub events: Bytes,
    /// The sequence number of the first of these events.
    pub first_sequence: u64,
    /// The sequence number after the last of these events.
    pub next_sequence: u64,
    pub charge: Charge,
    pub finished_at: Timestamp,
    /// When the sweeper checks that the work after the end was done; `None`: there is none.
    pub due_at: Option<Timestamp>,
}

/// The mark of a follower or a sweeper at the same moment cancels the transaction.
const END_TRIES: u32 = 8;

impl ResponseRecords {
    /// Ends a run, and completes its idempotency key in the same transaction: callers that repeat the request and callers
    /// that read the response get the same. `Refused`: the run lost its fence or the key, or the response has ended.
    pub async fn end_run(
        &self,
        run: &ResponseRecord,
        end: &ResponseEnd,
        key: Option<&KeyCompletion>,
    ) -> Result<WriteOutcome, StoreError> {
        let change = Change::default().only_if(RUNNING).values([(":running", text(Status::InProgress.name()))]);
        self.write_end(run, end, change, key).await
    }

    /// Ends a response without a run: one that waits too long, or whose run died. `Refused`: the record is not as the
    /// caller read it.
    pub async fn end_abandoned(&self, seen: &ResponseRecord, end: &ResponseEnd) -> Result<WriteOutcome, StoreError> {
        // The abandoned run may still write a chunk. It has a lower fence, so this end's events replace it.
        let run = ResponseRecord { fence: seen.fence + 1, ..seen.clone() };
        // Without the condition, this would end a response that a run has claimed or continued meanwhile.
        let change = Change::default().only_if("fence = :before AND run_status = :status AND lease_until = :lease");
        let change = change.values([
            (":before", number(seen.fence)),
            (":status", text(seen.status.name())),
            (":lease", number(seen.lease_until.0)),
        ]);
        self.write_end(&run, end, change, None).await
    }

    /// Writes the end of a response if the condition of `change` holds.
    async fn write_end(
        &self,
        run: &ResponseRecord,
        end: &ResponseEnd,
        change: Change,
        key: Option<&KeyCompletion>,
    ) -> Result<WriteOutcome, StoreError> {
        let change = add_end(change, run, end);
        let writes = self.end_writes(run, end, change.clone(), key).await?;
        for tried in 0..END_TRIES {
            if tried > 0 {
                conflict_pause(tried).await;
            }
            if self.table.transact(writes.clone()).await?.is_written() {
                return Ok(WriteOutcome::Written);
            }
            let Some(item) = self.table.get(keys::response(&run.key)).await? else { return Ok(WriteOutcome::Refused) };
            // The SDK repeated a transaction that had taken effect.
            if change.has_marked(&item) {
                return Ok(WriteOutcome::Written);
            }
            let now = read_record(&item)?;
            if now.fence != run.fence || now.status != run.status || now.status.is_terminal() {
                return Ok(WriteOutcome::Refused);
            }
            if let Some(key) = key
                && self.idempotency.lease_state(&key.lease).await? == LeaseState::Lost
            {
                return Ok(WriteOutcome::Refused);
            }
        }
        Err(StoreError::table("end the response")(Contended("its transaction was cancelled too often")))
    }

    async fn end_writes(
        &self,
        run: &ResponseRecord,
        end: &ResponseEnd,
        change: Change,
        key: Option<&KeyCompletion>,
    ) -> Result<Vec<Write>, StoreError> {
        let object = self.body_item(run, keys::response_end(&run.key), &end.response).await?;
        let mut writes = vec![Write::Change(keys::response(&run.key), change), Write::Create(object)];
        if end.next_sequence > end.first_sequence {
            let key = keys::response_events(&run.key, end.first_sequence, run.fence);
            writes.push(Write::Put(self.body_item(run, key, &end.events).await?));
        }
        if let Some(key) = key {
            writes.push(self.complete_key(key, &run.key).await?);
        }
        Ok(writes)
    }
}

/// Completes a change that has only its condition.
fn add_end(change: Change, run: &ResponseRecord, end: &ResponseEnd) -> Change {
    let mut change = change.marked("end_owner").values([
        (":fence", number(run.fence)),
        (":end", text(end.status.name())),
        (":next", number(end.next_sequence)),
        (":now", number(end.finished_at.0)),
        (":usage", usage_attribute(&end.charge.usage)),
        (":cost", number(end.charge.cost.0)),
    ]);
    change.update.push_str(
        "SET run_status = :end, fence = :fence, next_sequence = :next, finished_ms = :now, tokens_used = :usage, \
         cost = :cost, end_owner = :mark",
    );
    match end.due_at {
        Some(due_at) => {
            change.push(", due_at = :due, due_shard = :shard", ":due", number(due_at.0));
            change.values.push((":shard", text(due_shard(&run.key.response_id))));
        }
        None => change.update.push_str(" REMOVE due_at, due_shard"),
    }
    change
}
