//! Following another run of the same request: its answer is replayed as far as it is stored, then as it grows.

use bytes::Bytes;

use super::{Idempotency, KeyPlan, repeated_error};
use crate::app::answer::{CallMetadata, ResponseSender};
use crate::app::error::Error;
use crate::data::{PartReader, Record, RecordState, StoredAnswer};
use crate::dialects::ContentType;
use crate::model::backoff::Backoff;

/// The outcome of following another run.
#[derive(Debug)]
pub(in crate::app) enum Followed {
    /// The caller got its answer.
    Answered,
    /// That run died before it sent anything: this caller may try.
    Died,
    /// The answer is the event stream of this response.
    Response(String),
}

/// How often the record is read while the run goes on.
const POLL: Backoff = Backoff::new(20, 500);

impl Idempotency {
    /// Gives a caller the answer that another run of the same request produces.
    ///
    /// # Errors
    /// `Repeated` with the error of that run; `ResponseDeleted`.
    pub(in crate::app) async fn follow(
        &self,
        plan: &KeyPlan,
        first: Record,
        sender: &mut ResponseSender,
        metadata: CallMetadata,
    ) -> Result<Followed, Error> {
        let fence = first.fence;
        let mut seen = Some(first);
        let mut reader = PartReader::default();
        let mut tried = 0;
        loop {
            let record = match seen.take() {
                Some(record) => Some(record),
                None => self.records.record(&plan.key).await?,
            };
            let Some(record) = record.filter(|record| record.fence == fence) else {
                return Ok(die(sender).await);
            };
            if record.state == RecordState::Erased {
                return Err(Error::ResponseDeleted(record.response_id.unwrap_or_default()));
            }
            let is_error = matches!(&record.state, RecordState::Failed(answer) if answer.status >= 400);
            if let Some(response_id) = record.response_id.filter(|_| !is_error) {
                return Ok(Followed::Response(response_id));
            }
            // Parts go out before the end is looked at: a run writes its end after its last part.
            let parts = self.records.parts(&plan.key, fence, &mut reader).await?;
            match record.state {
                RecordState::Failed(answer) if is_error && !sender.has_begun() => {
                    let body = self.records.tail(&answer, &mut reader).await?;
                    return Err(repeated_error(&answer, body));
                }
                RecordState::Done(answer) | RecordState::Failed(answer) => {
                    let tail = self.records.tail(&answer, &mut reader).await?;
                    replay(&answer, parts, tail, sender, metadata).await;
                    return Ok(Followed::Answered);
                }
                RecordState::Running { .. } if !parts.is_empty() => {
                    sender.begin_stream(metadata.clone());
                    sender.send(parts).await;
                }
                RecordState::Running { lease_until } if !self.clock.now().is_before(lease_until, super::LEASE_MS) => {
                    return Ok(die(sender).await);
                }
                RecordState::Running { .. } | RecordState::Erased => {}
            }
            POLL.wait(tried).await;
            tried += 1;
        }
    }
}

/// Sends the rest of a finished answer.
async fn replay(answer: &StoredAnswer, parts: Bytes, tail: Bytes, sender: &mut ResponseSender, metadata: CallMetadata) {
    let length = (!sender.has_begun()).then_some(parts.len() + tail.len());
    sender.begin(ContentType::from_name(&answer.content_type), length, metadata);
    sender.send(parts).await;
    sender.send(tail).await;
}

/// The followed run is dead. This caller may try if its answer has not begun; else it learns of the break.
async fn die(sender: &mut ResponseSender) -> Followed {
    if !sender.has_begun() {
        return Followed::Died;
    }
    sender.interrupt("The request that this one followed was interrupted. Send it again.").await;
    Followed::Answered
}
