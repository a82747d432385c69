//! Idempotency records: each says which run has its request, and holds the answer of the last run.
//!
//! One conditional write claims a record under a lease and a fence. While a run streams a long answer it writes the body
//! in parts, so that other callers can follow it. The rest of the body goes into the record itself, or into the bucket
//! if it is large. Bodies are compressed.

mod creations;
mod erasing;
mod parts;
mod runs;

use bytes::Bytes;

pub(super) use creations::create;
pub use creations::{CreateOutcome, Creation, CreationRecords, NewCreation};
pub use parts::PartReader;
pub(super) use runs::LeaseState;
pub use runs::{ClaimOutcome, ClaimRequest};

use super::bodies::unpack_attribute;
use super::bucket::Bucket;
use super::error::StoreError;
use super::item::{Item, Reader};
use super::keys::{self, Key};
use super::table::Table;
use crate::model::clock::Timestamp;
use crate::model::id::Fingerprint;

/// Identifies a record: the hash of scope (method, path) and idempotency key, within a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordKey {
    pub project_id: String,
    pub hash: Fingerprint,
}

impl RecordKey {
    fn key(&self) -> Key {
        keys::idempotency(&self.project_id, self.hash.as_str())
    }
}

/// The right to run a request. Every later write of the run has its fence as a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub key: RecordKey,
    pub fence: u64,
    /// How long the record is kept, from the last renewal of the lease or from the end of the run.
    pub kept_seconds: u64,
}

impl Lease {
    /// The claim that the lease came with.
    #[must_use]
    pub fn claim(&self) -> KeyClaim {
        KeyClaim { key: self.key.clone(), fence: self.fence }
    }
}

/// One claim of a record. No other claim of the record has its fence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyClaim {
    pub key: RecordKey,
    pub fence: u64,
}

/// A record, as the table holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub fingerprint: String,
    pub fence: u64,
    /// The response whose events are the answer, if the run writes one. Other callers follow that response.
    pub response_id: Option<String>,
    pub state: RecordState,
    /// Unix seconds. After this a record counts as absent, unless its run has the lease. DynamoDB deletes it some time
    /// later. Each renewal moves it, so that a record outlives its lease.
    pub expires_at: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordState {
    /// A run has the request until the lease ends.
    Running { lease_until: Timestamp },
    /// The request succeeded.
    Done(StoredAnswer),
    /// The request failed. Callers that waited get this answer; a later call runs the request again.
    Failed(StoredAnswer),
    /// The response that the request made was deleted. Nothing of the answer is left, and no call runs the request again.
    Erased,
}

/// The answer of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredAnswer {
    pub status: u16,
    pub content_type: String,
    /// The end of the body, from byte `tail_at`. The parts hold the bytes before it.
    pub tail: Bytes,
    pub tail_at: u64,
    /// The tail's key in the bucket, if it is there instead.
    pub blob: Option<String>,
    /// Of a failure: the milliseconds after which the caller should retry, and whether a retry can help.
    pub retry_after_ms: Option<u64>,
    pub should_retry: Option<bool>,
}

const RUNNING: &str = "running";
const DONE: &str = "done";
const FAILED: &str = "failed";
const ERASED: &str = "erased";

/// The idempotency records of all projects.
#[derive(Clone, Debug)]
pub struct IdempotencyRecords {
    pub(super) table: Table,
    pub(super) bucket: Bucket,
}

impl IdempotencyRecords {
    /// Returns a record, expired or not.
    pub async fn record(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        self.table.get(key.key()).await?.map(|item| read_record(&item)).transpose()
    }
}

fn read_record(item: &Item) -> Result<Record, StoreError> {
    let reader = Reader(item);
    let state = match reader.text("run_state")?.as_str() {
        RUNNING => RecordState::Running { lease_until: Timestamp(reader.number("lease_until")?) },
        DONE => RecordState::Done(read_answer(&reader)?),
        FAILED => RecordState::Failed(read_answer(&reader)?),
        ERASED => RecordState::Erased,
        _ => return Err(reader.damaged("run_state")),
    };
    Ok(Record {
        fingerprint: reader.text("fingerprint")?,
        fence: reader.number("fence")?,
        response_id: reader.maybe_text("response_id"),
        state,
        expires_at: reader.number("expires_at")?,
    })
}

fn read_answer(reader: &Reader) -> Result<StoredAnswer, StoreError> {
    let blob = reader.maybe_text("blob_key");
    Ok(StoredAnswer {
        status: reader.number("http_status")?,
        content_type: reader.text("content_type")?,
        tail: if blob.is_some() { Bytes::new() } else { unpack_attribute(reader, "tail")?.unwrap_or_default() },
        tail_at: reader.number("tail_at")?,
        blob,
        retry_after_ms: reader.maybe_number("retry_after_ms")?,
        should_retry: reader.maybe_number::<u8>("should_retry")?.map(|flag| flag == 1),
    })
}
