//! Idempotency: one key, one success. A request that arrives while another with its key runs waits for it or follows it.

mod creations;
mod follow;
mod plan;

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;

use super::error::{Error, RenderedError};
use crate::data::{
    ClaimOutcome, ClaimRequest, IdempotencyRecords, Lease, Record, StoreError, StoredAnswer, WriteOutcome,
};
use crate::dialects::ContentType;
use crate::model::clock::Clock;
use crate::model::error_chain::ErrorChain;

pub use creations::Made;
pub(super) use creations::{CreationKeys, gone};
pub(super) use follow::Followed;
pub(super) use plan::{KeyPlan, RETRIES_KEPT_SECONDS};

/// How long a run may be silent before another takes over; it renews three times in that time.
const LEASE_MS: u64 = 30_000;

/// Whether this caller runs the request.
#[derive(Debug)]
pub(super) enum Claim {
    /// It does; `None` if the request has no key.
    Run(Option<Lease>),
    /// Another caller runs it or ran it.
    Follow(Record),
    /// The key belongs to another request.
    Reused,
}

/// Claims keys, keeps their leases, stores the answers and replays them.
pub(super) struct Idempotency {
    records: IdempotencyRecords,
    clock: Clock,
}

impl Idempotency {
    pub(super) fn new(records: IdempotencyRecords, clock: Clock) -> Self {
        Self { records, clock }
    }

    /// Claims the right to run a request.
    pub(super) async fn claim(&self, plan: Option<&KeyPlan>) -> Result<Claim, StoreError> {
        let Some(plan) = plan else { return Ok(Claim::Run(None)) };
        let now = self.clock.now();
        let request = ClaimRequest {
            key: &plan.key,
            fingerprint: &plan.fingerprint,
            lease_until: now.plus_ms(LEASE_MS),
            kept_seconds: plan.kept_seconds,
            now,
            replace: plan.is_new,
        };
        Ok(match self.records.claim(&request).await? {
            ClaimOutcome::Claimed(lease) => Claim::Run(Some(lease)),
            ClaimOutcome::Taken(record) if record.fingerprint != plan.fingerprint.as_str() => Claim::Reused,
            ClaimOutcome::Taken(record) => Claim::Follow(record),
        })
    }

    /// Renews a lease three times in its length, until it is lost or its run is complete; never returns. A lost lease needs
    /// no reaction: the record's fence refuses every later write of this run.
    pub(super) async fn keep_lease(&self, lease: Option<&Lease>) -> Infallible {
        let Some(lease) = lease else { return std::future::pending().await };
        loop {
            tokio::time::sleep(Duration::from_millis(LEASE_MS / 3)).await;
            let now = self.clock.now();
            match self.records.renew(lease, now.plus_ms(LEASE_MS), now).await {
                Ok(WriteOutcome::Written) => {}
                Ok(WriteOutcome::Refused) => return std::future::pending().await,
                Err(error) => tracing::warn!(error = %ErrorChain(&error), "lease not renewed"),
            }
        }
    }

    /// Completes a run: the answer of a success is replayed from now on; a failure is only for the requests that wait.
    pub(super) async fn complete(&self, lease: Option<&Lease>, success: bool, answer: StoredAnswer) {
        let Some(lease) = lease else { return };
        match self.records.complete(lease, success, answer, self.clock.now()).await {
            Ok(WriteOutcome::Written) => {}
            Ok(WriteOutcome::Refused) => tracing::warn!("idempotency lease was lost, another run keeps the answer"),
            Err(error) => tracing::error!(error = %ErrorChain(&error), "answer not kept for replay"),
        }
    }

    /// Lets repeats of a request follow the response that its run writes. `false` if they cannot.
    pub(super) async fn point_to_response(&self, lease: &Lease, response_id: &str) -> bool {
        match self.records.point_to_response(lease, response_id).await {
            Ok(outcome) => outcome.is_written(),
            Err(error) => {
                tracing::error!(error = %ErrorChain(&error), "response cannot be found by its idempotency key");
                false
            }
        }
    }

    /// Writes one part of a streamed answer: the bytes that begin at byte `at`.
    ///
    /// # Errors
    /// If the table fails; the part may have been stored.
    pub(super) async fn put_part(&self, lease: &Lease, number: u32, at: u64, part: &Bytes) -> Result<(), StoreError> {
        let expires_at = self.clock.now().seconds() + lease.kept_seconds + LONGEST_RUN_SECONDS;
        self.records.put_part(lease, number, at, part, expires_at).await
    }
}

/// Parts outlive the record that names them, which is kept from the end of the run.
const LONGEST_RUN_SECONDS: u64 = 3_600;

/// A successful answer whose body is not in parts.
pub(super) fn success_answer(content_type: ContentType, body: Bytes) -> StoredAnswer {
    StoredAnswer { status: 200, content_type: content_type.name().to_owned(), tail: body, ..StoredAnswer::default() }
}

/// A failure, for the requests that wait for it.
pub(super) fn error_answer(error: &RenderedError) -> StoredAnswer {
    StoredAnswer {
        status: error.status,
        retry_after_ms: error.retry_after.and_then(|wait| u64::try_from(wait.as_millis()).ok()),
        should_retry: Some(error.should_retry),
        ..success_answer(ContentType::Json, error.body.clone())
    }
}

/// The error that another run met, as it was stored.
fn repeated_error(answer: &StoredAnswer, body: Bytes) -> Error {
    let retry_after = answer.retry_after_ms.map(Duration::from_millis);
    let should_retry = answer.should_retry.unwrap_or(true);
    Error::Repeated(RenderedError { status: answer.status, body, retry_after, should_retry })
}
