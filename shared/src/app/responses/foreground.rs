//! Responses that are made while the caller waits.

use std::sync::Arc;

use bytes::Bytes;

use super::PlannedResponse;
use super::record::chunk;
use crate::app::answer::{Head, ResponseSender};
use crate::app::conversations::Conversations;
use crate::app::dispatch::EventStream;
use crate::app::error::Error;
use crate::app::generation::{EventLog, EventSink, Generated, LEASE_MS, RunEnd, expect_stream, generate};
use crate::app::idempotency::{error_answer, success_answer};
use crate::app::jobs::Finalizer;
use crate::app::pipeline::{Call, OpenCall, Pipeline};
use crate::data::{
    KeyCompletion, Lease, NewResponse, ResponseRecord, ResponseRecords, StoredReservation, Turn, WriteOutcome,
};
use crate::dialects::ContentType;
use crate::dialects::openai_chat::bound;
use crate::dialects::openai_responses::{EventBuilder, ResponseEvent, Status, output_items};
use crate::model::clock::Clock;
use crate::model::error_chain::ErrorChain;
use crate::model::provider::Failure;

impl PlannedResponse {
    /// Whether other requests can see the run: then its events are written while it goes on.
    fn can_be_followed(&self, call: &Call) -> bool {
        self.create.stream && (self.create.store || call.key.is_some())
    }
}

/// Makes responses while their callers wait.
pub(in crate::app) struct Foreground {
    pub(in crate::app) pipeline: Arc<Pipeline>,
    pub(in crate::app) records: ResponseRecords,
    pub(in crate::app) conversations: Arc<Conversations>,
    pub(in crate::app) finalizer: Arc<Finalizer>,
    pub(in crate::app) clock: Clock,
}

impl Foreground {
    /// Makes a response. The caller gets events or the whole response; the call is settled before the answer ends.
    pub(super) async fn make(
        &self,
        call: &Call,
        open: &mut OpenCall,
        planned: &PlannedResponse,
        sender: &mut ResponseSender,
    ) {
        let mut builder = EventBuilder::new(planned.skeleton(Status::InProgress), 0, planned.created_at);
        let first = [builder.created_event(Status::InProgress), builder.in_progress_event()];
        let chat = bound::with_limit(call.body.object.clone(), call.output_limit(open.admitted.budgeted));
        let reservation = open.admitted.to_stored(1, call.bound, call.model.price);
        // The record is written while the provider thinks.
        let (started, log) = tokio::join!(
            self.pipeline.dispatch(call, open, &chat, true),
            self.open_log(call, planned, reservation, &first)
        );
        let events = started.and_then(|answer| expect_stream(answer).map_err(|source| provider_error(open, source)));
        match events {
            Err(error) => self.answer_failed(call, open, planned, log, error, sender).await,
            Ok(events) if planned.create.stream => {
                sender.begin(Head::stream(open.metadata.clone()));
                for event in &first {
                    sender.send(event.sse()).await;
                }
                Box::pin(self.answer_stream(call, open, planned, (events, builder, log), sender)).await;
            }
            Ok(events) => Box::pin(self.answer_whole(call, open, planned, (events, builder), sender)).await,
        }
    }

    /// Carries the events to the caller and the record. The last ones leave after the call is settled: a caller that reads
    /// the end of a response can continue it at once.
    async fn answer_stream(
        &self,
        call: &Call,
        open: &OpenCall,
        planned: &PlannedResponse,
        (events, mut builder, log): (EventStream, EventBuilder, Option<EventLog>),
        sender: &mut ResponseSender,
    ) {
        let lease = open.lease.as_ref().filter(|_| log.is_some());
        let mut sink = EventSink { sender: Some(sender), log };
        let (generated, is_pointed) = tokio::join!(generate(events, &open.used, &mut builder, &mut sink), async {
            // Repeats of the request wait until there is a record to follow.
            match lease {
                Some(lease) => self.pipeline.idempotency.point_to_response(lease, &planned.key.response_id).await,
                None => false,
            }
        });
        let end = self.end_of(call, open, generated, builder);
        sink.note(&end.events);
        let ((), is_kept) = tokio::join!(
            self.pipeline.settle(call, open, &end.usage),
            self.keep_stream(call, open, planned, is_pointed, sink.log.as_mut(), &end)
        );
        open.report(call, &end.usage, end.status == Status::Failed || !is_kept);
        if is_kept {
            sink.send(&end.events).await;
        } else if let Some(sender) = sink.sender {
            // Other readers see another end, which does not follow on the events that this client has.
            sender.fail(Error::Contended("the response")).await;
        }
    }

    /// Collects the whole response, settles the call, answers: a caller that has the answer can read and continue it.
    async fn answer_whole(
        &self,
        call: &Call,
        open: &mut OpenCall,
        planned: &PlannedResponse,
        (events, mut builder): (EventStream, EventBuilder),
        sender: &mut ResponseSender,
    ) {
        let sent_at = tokio::time::Instant::now() - open.metadata.provider_time;
        let generated = generate(events, &open.used, &mut builder, &mut EventSink::default()).await;
        open.metadata.provider_time = sent_at.elapsed();
        if let Generated::Broken(source) = generated {
            let error = provider_error(open, source);
            let usage = open.used.total(&call.bound);
            open.report(call, &usage, true);
            let failed = self.pipeline.complete_failed(call, open, &error);
            tokio::join!(self.pipeline.settle(call, open, &usage), failed);
            return sender.fail(error).await;
        }
        let end = self.end_of(call, open, generated, builder);
        open.metadata.cost = Some(open.report(call, &end.usage, false));
        let body = end.response.to_bytes();
        tokio::join!(
            self.pipeline.settle(call, open, &end.usage),
            self.pipeline.complete(open, true, success_answer(ContentType::Json, body.clone())),
            self.keep_response(call, planned, &end),
            self.append_turn(planned, &end),
        );
        sender.send_whole(ContentType::Json, body, open.metadata.clone()).await;
    }

    fn end_of(&self, call: &Call, open: &OpenCall, generated: Generated, builder: EventBuilder) -> RunEnd {
        let usage = open.used.total(&call.bound);
        let cost = call.cost(&usage);
        let message = match generated {
            Generated::Whole => return RunEnd::complete(builder, usage, cost, self.clock.now()),
            Generated::Broken(failure) => {
                tracing::warn!(error = failure.summary(), "stream broke after it had begun");
                format!("The stream was interrupted: {failure}. Send the request again.")
            }
            Generated::Lost(_) => {
                "The response was given up: its record could not be written. Send the request again.".to_owned()
            }
        };
        RunEnd::fail(builder, "server_error", &message, Some((usage, cost)))
    }

    /// The provider gave no answer: the caller gets an error, nothing is charged, nothing is kept.
    async fn answer_failed(
        &self,
        call: &Call,
        open: &OpenCall,
        planned: &PlannedResponse,
        log: Option<EventLog>,
        error: Error,
        sender: &mut ResponseSender,
    ) {
        let discard = async {
            let Some(log) = log else { return };
            // The record ends before it is deleted, so that the sweeper finds nothing to settle.
            let mut log = EventLog::new(self.records.clone(), self.clock.clone(), log.run);
            self.finish_log(Some(&mut log), &RunEnd::discarded(), None).await;
            if let Err(error) = self.records.delete(&planned.key, self.clock.now()).await {
                tracing::error!(error = %ErrorChain(&error), "record of a failed response not deleted");
            }
        };
        tokio::join!(self.pipeline.fail(call, open, &error), discard);
        sender.fail(error).await;
    }

    /// The log of a stream that other requests can follow; its record has the first events.
    async fn open_log(
        &self,
        call: &Call,
        planned: &PlannedResponse,
        reservation: StoredReservation,
        first: &[ResponseEvent],
    ) -> Option<EventLog> {
        if !planned.can_be_followed(call) {
            return None;
        }
        let lease_until = self.clock.now().plus_ms(LEASE_MS).max(call.time.over_at);
        let record = ResponseRecord {
            next_sequence: first.len() as u64,
            lease_until,
            due_at: Some(lease_until),
            reservation: Some(reservation),
            ..planned.record(call, Status::InProgress)
        };
        let request = planned.stored_request(planned.skeleton(Status::InProgress), None);
        let new = NewResponse { record, request, events: chunk(first), response: None, key: None };
        match self.records.create(&new).await {
            Ok(WriteOutcome::Written) => Some(EventLog::new(self.records.clone(), self.clock.clone(), new.record)),
            Ok(WriteOutcome::Refused) => None,
            Err(error) => {
                tracing::error!(error = %ErrorChain(&error), "response cannot be followed, its record was not written");
                None
            }
        }
    }

    /// Writes the end of a stream and completes its key: one transaction for a success, so that repeats of the request
    /// and readers of the response get the same. Returns `false` if other readers see another end.
    async fn keep_stream(
        &self,
        call: &Call,
        open: &OpenCall,
        planned: &PlannedResponse,
        is_pointed: bool,
        log: Option<&mut EventLog>,
        end: &RunEnd,
    ) -> bool {
        let answer = success_answer(ContentType::EventStream, Bytes::new());
        let succeeded = is_pointed && end.status != Status::Failed;
        let lease: Option<Lease> = open.lease.clone().filter(|_| succeeded);
        let key = lease.map(|lease| KeyCompletion { lease, answer: answer.clone(), follows: false });
        let is_kept = self.finish_log(log, end, key.as_ref()).await;
        if !(succeeded && is_kept) {
            let contended = || error_answer(&(call.render_error)(&Error::Contended("the response")));
            let answer = if is_pointed && is_kept { answer } else { contended() };
            self.pipeline.complete(open, false, answer).await;
        }
        if is_kept {
            self.append_turn(planned, end).await;
        }
        is_kept
    }

    /// Writes the end of a stream that other requests can follow, and completes its key with it. Returns `false` if the
    /// record has another end, or none yet, or the key belongs to another run: then readers see something else than `end`.
    async fn finish_log(&self, log: Option<&mut EventLog>, end: &RunEnd, key: Option<&KeyCompletion>) -> bool {
        let Some(log) = log else { return true };
        let stored = end.to_stored(log, self.clock.now(), None);
        match self.finalizer.finish(&log.run, &stored, key).await {
            Ok(WriteOutcome::Written) => true,
            Ok(WriteOutcome::Refused) => {
                tracing::warn!("another process ended the response, or its idempotency lease was lost");
                false
            }
            Err(error) => {
                tracing::error!(error = %ErrorChain(&error), "end of a response not written, the sweeper will");
                false
            }
        }
    }

    /// Stores a response that was made whole, if the request wants it stored.
    async fn keep_response(&self, call: &Call, planned: &PlannedResponse, end: &RunEnd) {
        if !planned.create.store {
            return;
        }
        let record = ResponseRecord {
            finished_at: Some(self.clock.now()),
            usage: end.usage,
            cost: end.cost,
            ..planned.record(call, end.status)
        };
        let request = planned.stored_request(planned.skeleton(Status::InProgress), None);
        let response = Some(end.response.to_bytes());
        let new = NewResponse { record, request, events: Bytes::new(), response, key: None };
        if let Err(error) = self.records.create(&new).await {
            tracing::error!(error = %ErrorChain(&error), "response not stored");
        }
    }

    /// Adds the turn to the response's conversation.
    async fn append_turn(&self, planned: &PlannedResponse, end: &RunEnd) {
        let Some(id) = planned.create.conversation.as_ref().filter(|_| end.status != Status::Failed) else { return };
        let mut items = planned.create.input.clone();
        items.extend(output_items(&end.response.to_bytes()).unwrap_or_default());
        let turn = Turn { at: planned.turn_at, id: planned.key.response_id.clone() };
        if let Err(error) = self.conversations.append_turn(&planned.key.project_id, id, &turn, &items).await {
            tracing::error!(error = %ErrorChain(&error), "turn not added to its conversation");
        }
    }
}

fn provider_error(open: &OpenCall, source: Failure) -> Error {
    let provider = open.metadata.provider.clone().unwrap_or_default();
    Error::Provider { provider: provider.into(), attempts: open.metadata.attempts, source }
}
