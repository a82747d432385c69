//! Idempotency records: who runs a request, and what came of it.
//!
//! The record is claimed with one conditional write under a lease and a fence. The body of an answer that takes long is
//! written in parts while it is produced, so that others can follow it; what remains is in the record itself, or in the
//! bucket if it is large.

use bytes::{Bytes, BytesMut};

use super::Stores;
use super::bucket::INLINE_BYTES;
use super::error::StoreError;
use super::item::{Item, Reader, binary, number, text};
use super::keys;
use super::table::{Change, Outcome};
use crate::model::clock::Instant;
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
}

/// What the table holds under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub fingerprint: String,
    pub fence: u64,
    pub state: RecordState,
    /// Unix seconds; a record past it counts as absent.
    pub expires_at: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordState {
    /// Somebody runs the request, until the lease ends.
    Running { lease_until: Instant },
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
    /// What of the body is not in parts.
    pub tail: Bytes,
    /// Key of the tail in the bucket, if it is there instead.
    pub blob: Option<String>,
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
        lease_until: Instant,
        expires_at: u64,
        now: Instant,
        afresh: bool,
    ) -> Result<Result<Lease, Record>, StoreError> {
        let condition = if afresh {
            ""
        } else {
            "attribute_not_exists(pk) OR expires_at <= :now_s \
             OR (fingerprint = :fingerprint AND (run_state = :failed OR (run_state = :running AND lease_until <= :now)))"
        };
        let mut values = vec![
            (":running", text(RUNNING)),
            (":fingerprint", text(fingerprint.as_str())),
            (":lease", number(lease_until.0)),
            (":expires", number(expires_at)),
            (":zero", number(0)),
            (":one", number(1)),
        ];
        if !afresh {
            values.extend([(":failed", text(FAILED)), (":now", number(now.0)), (":now_s", number(now.seconds()))]);
        }
        let change = Change {
            update:
                "SET run_state = :running, fingerprint = :fingerprint, lease_until = :lease, expires_at = :expires, \
                     fence = if_not_exists(fence, :zero) + :one REMOVE tail, blob_key, content_type, http_status"
                    .to_owned(),
            condition: condition.to_owned(),
            values,
            returning: true,
            ..Change::default()
        };
        match self.table.update(keys::idempotency(&key.project_id, key.hash.as_str()), change).await? {
            Outcome::Done(changed) => Ok(Ok(Lease { key: key.clone(), fence: Reader(&changed).number("fence")? })),
            Outcome::Refused(item) => Ok(Err(record(&item.unwrap_or_default())?)),
        }
    }

    /// Extends a lease. `false` if it was lost to another run.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn renew(&self, lease: &Lease, until: Instant) -> Result<bool, StoreError> {
        let update = "SET lease_until = :until".to_owned();
        self.fenced(lease, update, vec![(":until", number(until.0))]).await
    }

    /// Ends a run. `false` if the lease was lost to another run; nothing is written then.
    ///
    /// # Errors
    /// If a store fails.
    pub async fn finish(&self, lease: &Lease, success: bool, mut end: Finished) -> Result<bool, StoreError> {
        if end.tail.len() > INLINE_BYTES {
            let body = std::mem::take(&mut end.tail);
            end.blob = Some(self.bucket.put_body(&lease.key.project_id, body).await?);
        }
        let mut update =
            "SET run_state = :end, http_status = :status, content_type = :content_type, tail = :tail".to_owned();
        let mut values = vec![
            (":end", text(if success { DONE } else { FAILED })),
            (":status", number(end.status)),
            (":content_type", text(end.content_type)),
            (":tail", binary(&end.tail)),
        ];
        if let Some(blob) = end.blob {
            update.push_str(", blob_key = :blob");
            values.push((":blob", text(blob)));
        }
        self.fenced(lease, update, values).await
    }

    /// A write of the runner: only while the record is running under its fence.
    async fn fenced(
        &self,
        lease: &Lease,
        update: String,
        mut values: Vec<(&'static str, aws_sdk_dynamodb::types::AttributeValue)>,
    ) -> Result<bool, StoreError> {
        values.extend([(":fence", number(lease.fence)), (":running", text(RUNNING))]);
        let condition = "fence = :fence AND run_state = :running".to_owned();
        let change = Change { update, condition, values, ..Change::default() };
        let key = keys::idempotency(&lease.key.project_id, lease.key.hash.as_str());
        Ok(matches!(self.table.update(key, change).await?, Outcome::Done(_)))
    }

    /// Writes the next part of the body of a run.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn put_part(&self, lease: &Lease, n: u32, part: &Bytes, expires_at: u64) -> Result<(), StoreError> {
        let mut item =
            keys::idempotency_part(&lease.key.project_id, lease.key.hash.as_str(), lease.fence, n).into_item();
        item.insert("part".to_owned(), binary(part));
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

    /// The parts of a run from number `from` on, joined, and the number that comes next.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn parts(&self, key: &RecordKey, fence: u64, from: u32) -> Result<(Bytes, u32), StoreError> {
        let first = keys::idempotency_part(&key.project_id, key.hash.as_str(), fence, from);
        let last = format!("{}{}", keys::part_prefix(fence), char::MAX);
        let mut body = BytesMut::new();
        let mut next = from;
        for item in self.table.query(&first.pk, &first.sk, &last).await? {
            let part = Reader(&item).maybe_binary("part").ok_or_else(|| Reader(&item).damaged("part"))?;
            body.extend_from_slice(&part);
            next += 1;
        }
        Ok((body.freeze(), next))
    }

    /// What of a finished body is not in parts.
    ///
    /// # Errors
    /// If the bucket fails.
    pub async fn tail(&self, end: &Finished) -> Result<Bytes, StoreError> {
        match &end.blob {
            Some(blob) => self.bucket.body(blob).await,
            None => Ok(end.tail.clone()),
        }
    }
}

fn record(item: &Item) -> Result<Record, StoreError> {
    let reader = Reader(item);
    let state = match reader.text("run_state")?.as_str() {
        RUNNING => RecordState::Running { lease_until: Instant(reader.number("lease_until")?) },
        DONE => RecordState::Done(finished(&reader)?),
        FAILED => RecordState::Failed(finished(&reader)?),
        _ => return Err(reader.damaged("run_state")),
    };
    Ok(Record {
        fingerprint: reader.text("fingerprint")?,
        fence: reader.number("fence")?,
        state,
        expires_at: reader.number("expires_at")?,
    })
}

fn finished(reader: &Reader) -> Result<Finished, StoreError> {
    Ok(Finished {
        status: reader.number("http_status")?,
        content_type: reader.text("content_type")?,
        tail: reader.maybe_binary("tail").unwrap_or_default(),
        blob: reader.maybe_text("blob_key"),
    })
}
