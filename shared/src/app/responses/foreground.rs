//! Responses that are made while the caller waits.

use tokio::time::Instant;

use super::Job;
use super::emit::{EventLog, EventSink, Stopped};
use super::ends::Ended;
use super::keep::account;
use super::perform::{Attempt, Flow, Flowed, NotBegun};
use crate::app::admission::Ticket;
use crate::app::answer::{Answer, CallMetadata, FinalUsage, ResponseSender};
use crate::app::bound;
use crate::app::dispatch::ErrorChain;
use crate::app::error::Error;
use crate::app::gateway::Gateway;
use crate::app::idempotency::{finished, refused};
use crate::app::stream;
use crate::data::{Claimed, Lease};
use crate::dialects::openai_responses::{Bill, EventBuilder, ResponseEvent, Status};
use crate::model::money::MicroUsd;
use crate::model::object::Object;
use crate::model::tokens::Usage;

/// A response that was admitted and is to be made.
pub(super) struct Running {
    pub(super) ticket: Ticket,
    pub(super) lease: Option<Lease>,
    pub(super) facts: CallMetadata,
}

/// A response that is being made: the provider's stream has begun.
struct Making<'a> {
    job: &'a Job,
    running: Running,
    attempt: Attempt<'a>,
    flow: Flow,
    builder: EventBuilder,
    sent_at: Instant,
}

const JSON: &str = "application/json";

impl Gateway {
    /// Makes a response. The caller gets events or the whole response; the books are closed before the answer ends.
    pub(super) async fn make_response(&self, job: &Job, mut running: Running, sender: ResponseSender) {
        let skeleton = job.request.create.skeleton(&job.key.response_id, job.created_at, Status::InProgress);
        let mut builder = EventBuilder::new(skeleton.clone(), 0, job.created_at);
        let first = [builder.created_event(Status::InProgress), builder.in_progress_event()];
        let chat = bound::limited(job.chat.object.clone(), job.limit(&running.ticket));
        let attempt = Attempt { model: &job.model, chat: &chat, bound: job.bound, deadline: job.deadline };
        let sent_at = Instant::now();
        let mut nowhere = EventSink { sender: None, log: None };
        // The record is written while the provider thinks.
        let (begun, log) =
            tokio::join!(self.begin_flow(&attempt, &mut nowhere), self.open_journal(job, &running, &skeleton, &first));
        running.facts.provider_time = sent_at.elapsed();
        match begun {
            Err(not_begun) => self.answer_refused(job, &running, log, not_begun, sender).await,
            Ok(flow) => {
                running.facts.provider = Some(flow.provider.clone());
                running.facts.attempts = flow.attempts;
                let making = Making { job, running, attempt, flow, builder, sent_at };
                if job.request.create.stream {
                    Box::pin(self.answer_stream(making, &first, log, sender)).await;
                } else {
                    Box::pin(self.answer_whole_response(making, sender)).await;
                }
            }
        }
    }

    /// Carries the events to the caller and the record. The last ones leave when the books are closed: whoever reads that
    /// the response has ended can continue it.
    async fn answer_stream(
        &self,
        making: Making<'_>,
        first: &[ResponseEvent],
        log: Option<EventLog>,
        mut sender: ResponseSender,
    ) {
        let Making { job, running, attempt, flow, mut builder, .. } = making;
        sender.begin(Answer::head(200, stream::CONTENT_TYPE, None, running.facts.clone()));
        for event in first {
            sender.send(event.sse()).await;
        }
        let mut sink = EventSink { sender: Some(sender), log };
        let is_written = sink.log.is_some();
        let (flowed, shown) = tokio::join!(
            self.flow(&attempt, flow.events, &mut builder, &mut sink),
            self.show(job, running.lease.as_ref(), is_written)
        );
        let ended = self.end(job, flowed, builder);
        sink.note(&ended.events);
        let (account, cost) = (account(job), ended.cost);
        let failed = ended.status == Status::Failed;
        let ((), is_kept) = tokio::join!(
            self.book(&account, &running.ticket, &ended.usage, cost),
            self.keep_stream(job, running.lease.as_ref(), shown, sink.log.as_mut(), &ended),
        );
        let _ = running.facts.closing.set(FinalUsage { usage: ended.usage, cost, failed: failed || !is_kept });
        if is_kept {
            sink.send(&ended.events).await;
        } else if let Some(sender) = sink.sender {
            // Others read another end, which does not follow on what this client was told.
            sender.fail(Error::Contended("the response")).await;
        }
    }

    /// Writes the end of a stream and of its key's run: success is written with one transaction, so that who repeats the
    /// request and who reads the response are told the same. `false` if others read another end.
    async fn keep_stream(
        &self,
        job: &Job,
        lease: Option<&Lease>,
        shown: bool,
        log: Option<&mut EventLog>,
        ended: &Ended,
    ) -> bool {
        let follow = finished(200, stream::CONTENT_TYPE, bytes::Bytes::new());
        let succeeded = shown && ended.status != Status::Failed;
        let claim = lease.filter(|_| succeeded).cloned();
        let claim = claim.map(|lease| Claimed { lease, end: follow.clone(), follows: false });
        let is_kept = self.finish_journal(log, ended, claim.as_ref()).await;
        if !(succeeded && is_kept) {
            let contended = || refused(&(job.request.terms.render_error)(&Error::Contended("the response")));
            self.conclude(lease, false, if shown && is_kept { follow } else { contended() }).await;
        }
        if is_kept {
            self.remember_turn(job, ended).await;
        }
        is_kept
    }

    /// Collects the whole response, closes the books, answers: whoever has the answer can read and continue it.
    async fn answer_whole_response(&self, making: Making<'_>, mut sender: ResponseSender) {
        let Making { job, mut running, attempt, flow, mut builder, sent_at } = making;
        let mut nowhere = EventSink { sender: None, log: None };
        let flowed = self.flow(&attempt, flow.events, &mut builder, &mut nowhere).await;
        running.facts.provider_time = sent_at.elapsed();
        if let Flowed::Broke(source, usage) = flowed {
            let error = Error::Provider { provider: flow.provider.into(), attempts: flow.attempts, source };
            let end = refused(&(job.request.terms.render_error)(&error));
            let (account, cost) = (account(job), job.cost(&usage));
            let _ = running.facts.closing.set(FinalUsage { usage, cost, failed: true });
            tokio::join!(
                self.book(&account, &running.ticket, &usage, cost),
                self.conclude(running.lease.as_ref(), false, end)
            );
            return sender.fail(error).await;
        }
        let ended = self.end(job, flowed, builder);
        let (account, cost) = (account(job), ended.cost);
        running.facts.cost = Some(cost);
        let _ = running.facts.closing.set(FinalUsage { usage: ended.usage, cost, failed: false });
        let body = ended.response.to_bytes();
        tokio::join!(
            self.book(&account, &running.ticket, &ended.usage, cost),
            self.conclude(running.lease.as_ref(), true, finished(200, JSON, body.clone())),
            self.keep_response(job, &ended),
            self.remember_turn(job, &ended),
        );
        sender.begin(Answer::head(200, JSON, Some(body.len()), running.facts));
        sender.send(body).await;
    }

    fn end(&self, job: &Job, flowed: Flowed, builder: EventBuilder) -> Ended {
        let bill = |usage: Usage| Bill { usage, cost: Some(job.cost(&usage)) };
        let (message, usage) = match flowed {
            Flowed::Done(usage) => {
                let (events, response, status) = builder.complete(&bill(usage), self.clock.now());
                let cost = job.cost(&usage);
                return Ended { status, response, events, usage, cost };
            }
            Flowed::Broke(failure, usage) => {
                tracing::warn!(error = failure.summary(), "stream broke after it had begun");
                (format!("The stream was interrupted: {failure}. Send the request again."), usage)
            }
            Flowed::Stopped(_, usage) => (
                "The response was given up: its record could not be written. Send the request again.".to_owned(),
                usage,
            ),
        };
        let (events, response) = builder.fail("server_error", &message, Some(&bill(usage)));
        Ended { status: Status::Failed, response, events, usage, cost: job.cost(&usage) }
    }

    /// The provider gave nothing: the caller gets an error, nothing is charged, nothing is kept.
    async fn answer_refused(
        &self,
        job: &Job,
        running: &Running,
        log: Option<EventLog>,
        not_begun: NotBegun,
        sender: ResponseSender,
    ) {
        let error = match not_begun {
            NotBegun::Refused(error) => *error,
            NotBegun::Stopped(Stopped(_)) => Error::Contended("the response"),
        };
        let end = refused(&(job.request.terms.render_error)(&error));
        let forget = async {
            if let Some(log) = &log {
                let ended = Ended {
                    events: Vec::new(),
                    response: Object::default(),
                    status: Status::Failed,
                    usage: Usage::default(),
                    cost: MicroUsd(0),
                };
                // It ends before it is deleted, so that the sweeper finds nothing to settle.
                let log = &mut EventLog::new(log.run.clone(), self.clock.now());
                self.finish_journal(Some(log), &ended, None).await;
                if let Err(error) = self.stores.delete_response(&job.key, self.clock.now()).await {
                    tracing::error!(error = %ErrorChain(&error), "record of a refused response not deleted");
                }
            }
        };
        tokio::join!(self.release(&running.ticket), self.conclude(running.lease.as_ref(), false, end), forget);
        sender.fail(error).await;
    }
}
