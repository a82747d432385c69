//! Responses: each has one record with a fence, its request, its events in chunks, and its end.
//!
//! A record is small, because every write is billed by the size of the item, and a run writes its record every two
//! seconds. Every write of a run has the run's fence as a condition.

mod ending;
mod erasing;
mod events;
mod jobs;
mod reading;
mod record;
mod reservation;
mod runs;

use bytes::Bytes;

pub use ending::ResponseEnd;
pub use erasing::Erasure;
pub use events::EventReader;
pub use jobs::{CancelOutcome, JobPage, JobRecords};
pub use reading::{ResponseBody, StoredResponse};
pub use record::ResponseRecord;
pub use reservation::StoredReservation;
pub use runs::{CommitOutcome, RequeueReason};

use super::bodies::Bodies;
use super::bucket::Shelf;
use super::change::{Write, WriteOutcome};
use super::error::StoreError;
use super::idempotency::{IdempotencyRecords, KeyClaim, Lease, StoredAnswer};
use super::item::{Item, insert, number};
use super::keys::{self, Key};
use super::table::{Table, conflict_pause};
use crate::model::clock::Timestamp;
use crate::model::message::ResponseKey;
use crate::model::response::Status;
use record::{expires_at, to_item};

/// Another transaction on the same items at the same moment cancels this one.
const CREATE_TRIES: u32 = 4;

/// A response to be stored for the first time.
pub struct NewResponse {
    pub record: ResponseRecord,
    /// The request as JSON.
    pub request: Bytes,
    /// Its first events, in the format that clients get.
    pub events: Bytes,
    /// The response object, if it has ended already.
    pub response: Option<Bytes>,
    /// Completes the idempotency key of the request: one key never makes two responses.
    pub key: Option<KeyCompletion>,
    /// The claim of the request's idempotency key, by which a deletion finds the answers that the key repeats.
    pub claim: Option<KeyClaim>,
    /// When the sweeper erases the response, if it is not to stay.
    pub erased_at: Option<Timestamp>,
}

/// The completion of an idempotency key in the same transaction as a response.
pub struct KeyCompletion {
    pub lease: Lease,
    /// The answer for callers that repeat the request.
    pub answer: StoredAnswer,
    /// Whether these callers follow the response instead.
    pub follows: bool,
}

/// The responses of all projects.
#[derive(Clone, Debug)]
pub struct ResponseRecords {
    pub(super) table: Table,
    pub(super) bodies: Bodies,
    pub(super) idempotency: IdempotencyRecords,
}

impl ResponseRecords {
    /// Stores a new response, all of it or nothing. `Refused`: another run has the idempotency key.
    /// If it fails, the response may exist: see [`ResponseRecords::void`].
    pub async fn create(&self, new: &NewResponse) -> Result<WriteOutcome, StoreError> {
        let writes = self.creation_writes(new).await?;
        for tried in 0..CREATE_TRIES {
            // The id is new: if the response exists, the SDK repeated a write that had taken effect.
            if self.table.transact(writes.clone()).await?.is_written() || self.get(&new.record.key).await?.is_some() {
                return Ok(WriteOutcome::Written);
            }
            conflict_pause(tried).await;
        }
        Ok(WriteOutcome::Refused)
    }

    async fn creation_writes(&self, new: &NewResponse) -> Result<Vec<Write>, StoreError> {
        let of = &new.record.key;
        let mut bodies = Vec::new();
        if !new.events.is_empty() {
            bodies.push((keys::response_events(of, 0, 0), &new.events));
        }
        if let Some(response) = &new.response {
            bodies.push((keys::response_end(of), response));
        }
        let mut request = self.body_item(&new.record, keys::response_request(of), &new.request).await?;
        erasing::insert_claim(&mut request, new.claim.as_ref());
        let mut writes = vec![Write::Create(to_item(&new.record)), Write::Create(request)];
        for (key, body) in bodies {
            writes.push(Write::Create(self.body_item(&new.record, key, body).await?));
        }
        if new.record.background {
            let expires_at = ("expires_at", number(expires_at(&new.record)));
            writes.push(Write::Create(keys::job(&of.project_id, &of.response_id).with([expires_at])));
        }
        if let Some(due_at) = new.erased_at {
            let erasure = Erasure { key: of.clone(), claim: new.claim.clone() };
            writes.push(Write::Create(erasing::to_item(&erasure, due_at)));
        }
        if let Some(key) = &new.key {
            writes.push(self.complete_key(key, of).await?);
        }
        Ok(writes)
    }

    /// Makes an item with a body. Puts a large body into the bucket.
    async fn body_item(&self, record: &ResponseRecord, key: Key, body: &Bytes) -> Result<Item, StoreError> {
        let mut item = key.with([("expires_at", number(expires_at(record)))]);
        let shelf = Shelf::of(record.items_kept_seconds());
        self.bodies.pack(shelf, &folder(&record.key), &mut item, body).await?;
        Ok(item)
    }

    /// Makes the write that completes the idempotency key of a response.
    async fn complete_key(&self, key: &KeyCompletion, response: &ResponseKey) -> Result<Write, StoreError> {
        let followed = key.follows.then_some(response.response_id.as_str());
        self.idempotency.completion_write(&key.lease, key.answer.clone(), followed).await
    }

    /// Prevents a response whose creation failed: it does not exist after this, and never will. `Refused`: it exists.
    pub async fn void(&self, record: &ResponseRecord) -> Result<WriteOutcome, StoreError> {
        let void = ResponseRecord { status: Status::Failed, due_at: None, reservation: None, ..record.clone() };
        let mut item = to_item(&void);
        insert(&mut item, [("deleted", number(1))]);
        // Without the condition, this would destroy a response whose creation took effect without an answer. Without its second
        // half, this write would take itself for that response when the SDK repeats it: then nobody would run the job that its
        // client was told of, and its reservation would be charged a day later.
        self.table.put_if(item, "attribute_not_exists(pk) OR deleted = :one", [(":one", number(1))]).await
    }
}

/// The folder of a response's bodies in the bucket.
fn folder(ResponseKey { project_id, response_id }: &ResponseKey) -> String {
    format!("{project_id}/{response_id}")
}
