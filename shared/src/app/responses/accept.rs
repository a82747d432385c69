//! Accepting a response for a worker.

use std::time::Duration;

use bytes::Bytes;

use super::PlannedResponse;
use super::follow::{Follower, WATCH_MS};
use super::record::chunk;
use crate::app::answer::ResponseSender;
use crate::app::error::Error;
use crate::app::generation::LOST_AFTER_MS;
use crate::app::idempotency::success_answer;
use crate::app::pipeline::OpenCall;
use crate::app::worker_queues::WorkerQueues;
use crate::data::{EventReader, KeyCompletion, Lease, NewResponse, ResponseRecord, ResponseRecords, WriteOutcome};
use crate::dialects::ContentType;
use crate::dialects::openai_responses::EventBuilder;
use crate::model::response::Status;
use crate::model::slot::Slot;

/// Accepts responses that workers make.
pub(in crate::app) struct Acceptor {
    pub(in crate::app) records: ResponseRecords,
    pub(in crate::app) queues: WorkerQueues,
    pub(in crate::app) follower: Follower,
}

impl Acceptor {
    /// Accepts a response to be made in the background: from here on it ends in a terminal status, whatever dies.
    pub(super) async fn accept(&self, open: &OpenCall<'_>, planned: &PlannedResponse, sender: &mut ResponseSender) {
        match self.begin(open, planned).await {
            Ok(slot) => self.answer(open, planned, slot, sender).await,
            Err(error) => {
                open.complete_failed(&error).await;
                sender.fail(error).await;
            }
        }
    }

    /// Takes a slot if the caller follows the response, and accepts the response.
    async fn begin(&self, open: &OpenCall<'_>, planned: &PlannedResponse) -> Result<Option<Slot>, Error> {
        let slot = match planned.create.stream {
            true => match self.follower.admit(&open.call.caller.project, Status::Queued).await {
                Ok(slot) => slot,
                Err(error) => {
                    open.release().await;
                    return Err(error);
                }
            },
            false => None,
        };
        let new = new_job(open, planned);
        if let Err(error) = self.write_job(open, &new).await {
            if let Some(slot) = &slot {
                self.follower.dismiss(slot).await;
            }
            return Err(error);
        }
        self.queues.wake_for_response(&new.record, Duration::ZERO).await;
        Ok(slot)
    }

    async fn answer(
        &self,
        open: &OpenCall<'_>,
        planned: &PlannedResponse,
        slot: Option<Slot>,
        sender: &mut ResponseSender,
    ) {
        let metadata = open.metadata.clone();
        if let Some(slot) = slot {
            let (reader, deadline) = (EventReader::after(None), open.call.time.deadline);
            sender.begin_stream(metadata);
            self.follower.follow(Some(&slot), &planned.key, reader, deadline, sender).await;
        } else {
            sender.send_whole(ContentType::Json, planned.skeleton(Status::Queued).to_bytes(), metadata).await;
        }
    }

    /// Writes an accepted response, together with the completion of its idempotency key: one key makes one response. If
    /// the response was not written, its reservation is given back. While that is unknown, the reservation stays.
    async fn write_job(&self, open: &OpenCall<'_>, new: &NewResponse) -> Result<(), Error> {
        let (error, reservation_is_free) = match self.records.create(new).await {
            Ok(WriteOutcome::Written) => {
                open.hand_over();
                return Ok(());
            }
            Ok(WriteOutcome::Refused) => (Error::Contended("this Idempotency-Key's request"), true),
            Err(error) => match self.records.void(&new.record).await {
                Ok(WriteOutcome::Written) => (error.into(), true),
                // The response was written although its answer was lost.
                Ok(WriteOutcome::Refused) => {
                    open.hand_over();
                    return Ok(());
                }
                Err(_) => (error.into(), false),
            },
        };
        match reservation_is_free {
            true => open.release().await,
            false => open.hand_over(),
        }
        Err(error)
    }
}

fn new_job(open: &OpenCall<'_>, planned: &PlannedResponse) -> NewResponse {
    let skeleton = planned.skeleton(Status::Queued);
    let mut builder = EventBuilder::new(skeleton.clone(), 0);
    let first = [builder.created_event(Status::Queued), builder.queued_event()];
    let stream = planned.create.stream;
    let record = ResponseRecord {
        fence: 0,
        runs: 0,
        begun: 0,
        next_sequence: first.len() as u64,
        watched_until: if stream { planned.created_at.plus_ms(WATCH_MS) } else { planned.created_at },
        due_at: Some(planned.created_at.plus_ms(LOST_AFTER_MS)),
        reservation: Some(open.reservation_of_first_run()),
        ..planned.record(open.call, Status::Queued)
    };
    let answer = match stream {
        true => success_answer(ContentType::EventStream, Bytes::new()),
        false => success_answer(ContentType::Json, skeleton.to_bytes()),
    };
    let key = open.lease.clone().map(|lease| KeyCompletion { lease, answer, follows: stream });
    let request = planned.stored_request(skeleton, open.output_limit());
    let claim = open.lease.as_ref().map(Lease::claim);
    NewResponse { record, request, events: chunk(&first), response: None, key, claim, erased_at: planned.erased_at() }
}
