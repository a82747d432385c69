//! The runs of a request: a run claims the record, renews its lease and completes the record.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    DONE, FAILED, IdempotencyRecords, Lease, RUNNING, Record, RecordKey, RecordState, StoredAnswer, read_record,
};
use crate::data::bodies::deflate;
use crate::data::bucket::{INLINE_BYTES, Shelf};
use crate::data::change::{Change, Returning, UpdateOutcome, Write, WriteOutcome};
use crate::data::error::StoreError;
use crate::data::item::{Reader, binary, flag, number, text};
use crate::model::clock::Timestamp;
use crate::model::id::Fingerprint;

/// A request for the right to run a request.
#[derive(Debug, Clone, Copy)]
pub struct ClaimRequest<'a> {
    pub key: &'a RecordKey,
    pub fingerprint: &'a Fingerprint,
    pub lease_until: Timestamp,
    /// See [`Lease::kept_seconds`].
    pub kept_seconds: u64,
    pub now: Timestamp,
    /// Claim the record whatever its state: only for requests that are known to be new.
    pub replace: bool,
}

/// The outcome of a claim.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimOutcome {
    /// The caller has the right to run the request.
    Claimed(Lease),
    /// Another run has the request or answered it, or the key belongs to another request. Contains the record.
    Taken(Record),
}

/// Whether a run still has its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data) enum LeaseState {
    Held,
    /// Another run has claimed the record, or the run has completed it.
    Lost,
}

/// Claims a record that is absent, or expired without a running lease, or, for the same request, failed or abandoned. A lease
/// that ends after `:latest` is from before the clock was set back, and has ended.
/// Without this condition two runs could call the provider for one key.
const CLAIMABLE: &str = "attribute_not_exists(pk) OR (expires_at <= :now_s AND (run_state <> :running OR NOT lease_until BETWEEN :next AND :latest)) \
    OR (fingerprint = :fingerprint AND (run_state = :failed OR (run_state = :running AND NOT lease_until BETWEEN :next AND :latest)))";

impl IdempotencyRecords {
    /// Claims the right to run a request.
    pub async fn claim(&self, request: &ClaimRequest<'_>) -> Result<ClaimOutcome, StoreError> {
        let &ClaimRequest { key, kept_seconds, .. } = request;
        match self.table.update(key.key(), claim_change(request)).await? {
            UpdateOutcome::Written(item) => {
                let fence = Reader(&item).number("fence")?;
                Ok(ClaimOutcome::Claimed(Lease { key: key.clone(), fence, kept_seconds }))
            }
            UpdateOutcome::Refused(item) => Ok(ClaimOutcome::Taken(read_record(&item.unwrap_or_default())?)),
        }
    }

    /// Extends a lease, and how long its record is kept. `Refused`: another run has claimed the record, or it is
    /// complete.
    pub async fn renew(&self, lease: &Lease, until: Timestamp, now: Timestamp) -> Result<WriteOutcome, StoreError> {
        let change = Change::new("SET lease_until = :until, expires_at = :expires")
            .values([(":until", number(until.0)), (":expires", expires_at(now, lease.kept_seconds))]);
        self.update_fenced(lease, change).await
    }

    pub(in crate::data) async fn lease_state(&self, lease: &Lease) -> Result<LeaseState, StoreError> {
        let holds =
            |record: &Record| record.fence == lease.fence && matches!(record.state, RecordState::Running { .. });
        let is_held = self.record(&lease.key).await?.as_ref().is_some_and(holds);
        Ok(if is_held { LeaseState::Held } else { LeaseState::Lost })
    }

    /// Makes the events of a response the answer of the run. `Refused`: another run has claimed the record, or it is
    /// complete.
    pub async fn point_to_response(&self, lease: &Lease, response_id: &str) -> Result<WriteOutcome, StoreError> {
        let change = Change::new("SET response_id = :response").values([(":response", text(response_id))]);
        self.update_fenced(lease, change).await
    }

    /// Completes a record with the answer of its run. The time that the record is kept counts from here. `Refused`:
    /// another run has claimed the record, or it is complete.
    pub async fn complete(
        &self,
        lease: &Lease,
        success: bool,
        answer: StoredAnswer,
        now: Timestamp,
    ) -> Result<WriteOutcome, StoreError> {
        let mut change = self.completion(lease, success, answer).await?;
        change.push(", expires_at = :expires", ":expires", expires_at(now, lease.kept_seconds));
        self.update_fenced(lease, change).await
    }

    /// Returns the write that completes a record with success, for a transaction. Repetitions of the request get
    /// `answer`, or follow `response_id`. The record is kept as long as its claim or its last renewal said.
    pub(in crate::data) async fn completion_write(
        &self,
        lease: &Lease,
        answer: StoredAnswer,
        response_id: Option<&str>,
    ) -> Result<Write, StoreError> {
        let mut change = self.completion(lease, true, answer).await?;
        if let Some(response_id) = response_id {
            change.push(", response_id = :response", ":response", text(response_id));
        }
        Ok(Write::Change(lease.key.key(), add_fence(lease, change)))
    }

    /// Returns the update that completes a record. Puts a large tail into the bucket first.
    async fn completion(&self, lease: &Lease, success: bool, answer: StoredAnswer) -> Result<Change, StoreError> {
        let StoredAnswer { status, content_type, tail, tail_at, mut blob, retry_after_ms, should_retry } = answer;
        let mut tail = deflate(&tail);
        if tail.len() > INLINE_BYTES {
            let shelf = Shelf::of(lease.kept_seconds);
            blob = Some(self.bucket.put(shelf, &lease.key.project_id, std::mem::take(&mut tail)).await?);
        }
        let update = "SET run_state = :end, http_status = :status, content_type = :content_type, tail = :tail, tail_at = :tail_at";
        let mut change = Change::new(update).values([
            (":end", text(if success { DONE } else { FAILED })),
            (":status", number(status)),
            (":content_type", text(content_type)),
            (":tail", binary(&tail)),
            (":tail_at", number(tail_at)),
        ]);
        if let Some(wait) = retry_after_ms {
            change.push(", retry_after_ms = :wait", ":wait", number(wait));
        }
        if let Some(should_retry) = should_retry {
            change.push(", should_retry = :should_retry", ":should_retry", flag(should_retry));
        }
        if let Some(blob) = blob {
            change.push(", blob_key = :blob", ":blob", text(blob));
        }
        Ok(change)
    }

    async fn update_fenced(&self, lease: &Lease, change: Change) -> Result<WriteOutcome, StoreError> {
        Ok(self.table.update(lease.key.key(), add_fence(lease, change)).await?.into())
    }
}

fn claim_change(request: &ClaimRequest<'_>) -> Change {
    let &ClaimRequest { fingerprint, lease_until, kept_seconds, now, replace, .. } = request;
    let update = "SET run_state = :running, fingerprint = :fingerprint, lease_until = :lease, expires_at = :expires, \
        claim_owner = :mark, fence = if_not_exists(fence, :now_s) + :one \
        REMOVE tail, tail_at, blob_key, content_type, http_status, retry_after_ms, should_retry, response_id";
    let change = Change::new(update).marked("claim_owner").returning(Returning::Changed).values([
        (":running", text(RUNNING)),
        (":fingerprint", text(fingerprint.as_str())),
        (":lease", number(lease_until.0)),
        (":expires", expires_at(now, kept_seconds)),
        // The first fence is the time: a record that DynamoDB deleted must not get the fences of its predecessor again,
        // and so that one's parts.
        (":now_s", number(now.seconds())),
        (":one", number(1)),
    ]);
    if replace {
        return change;
    }
    let latest = now.latest_end(now.until(lease_until));
    change.only_if(CLAIMABLE).values([
        (":failed", text(FAILED)),
        (":next", number(now.plus_ms(1).0)),
        (":latest", number(latest.0)),
    ])
}

/// Without this condition a run that lost its lease could overwrite the answer of the next run.
fn add_fence(lease: &Lease, change: Change) -> Change {
    change
        .only_if("fence = :fence AND run_state = :running")
        .values([(":fence", number(lease.fence)), (":running", text(RUNNING))])
}

/// When DynamoDB may delete a record.
fn expires_at(now: Timestamp, kept_seconds: u64) -> AttributeValue {
    number(now.seconds() + kept_seconds)
}
