//! Idempotency records: who runs a request, and what came of it.
//!
//! The record is claimed with one conditional write under a lease and a fence. The body of an answer that takes long is
//! written in parts while it is produced, so that others can follow it; what remains is in the record itself, or in the
//! bucket if it is large. Bodies are compressed.

use aws_sdk_dynamodb::types::AttributeValue;
use bytes::{Bytes, BytesMut};

use super::Stores;
use super::bucket::INLINE_BYTES;
use super::error::StoreError;
use super::item::{Item, Reader, binary, number, text};
use super::keys::{self, Key};
use super::packed::{deflate, inflate, packed, unpacked};
use super::table::{Change, Outcome, Returning, Write};
use crate::model::clock::Timestamp;
use crate::model::id;
use crate::model::id::Fingerprint;

/// Which record: the hash of scope (method, path) and key, within a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordKey {
    pub project_id: String,
    pub hash: Fingerprint,
}

/// The right to run a request. Every later write of the runner is conditional on its fence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub key: RecordKey,
    pub fence: u64,
    /// How long the record is kept, counted anew whenever the lease is renewed, and from the end of the run.
    pub kept_seconds: u64,
}

/// What the table holds under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub fingerprint: String,
    pub fence: u64,
    /// The response that the run writes its events to, if it does: whoever follows the run follows that.
    pub response_id: Option<String>,
    pub state: RecordState,
    /// Unix seconds; past it a record counts as absent, unless its run goes on. DynamoDB deletes it some time after that.
    /// Each renewal moves it, so that a record outlives its lease.
    pub expires_at: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordState {
    /// Somebody runs the request, until the lease ends.
    Running { lease_until: Timestamp },
    /// The request succeeded.
    Done(Finished),
    /// The request failed. Kept for those who waited for it; whoever comes later runs it again.
    Failed(Finished),
}

/// The end of a run as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finished {
    pub status: u16,
    pub content_type: String,
    /// The end of the body, from byte `tail_at`; what lies before it is in parts.
    pub tail: Bytes,
    pub tail_at: u64,
    /// Key of the tail in the bucket, if it is there instead.
    pub blob: Option<String>,
    /// Of a failure: when to try again, in milliseconds, and whether that can help.
    pub retry_after_ms: Option<u64>,
    pub should_retry: Option<bool>,
}

/// How far a reader of parts is.
///
/// A part whose write failed may be there all the same, and its bytes again in the next: parts say where they begin, and a
/// reader drops what it has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PartReader {
    next: u32,
    have: u64,
}

impl PartReader {
    /// What of a piece that begins at byte `at` is new.
    fn beyond(&mut self, at: u64, piece: Bytes) -> Bytes {
        let known = usize::try_from(self.have.saturating_sub(at)).unwrap_or(usize::MAX).min(piece.len());
        let new = piece.slice(known..);
        self.have += new.len() as u64;
        new
    }
}

const RUNNING: &str = "running";
const DONE: &str = "done";
const FAILED: &str = "failed";

impl Stores {
    /// Claims the right to run a request, if nobody has it and it is not done. A refusal brings the record.
    ///
    /// `afresh` claims whatever is there: for requests that are known to be new.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn claim(
        &self,
        key: &RecordKey,
        fingerprint: &Fingerprint,
        lease_until: Timestamp,
        kept_seconds: u64,
        now: Timestamp,
        afresh: bool,
    ) -> Result<Result<Lease, Record>, StoreError> {
        let owner = id::random(12);
        let condition = if afresh {
            ""
        } else {
            "attribute_not_exists(pk) OR (expires_at <= :now_s AND (run_state <> :running OR lease_until <= :now)) \
             OR (fingerprint = :fingerprint AND (run_state = :failed OR (run_state = :running AND lease_until <= :now)))"
        };
        let mut values = vec![
            (":running", text(RUNNING)),
            (":fingerprint", text(fingerprint.as_str())),
            (":lease", number(lease_until.0)),
            (":expires", expiry(now, kept_seconds)),
            // A record that was deleted must not begin again with the fences, and so the parts, of its predecessor.
            (":now_s", number(now.seconds())),
            (":owner", text(&owner)),
            (":one", number(1)),
        ];
        if !afresh {
            values.extend([(":failed", text(FAILED)), (":now", number(now.0))]);
        }
        let change = Change {
            update:
                "SET run_state = :running, fingerprint = :fingerprint, lease_until = :lease, expires_at = :expires, \
                     claim_owner = :owner, fence = if_not_exists(fence, :now_s) + :one REMOVE tail, tail_at, blob_key, content_type, http_status, retry_after_ms, should_retry, response_id"
                    .to_owned(),
            condition: condition.to_owned(),
            values,
            returning: Returning::Changed,
            ..Change::default()
        };
        let lease = |fence| Lease { key: key.clone(), fence, kept_seconds };
        match self.table.update(keys::idempotency(&key.project_id, key.hash.as_str()), change).await? {
            Outcome::Done(changed) => Ok(Ok(lease(Reader(&changed).number("fence")?))),
            Outcome::Refused(item) => {
                let item = item.unwrap_or_default();
                let found = record(&item)?;
                // The SDK repeated a claim that had taken effect: it is ours.
                if Reader(&item).maybe_text("claim_owner").as_deref() == Some(&owner) {
                    return Ok(Ok(lease(found.fence)));
                }
                Ok(Err(found))
            }
        }
    }

    /// Extends a lease, and how long its record is kept. `false` if it was lost to another run.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn renew(&self, lease: &Lease, until: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        let update = "SET lease_until = :until, expires_at = :expires".to_owned();
        let values = vec![(":until", number(until.0)), (":expires", expiry(now, lease.kept_seconds))];
        self.fenced(lease, update, values).await
    }

    /// Whether a run still has the lease.
    pub(super) async fn is_held(&self, lease: &Lease) -> Result<bool, StoreError> {
        let running = |record: &Record| matches!(record.state, RecordState::Running { .. });
        Ok(self.record(&lease.key).await?.is_some_and(|record| record.fence == lease.fence && running(&record)))
    }

    /// Says that the run's answer is the event stream of a response. `false` if the lease was lost to another run.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn point(&self, lease: &Lease, response_id: &str) -> Result<bool, StoreError> {
        self.fenced(lease, "SET response_id = :response".to_owned(), vec![(":response", text(response_id))]).await
    }

    /// Ends a run; how long its record is kept counts from here. `false` if the lease was lost to another run; nothing
    /// is written then.
    ///
    /// # Errors
    /// If a store fails.
    pub async fn finish(
        &self,
        lease: &Lease,
        success: bool,
        end: Finished,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let (mut update, mut values) = self.ending(lease, success, end).await?;
        update.push_str(", expires_at = :expires");
        values.push((":expires", expiry(now, lease.kept_seconds)));
        self.fenced(lease, update, values).await
    }

    /// The write that ends a run with success, for a transaction: whoever repeats the request gets `end`, or follows the
    /// response that is named. The record is kept as long as its claim or the last renewal said.
    pub(super) async fn end_of_run(
        &self,
        lease: &Lease,
        end: Finished,
        response_id: Option<&str>,
    ) -> Result<Write, StoreError> {
        let (mut update, mut values) = self.ending(lease, true, end).await?;
        if let Some(response_id) = response_id {
            update.push_str(", response_id = :response");
            values.push((":response", text(response_id)));
        }
        let (key, change) = fenced_change(lease, update, values);
        Ok(Write::Change(key, change))
    }

    async fn ending(&self, lease: &Lease, success: bool, mut end: Finished) -> Result<Ending, StoreError> {
        let mut tail = deflate(&end.tail);
        if tail.len() > INLINE_BYTES {
            end.blob = Some(self.bucket.put_body(&lease.key.project_id, std::mem::take(&mut tail)).await?);
        }
        let mut update =
            "SET run_state = :end, http_status = :status, content_type = :content_type, tail = :tail, tail_at = :tail_at".to_owned();
        let mut values = vec![
            (":end", text(if success { DONE } else { FAILED })),
            (":status", number(end.status)),
            (":content_type", text(end.content_type)),
            (":tail", binary(&tail)),
            (":tail_at", number(end.tail_at)),
        ];
        if let Some(wait) = end.retry_after_ms {
            update.push_str(", retry_after_ms = :wait");
            values.push((":wait", number(wait)));
        }
        if let Some(should_retry) = end.should_retry {
            update.push_str(", should_retry = :should_retry");
            values.push((":should_retry", number(u8::from(should_retry))));
        }
        if let Some(blob) = end.blob {
            update.push_str(", blob_key = :blob");
            values.push((":blob", text(blob)));
        }
        Ok((update, values))
    }

    /// A write of the runner: only while the record is running under its fence.
    async fn fenced(
        &self,
        lease: &Lease,
        update: String,
        values: Vec<(&'static str, AttributeValue)>,
    ) -> Result<bool, StoreError> {
        let (key, change) = fenced_change(lease, update, values);
        Ok(matches!(self.table.update(key, change).await?, Outcome::Done(_)))
    }

    /// Writes a part of the body of a run: what begins at byte `at`.
    ///
    /// # Errors
    /// If the table fails; the part may have been written all the same.
    pub async fn put_part(
        &self,
        lease: &Lease,
        n: u32,
        at: u64,
        part: &Bytes,
        expires_at: u64,
    ) -> Result<(), StoreError> {
        let key = keys::idempotency_part(&lease.key.project_id, lease.key.hash.as_str(), lease.fence, n);
        let mut item = key.into_item();
        item.insert("part".to_owned(), packed(part));
        item.insert("part_at".to_owned(), number(at));
        item.insert("expires_at".to_owned(), number(expires_at));
        self.table.put(item).await
    }

    /// The record under a key, expired or not.
    ///
    /// # Errors
    /// If the table fails or the item is damaged.
    pub async fn record(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        let item = self.table.get(keys::idempotency(&key.project_id, key.hash.as_str())).await?;
        item.map(|item| record(&item)).transpose()
    }

    /// What the parts of a run hold beyond what a reader has; moves the reader on.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn parts(&self, key: &RecordKey, fence: u64, reader: &mut PartReader) -> Result<Bytes, StoreError> {
        let first = keys::idempotency_part(&key.project_id, key.hash.as_str(), fence, reader.next);
        let last = format!("{}{}", keys::part_prefix(fence), char::MAX);
        let mut body = BytesMut::new();
        for item in self.table.query(&first.pk, &first.sk, &last).await? {
            let item = Reader(&item);
            let part = unpacked(&item, "part")?.ok_or_else(|| item.damaged("part"))?;
            let number = item.text("sk")?.rsplit_once('#').and_then(|(_, n)| n.parse::<u32>().ok());
            reader.next = number.ok_or_else(|| item.damaged("sk"))? + 1;
            body.extend_from_slice(&reader.beyond(item.number("part_at")?, part));
        }
        Ok(body.freeze())
    }

    /// What of a finished body is beyond what a reader has from its parts.
    ///
    /// # Errors
    /// If the bucket fails.
    pub async fn tail(&self, end: &Finished, reader: &mut PartReader) -> Result<Bytes, StoreError> {
        let tail = match &end.blob {
            Some(blob) => {
                let packed = self.bucket.body(blob).await?;
                inflate(&packed).ok_or_else(|| StoreError::bucket("read the body")("it is not as it was written"))?
            }
            None => end.tail.clone(),
        };
        Ok(reader.beyond(end.tail_at, tail))
    }
}

/// When DynamoDB may delete a record.
fn expiry(now: Timestamp, kept_seconds: u64) -> AttributeValue {
    number(now.seconds() + kept_seconds)
}

/// An update and its values.
type Ending = (String, Vec<(&'static str, AttributeValue)>);

fn fenced_change(lease: &Lease, update: String, mut values: Vec<(&'static str, AttributeValue)>) -> (Key, Change) {
    values.extend([(":fence", number(lease.fence)), (":running", text(RUNNING))]);
    let condition = "fence = :fence AND run_state = :running".to_owned();
    let key = keys::idempotency(&lease.key.project_id, lease.key.hash.as_str());
    (key, Change { update, condition, values, ..Change::default() })
}

fn record(item: &Item) -> Result<Record, StoreError> {
    let reader = Reader(item);
    let state = match reader.text("run_state")?.as_str() {
        RUNNING => RecordState::Running { lease_until: Timestamp(reader.number("lease_until")?) },
        DONE => RecordState::Done(finished(&reader)?),
        FAILED => RecordState::Failed(finished(&reader)?),
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

fn finished(reader: &Reader) -> Result<Finished, StoreError> {
    let blob = reader.maybe_text("blob_key");
    Ok(Finished {
        status: reader.number("http_status")?,
        content_type: reader.text("content_type")?,
        tail: if blob.is_some() { Bytes::new() } else { unpacked(reader, "tail")?.unwrap_or_default() },
        tail_at: reader.number("tail_at")?,
        blob,
        retry_after_ms: reader.maybe_number("retry_after_ms")?,
        should_retry: reader.maybe_number::<u8>("should_retry")?.map(|flag| flag == 1),
    })
}
