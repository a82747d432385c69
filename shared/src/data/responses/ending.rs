//! How a response ends: once, in one transaction with its last events.

use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;

use super::running::RUNNING;
use super::{Claimed, ResponseRecord, expires_at, record, usage_text};
use crate::data::Stores;
use crate::data::due::due_shard;
use crate::data::error::StoreError;
use crate::data::item::{Reader, number, text};
use crate::data::keys;
use crate::data::table::{Change, Write, conflict_pause};
use crate::dialects::openai_responses::Status;
use crate::model::clock::Timestamp;
use crate::model::id;
use crate::model::message::ResponseKey;
use crate::model::money::MicroUsd;
use crate::model::tokens::Usage;

#[derive(Debug, Clone)]
pub struct End {
    pub status: Status,
    /// The response object.
    pub response: Bytes,
    /// The last events, which begin with this number, as they go to a client, and the number after them.
    pub events: Bytes,
    pub first_sequence: u64,
    pub next_sequence: u64,
    pub usage: Usage,
    pub cost: MicroUsd,
    pub finished_at: Timestamp,
    /// When the sweeper looks whether all that follows was done; `None`: nothing follows.
    pub due_at: Option<Timestamp>,
}
impl Stores {
    /// Ends a run, and that of an idempotency key with it: who repeats the request and who reads the response are told the
    /// same. `false` if one of them was lost, or the response has ended; nothing counts then.
    ///
    /// # Errors
    /// If a store fails.
    pub async fn finish_response(
        &self,
        run: &ResponseRecord,
        end: &End,
        claim: Option<&Claimed>,
    ) -> Result<bool, StoreError> {
        let running = vec![(":running", text(Status::InProgress.name()))];
        self.end_response(run, end, RUNNING.to_owned(), running, claim).await
    }

    /// Ends a response that nobody runs: one that waits too long, or whose run died. `false` if it is not as it was seen.
    ///
    /// # Errors
    /// If a store fails.
    pub async fn abandon_response(&self, seen: &ResponseRecord, end: &End) -> Result<bool, StoreError> {
        // The run that is given up may still write a chunk: under its own fence, which is below this one's.
        let mine = ResponseRecord { fence: seen.fence + 1, ..seen.clone() };
        let condition = "fence = :before AND run_status = :status AND lease_until = :lease".to_owned();
        let values = vec![
            (":before", number(seen.fence)),
            (":status", text(seen.status.name())),
            (":lease", number(seen.lease_until.0)),
        ];
        self.end_response(&mine, end, condition, values, None).await
    }

    async fn end_response(
        &self,
        run: &ResponseRecord,
        end: &End,
        condition: String,
        mut values: Vec<(&'static str, AttributeValue)>,
        claim: Option<&Claimed>,
    ) -> Result<bool, StoreError> {
        let ResponseKey { project_id, response_id } = &run.key;
        let mut update =
            "SET run_status = :end, fence = :fence, next_sequence = :next, finished_ms = :now, tokens_used = :usage, \
                          cost = :cost, end_owner = :owner"
                .to_owned();
        let owner = id::random(12);
        values.extend([
            (":fence", number(run.fence)),
            (":end", text(end.status.name())),
            (":next", number(end.next_sequence)),
            (":now", number(end.finished_at.0)),
            (":usage", usage_text(&end.usage)),
            (":cost", number(end.cost.0)),
            (":owner", text(&owner)),
        ]);
        match end.due_at {
            Some(due_at) => {
                update.push_str(", due_at = :due, due_shard = :shard");
                values.extend([(":due", number(due_at.0)), (":shard", text(due_shard(response_id)))]);
            }
            None => update.push_str(" REMOVE due_at, due_shard"),
        }
        let change = Change { update, condition, values, ..Change::default() };
        let mut out = keys::response_end(project_id, response_id).into_item();
        self.pack(project_id, &mut out, &end.response).await?;
        out.insert("expires_at".to_owned(), number(expires_at(run)));
        let mut writes = vec![Write::Change(keys::response(project_id, response_id), change), Write::Create(out)];
        if end.next_sequence > end.first_sequence {
            writes.push(Write::Put(self.events_item(run, end.first_sequence, &end.events).await?));
        }
        if let Some(Claimed { lease, end, follows }) = claim {
            writes.push(self.end_of_run(lease, end.clone(), follows.then_some(response_id)).await?);
        }
        for tried in 0..END_TRIES {
            if tried > 0 {
                conflict_pause(tried).await;
            }
            if self.table.transact(writes.clone()).await? {
                return Ok(true);
            }
            let item = self.table.get(keys::response(project_id, response_id)).await?;
            let Some(item) = item else { return Ok(false) };
            // The SDK repeated a transaction that had taken effect.
            if Reader(&item).maybe_text("end_owner").as_deref() == Some(&owner) {
                return Ok(true);
            }
            let as_it_was = record(&item, None)?
                .is_some_and(|now| now.fence == run.fence && now.status == run.status && !now.status.is_terminal());
            if !as_it_was {
                return Ok(false);
            }
            if let Some(claim) = claim
                && !self.is_held(&claim.lease).await?
            {
                return Ok(false);
            }
        }
        Err(StoreError::table("end the response")("its transaction was cancelled too often"))
    }
}

/// A transaction is cancelled by a follower's mark or a sweeper's at the same moment.
const END_TRIES: u32 = 8;
