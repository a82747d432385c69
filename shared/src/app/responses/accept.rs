//! The one parallel round trip before a response is made or queued: claim the idempotency key, admit.

use std::time::Duration;

use bytes::Bytes;

use super::foreground::Running;
use super::keep::record;
use super::stored::StoredRequest;
use super::{GRACE_MS, Job, LIFETIME_MS};
use crate::app::admission::{Ask, Ticket};
use crate::app::answer::{Answer, CallMetadata, ResponseSender};
use crate::app::bound;
use crate::app::dispatch::ErrorChain;
use crate::app::error::Error;
use crate::app::gateway::Gateway;
use crate::app::idempotency::{Decided, Followed, finished, refused};
use crate::app::stream;
use crate::data::{Claimed, EventReader, NewResponse, Queue, Record, ResponseRecord};
use crate::dialects::openai_responses::{EventBuilder, Status};
use crate::model::message::{Message, ResponseKey};
use crate::model::money::MicroUsd;

/// A message that was lost is found after this time.
pub(super) const LOST_AFTER_MS: u64 = 60_000;
/// Who asks for a stream follows it at least this long.
pub(super) const WATCH_MS: u64 = 30_000;

const JSON: &str = "application/json";

enum Start {
    Run(Running),
    Follow(Record, Option<Ticket>),
}

impl Gateway {
    /// Runs a request for a response to its end; whatever happens, the caller gets an answer or an error.
    pub(super) async fn answer_response(&self, job: Job, mut sender: ResponseSender) {
        loop {
            match self.start_response(&job).await {
                Err(error) => return sender.fail(error).await,
                Ok(Start::Run(running)) if job.request.create.background => {
                    return Box::pin(self.accept(&job, running, sender)).await;
                }
                Ok(Start::Run(running)) => {
                    let lease = running.lease.clone();
                    tokio::select! {
                        biased;
                        () = Box::pin(self.make_response(&job, running, sender)) => return,
                        never = self.keep(lease.as_ref()) => match never {},
                    }
                }
                Ok(Start::Follow(record, ticket)) => match self.repeat(&job, record, ticket, &mut sender).await {
                    Ok(Followed::Died) => {}
                    Ok(Followed::Told | Followed::Response(_)) => return,
                    Err(error) => return sender.fail(error).await,
                },
            }
        }
    }

    async fn start_response(&self, job: &Job) -> Result<Start, Error> {
        let background = job.request.create.background;
        let queued_until = job.created_at.plus_ms(LIFETIME_MS).plus_ms(GRACE_MS);
        let ask = Ask {
            project: &job.caller.project,
            model: &job.model.name,
            amount: job.model.price.map_or(MicroUsd(0), |price| price.worst_case(&job.bound)),
            tokens: bound::expected_tokens(&job.bound, &job.chat, &job.caller.project.policy),
            lease_until: if background { queued_until } else { job.over_at },
            accountable: bound::can_be_accounted(&job.chat, &job.model),
        };
        let begun_at = tokio::time::Instant::now();
        let (claim, ticket, ()) =
            tokio::join!(self.claim(job.plan.as_ref()), self.admit(&ask), self.refresh_breakers(&job.model),);
        let (lease, ticket) = match self.decide(claim, ticket, job.request.terms.render_error).await? {
            Decided::Run(lease, ticket) => (lease, ticket),
            Decided::Follow(record, ticket) => return Ok(Start::Follow(record, ticket)),
        };
        let facts = CallMetadata {
            model: job.model.name.clone(),
            rates: ticket.rates,
            admission: begun_at.elapsed(),
            ..CallMetadata::default()
        };
        Ok(Start::Run(Running { ticket, lease, facts }))
    }

    /// Gives a caller what another request with its key got or gets.
    async fn repeat(
        &self,
        job: &Job,
        record: Record,
        ticket: Option<Ticket>,
        sender: &mut ResponseSender,
    ) -> Result<Followed, Error> {
        let Some(plan) = &job.plan else { return Ok(Followed::Told) };
        if let Some(ticket) = &ticket {
            self.release(ticket).await; // Nothing is held while waiting.
        }
        let facts = CallMetadata {
            replayed: true,
            cost: Some(MicroUsd(0)),
            model: job.model.name.clone(),
            rates: ticket.as_ref().map(|ticket| ticket.rates).unwrap_or_default(),
            ..CallMetadata::default()
        };
        let waiting = tokio::time::timeout_at(job.deadline, self.follow(plan, record, sender, facts.clone()));
        let Ok(followed) = waiting.await else {
            return Err(Error::Contended("this Idempotency-Key's request, which is still running"));
        };
        if let Followed::Response(response_id) = followed? {
            let key = ResponseKey { response_id, ..job.key.clone() };
            let found = self.stores.response(&key).await?.filter(|found| !found.deleted);
            found.ok_or_else(|| Error::NotFound { kind: "response", id: key.response_id.clone() })?;
            sender.begin(Answer::head(200, stream::CONTENT_TYPE, None, facts));
            self.follow_events(&key, EventReader::after(None), job.deadline, sender).await;
        }
        Ok(Followed::Told)
    }

    /// Accepts a response to be made in the background: from here on it ends in a terminal status, whatever dies.
    async fn accept(&self, job: &Job, running: Running, mut sender: ResponseSender) {
        let skeleton = job.request.create.skeleton(&job.key.response_id, job.created_at, Status::Queued);
        let mut builder = EventBuilder::new(skeleton.clone(), 0, job.created_at);
        let first = [builder.created_event(Status::Queued), builder.queued_event()];
        let stream = job.request.create.stream;
        let record = ResponseRecord {
            fence: 0,
            runs: 0,
            next_sequence: first.len() as u64,
            watched_until: if stream { job.created_at.plus_ms(WATCH_MS) } else { job.created_at },
            due_at: Some(job.created_at.plus_ms(LOST_AFTER_MS)),
            holding: Some(running.ticket.kept(1, job.bound)),
            ..record(job, Status::Queued)
        };
        let events: Vec<u8> = first.iter().flat_map(|event| event.sse().to_vec()).collect();
        let request = StoredRequest::of(job, skeleton.clone()).limited(job.limit(&running.ticket)).to_bytes();
        let body = skeleton.to_bytes();
        let end =
            if stream { finished(200, stream::CONTENT_TYPE, Bytes::new()) } else { finished(200, JSON, body.clone()) };
        let claim = running.lease.clone().map(|lease| Claimed { lease, end, follows: stream });
        let new = NewResponse { record, request, events: events.into(), response: None, claim };
        if let Err(error) = self.write_job(&new, &running).await {
            let end = refused(&(job.request.terms.render_error)(&error));
            self.conclude(running.lease.as_ref(), false, end).await;
            return sender.fail(error).await;
        }
        self.wake(&new.record, Duration::ZERO).await;
        if stream {
            sender.begin(Answer::head(200, stream::CONTENT_TYPE, None, running.facts));
            self.follow_events(&job.key, EventReader::after(None), job.deadline, &mut sender).await;
        } else {
            sender.begin(Answer::head(200, JSON, Some(body.len()), running.facts));
            sender.send(body).await;
        }
    }

    /// Writes an accepted response, together with the end of its idempotency key's run: one key makes one response. If it
    /// was not written its hold is given back; while nobody knows whether it was, the hold stays.
    async fn write_job(&self, new: &NewResponse, running: &Running) -> Result<(), Error> {
        let failure = match self.stores.create_response(new).await {
            Ok(true) => return Ok(()),
            Ok(false) => Error::Contended("this Idempotency-Key's request"),
            Err(error) => match self.stores.void_response(&new.record).await {
                Ok(true) => error.into(),
                Ok(false) => return Ok(()), // It was written all the same.
                Err(_) => return Err(error.into()),
            },
        };
        self.release(&running.ticket).await;
        Err(failure)
    }

    /// Sends the message that wakes a worker. If it is lost the due index finds the response.
    pub(super) async fn wake(&self, record: &ResponseRecord, delay: Duration) {
        let message = Message::new(record.key.clone(), record.traceparent.clone()).to_json();
        let sent = self.stores.queues.send(Queue::Respond, &record.key.project_id, message, delay).await;
        if let Err(error) = sent {
            tracing::error!(error = %ErrorChain(&error), "worker not woken, the sweeper will");
        }
    }
}
