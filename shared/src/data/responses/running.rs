//! What happens to a response: claimed, written to, ended. Every write says under which condition it holds.

use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;

use super::{ResponseRecord, StoredReservation, expires_at, record};
use crate::data::Stores;
use crate::data::due::due_shard;
use crate::data::error::StoreError;
use crate::data::item::{Item, Reader, number, text};
use crate::data::keys;
use crate::data::table::{Change, Outcome, Returning};
use crate::dialects::openai_responses::Status;
use crate::model::clock::Timestamp;
use crate::model::id;
use crate::model::message::ResponseKey;

/// What became of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The caller runs it, under the record's fence.
    Yours(Box<ResponseRecord>),
    /// Somebody else does, or it has ended, or it is not to be begun yet.
    Refused(Box<ResponseRecord>),
    Absent,
}

/// Why a run gives a response back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenBack {
    /// The provider did nothing: the next run uses the same hold.
    Unused,
    /// The provider broke off; its hold is settled.
    Used,
    /// The run got no hold. It does not count.
    NotAdmitted,
}

/// Nothing but the holder of the fence writes to a running response.
pub(super) const RUNNING: &str = "fence = :fence AND run_status = :running AND attribute_not_exists(deleted)";

impl Stores {
    /// Claims a background response that is queued, or whose run died.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn claim_response(
        &self,
        key: &ResponseKey,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Claim, StoreError> {
        let owner = id::random(12);
        let change = Change {
            update: "SET run_status = :running, fence = fence + :one, runs = runs + :one, lease_until = :lease, claim_owner = :owner, \
                     due_at = :lease, due_shard = :shard"
                .to_owned(),
            condition: "attribute_exists(pk) AND background = :one AND ((run_status = :queued AND not_before <= :now) \
                        OR (run_status = :running AND lease_until <= :now))"
                .to_owned(),
            values: vec![
                (":running", text(Status::InProgress.name())),
                (":queued", text(Status::Queued.name())),
                (":one", number(1)),
                (":now", number(now.0)),
                (":lease", number(lease_until.0)),
                (":owner", text(&owner)),
                (":shard", text(due_shard(&key.response_id))),
            ],
            returning: Returning::All,
            ..Change::default()
        };
        match self.table.update(keys::response(&key.project_id, &key.response_id), change).await? {
            Outcome::Done(item) => Ok(record(&item, None)?.map_or(Claim::Absent, |mine| Claim::Yours(Box::new(mine)))),
            Outcome::Refused(None) => Ok(Claim::Absent),
            Outcome::Refused(Some(item)) => {
                let mine = Reader(&item).maybe_text("claim_owner").as_deref() == Some(&owner);
                let Some(found) = record(&item, Some(now))? else { return Ok(Claim::Absent) };
                // The SDK repeated a claim that had taken effect: it is ours.
                Ok(if mine { Claim::Yours(Box::new(found)) } else { Claim::Refused(Box::new(found)) })
            }
        }
    }

    /// Writes the hold that a run's attempt is made under. `false` if the run lost its fence.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn set_holding(&self, run: &ResponseRecord, holding: &StoredReservation) -> Result<bool, StoreError> {
        let update = "SET holding = :holding, output_bytes = :none".to_owned();
        let values = vec![(":holding", text(holding.to_text())), (":none", number(0))];
        Ok(self.run_update(run, update, values).await?.is_ok())
    }

    /// Writes a chunk of events. It counts once [`Stores::commit_events`] has said so.
    ///
    /// # Errors
    /// If a store fails; it may have been written all the same.
    pub async fn put_events(&self, run: &ResponseRecord, first: u64, events: &Bytes) -> Result<(), StoreError> {
        let item = self.events_item(run, first, events).await?;
        self.table.put(item).await
    }

    /// Makes the events below `next_sequence` count and renews the lease. The record as it is then; the other way round
    /// if the run lost its fence or the response has ended, `None` if it is gone.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn commit_events(
        &self,
        run: &ResponseRecord,
        next_sequence: u64,
        output_bytes: u64,
        lease_until: Timestamp,
    ) -> Result<Result<ResponseRecord, Option<ResponseRecord>>, StoreError> {
        let mut update = "SET next_sequence = :next, output_bytes = :bytes, lease_until = :lease".to_owned();
        // A run that the sweeper takes for dead while it lives would be run twice: the lease is what is due.
        update.push_str(", due_at = :lease");
        let values =
            vec![(":next", number(next_sequence)), (":bytes", number(output_bytes)), (":lease", number(lease_until.0))];
        let changed = self.run_update(run, update, values).await?;
        Ok(match changed {
            Ok(item) => match record(&item, None)? {
                Some(record) => Ok(record),
                None => Err(None),
            },
            Err(item) => Err(item.map(|item| record(&item, None)).transpose()?.flatten()),
        })
    }

    /// Gives a response back to the queue, to be begun again at `not_before`. `false` if the run lost its fence.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn requeue_response(
        &self,
        run: &ResponseRecord,
        not_before: Timestamp,
        due_at: Timestamp,
        why: GivenBack,
    ) -> Result<bool, StoreError> {
        let mut update = "SET run_status = :queued, not_before = :before, due_at = :due, due_shard = :shard".to_owned();
        let mut values = vec![
            (":queued", text(Status::Queued.name())),
            (":before", number(not_before.0)),
            (":due", number(due_at.0)),
            (":shard", text(due_shard(&run.key.response_id))),
        ];
        if why == GivenBack::NotAdmitted {
            update.push_str(", runs = runs - :one");
            values.push((":one", number(1)));
        }
        match run.holding.clone().filter(|_| why == GivenBack::Unused) {
            Some(holding) => {
                update.push_str(", holding = :holding");
                values.push((":holding", text(StoredReservation { fence: run.fence + 1, ..holding }.to_text())));
            }
            None => update.push_str(" REMOVE holding"),
        }
        Ok(self.run_update(run, update, values).await?.is_ok())
    }

    /// Cancels a background response that has not ended. The record as it is then; the other way round if it has ended
    /// or is not in the background, `None` if it does not exist.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn cancel_response(
        &self,
        key: &ResponseKey,
        now: Timestamp,
        due_at: Timestamp,
    ) -> Result<Result<ResponseRecord, Option<ResponseRecord>>, StoreError> {
        let owner = id::random(12);
        let change = Change {
            update:
                "SET run_status = :cancelled, finished_ms = :now, due_at = :due, due_shard = :shard, end_owner = :owner"
                    .to_owned(),
            condition: "attribute_exists(pk) AND background = :one AND run_status IN (:queued, :running)".to_owned(),
            values: vec![
                (":cancelled", text(Status::Cancelled.name())),
                (":queued", text(Status::Queued.name())),
                (":running", text(Status::InProgress.name())),
                (":one", number(1)),
                (":now", number(now.0)),
                (":due", number(due_at.0)),
                (":shard", text(due_shard(&key.response_id))),
                (":owner", text(&owner)),
            ],
            returning: Returning::All,
            ..Change::default()
        };
        Ok(match self.table.update(keys::response(&key.project_id, &key.response_id), change).await? {
            Outcome::Done(item) => Ok(record(&item, None)?.ok_or_else(|| Reader(&item).damaged("pk"))?),
            Outcome::Refused(item) => {
                let mine =
                    item.as_ref().and_then(|item| Reader(item).maybe_text("end_owner")).as_deref() == Some(&owner);
                match item.map(|item| record(&item, Some(now))).transpose()?.flatten() {
                    // The SDK repeated a write that had taken effect.
                    Some(cancelled) if mine => Ok(cancelled),
                    other => Err(other),
                }
            }
        })
    }

    /// Says that nothing is left to do for a response that has ended.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn close_response(&self, key: &ResponseKey) -> Result<(), StoreError> {
        let change = Change {
            update: "REMOVE due_at, due_shard".to_owned(),
            condition: "attribute_exists(pk) AND NOT run_status IN (:queued, :running)".to_owned(),
            values: vec![(":queued", text(Status::Queued.name())), (":running", text(Status::InProgress.name()))],
            ..Change::default()
        };
        self.table.update(keys::response(&key.project_id, &key.response_id), change).await.map(drop)
    }

    /// Moves the time at which the sweeper looks again. `false` if another sweeper was faster.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn postpone_response(&self, seen: &ResponseRecord, until: Timestamp) -> Result<bool, StoreError> {
        let Some(due_at) = seen.due_at else { return Ok(false) };
        let change = Change {
            update: "SET due_at = :until".to_owned(),
            condition: "due_at = :seen".to_owned(),
            values: vec![(":until", number(until.0)), (":seen", number(due_at.0))],
            ..Change::default()
        };
        let key = keys::response(&seen.key.project_id, &seen.key.response_id);
        Ok(matches!(self.table.update(key, change).await?, Outcome::Done(_)))
    }

    /// Says that somebody follows a response until then.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn watch_response(&self, key: &ResponseKey, until: Timestamp) -> Result<(), StoreError> {
        let change = Change {
            update: "SET watched_until = :until".to_owned(),
            condition: "attribute_exists(pk) AND watched_until < :until".to_owned(),
            values: vec![(":until", number(until.0))],
            ..Change::default()
        };
        self.table.update(keys::response(&key.project_id, &key.response_id), change).await.map(drop)
    }

    /// A write of the run that holds the fence; the item as it is then, or as it refused.
    async fn run_update(
        &self,
        run: &ResponseRecord,
        update: String,
        mut values: Vec<(&'static str, AttributeValue)>,
    ) -> Result<Result<Item, Option<Item>>, StoreError> {
        values.extend([(":fence", number(run.fence)), (":running", text(Status::InProgress.name()))]);
        let change =
            Change { update, condition: RUNNING.to_owned(), values, returning: Returning::All, ..Change::default() };
        Ok(match self.table.update(keys::response(&run.key.project_id, &run.key.response_id), change).await? {
            Outcome::Done(item) => Ok(item),
            Outcome::Refused(item) => Err(item),
        })
    }

    pub(super) async fn events_item(
        &self,
        run: &ResponseRecord,
        first: u64,
        events: &Bytes,
    ) -> Result<Item, StoreError> {
        let ResponseKey { project_id, response_id } = &run.key;
        let mut item = keys::response_events(project_id, response_id, first, run.fence).into_item();
        self.pack(project_id, &mut item, events).await?;
        item.insert("expires_at".to_owned(), number(expires_at(run)));
        Ok(item)
    }
}
