//! Responses that are made while the caller waits.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::PlannedResponse;
use super::record::chunk;
use crate::app::answer::{CallMetadata, ResponseSender};
use crate::app::conversations::Conversations;
use crate::app::dispatch::EventStream;
use crate::app::error::{Attempts, Error};
use crate::app::generation::{
    EventLog, EventSink, Generated, LEASE_MS, RunEnd, describe, expect_stream, generate, in_request,
};
use crate::app::idempotency::{error_answer, success_answer};
use crate::app::jobs::Finalizer;
use crate::app::pipeline::OpenCall;
use crate::data::{
    ConversationKey, Erasure, KeyClaim, KeyCompletion, Lease, NewResponse, ResponseRecord, ResponseRecords, Turn,
    WriteOutcome,
};
use crate::dialects::ContentType;
use crate::dialects::openai_chat::bound;
use crate::dialects::openai_responses::{EventBuilder, ResponseEvent, output_items};
use crate::model::clock::Clock;
use crate::model::error_chain::ErrorChain;
use crate::model::provider::Failure;
use crate::model::response::Status;

/// Makes responses while their callers wait.
pub(in crate::app) struct Foreground {
    pub(in crate::app) records: ResponseRecords,
    pub(in crate::app) conversations: Arc<Conversations>,
    pub(in crate::app) finalizer: Arc<Finalizer>,
    pub(in crate::app) clock: Clock,
}

/// A provider's stream, and the way of its events.
struct Started {
    events: EventStream,
    builder: EventBuilder,
    /// Of a stream that other requests can follow.
    log: Option<EventLog>,
}

impl Foreground {
    /// Makes a response. The caller gets events or the whole response; the call is settled before the answer ends.
    pub(super) async fn make(&self, open: &mut OpenCall<'_>, planned: &PlannedResponse, sender: &mut ResponseSender) {
        let mut builder =
            EventBuilder::new(planned.skeleton(Status::InProgress), 0).compacting(planned.create.compacts());
        let first = [builder.created_event(Status::InProgress), builder.in_progress_event()];
        let chat = bound::with_limit(open.call.body.object.clone(), open.output_limit());
        // The record is written while the provider thinks.
        let claim = open.lease.as_ref().map(Lease::claim);
        let record = self.first_record(open, planned, &first);
        let begin = async |metadata| {
            if planned.create.stream {
                begin_stream(sender, metadata, &first).await;
            }
        };
        let (started, log) =
            tokio::join!(open.dispatch(&chat, true, begin), self.open_log(record, planned, &first, claim));
        let events = started.and_then(|answer| expect_stream(answer).map_err(|source| provider_error(open, source)));
        match events.map_err(in_request) {
            Err(error) => self.answer_failed(open, builder, log, error, sender).await,
            Ok(events) if planned.create.stream => {
                begin_stream(sender, open.metadata.clone(), &first).await;
                let started = Started { events, builder, log };
                Box::pin(self.answer_stream(open, planned, started, sender)).await;
            }
            Ok(events) => {
                let started = Started { events, builder, log };
                Box::pin(self.answer_whole(open, planned, started, sender)).await;
            }
        }
    }

    /// Carries the events to the caller and the record. The last ones leave after the call is settled: a caller that reads
    /// the end of a response can continue it at once.
    async fn answer_stream(
        &self,
        open: &OpenCall<'_>,
        planned: &PlannedResponse,
        Started { events, mut builder, log }: Started,
        sender: &mut ResponseSender,
    ) {
        let lease = open.lease.as_ref().filter(|_| log.is_some());
        let mut sink = EventSink { sender: Some(sender), log };
        let (generated, is_pointed) = tokio::join!(generate(events, &open.used, &mut builder, &mut sink), async {
            // Repeats of the request wait until there is a record to follow.
            match lease {
                Some(lease) => open.pipeline.idempotency.point_to_response(lease, &planned.key.response_id).await,
                None => false,
            }
        });
        let end = self.end_of(open, generated, builder);
        sink.note(&end.events);
        let ((), is_kept) =
            tokio::join!(open.settle(end.charge), self.keep_stream(open, planned, is_pointed, sink.log.as_mut(), &end));
        open.report(end.charge, end.status == Status::Failed || !is_kept);
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
        open: &mut OpenCall<'_>,
        planned: &PlannedResponse,
        Started { events, mut builder, .. }: Started,
        sender: &mut ResponseSender,
    ) {
        let sent_at = Instant::now() - open.metadata.provider_time;
        let generated = generate(events, &open.used, &mut builder, &mut EventSink::default()).await;
        open.metadata.provider_time = sent_at.elapsed();
        if let Generated::Broken(source) = generated {
            let error = in_request(provider_error(open, source));
            open.fail(&error).await;
            return sender.fail(error).await;
        }
        let end = self.end_of(open, generated, builder);
        open.report(end.charge, false);
        open.metadata.cost = Some(end.charge.cost);
        let body = end.response.to_bytes();
        // A part of a summary stands for nothing: the request is refused, and a repetition is another try.
        let is_kept = match end.status {
            Status::Failed => false,
            Status::Incomplete => !planned.create.compacts(),
            _ => true,
        };
        tokio::join!(
            open.settle(end.charge),
            open.complete(is_kept, success_answer(ContentType::Json, body.clone())),
            self.keep_response(open, planned, &end),
            self.append_turn(planned, &end),
        );
        sender.send_whole(ContentType::Json, body, open.metadata.clone()).await;
    }

    fn end_of(&self, open: &OpenCall<'_>, generated: Generated, builder: EventBuilder) -> RunEnd {
        let charge = open.charge();
        let message = match generated {
            Generated::Whole => return RunEnd::complete(builder, charge, self.clock.now()),
            Generated::Broken(failure) => {
                tracing::warn!(error = failure.summary(), "stream broke after it had begun");
                format!("The stream was interrupted: {failure}. Send the request again.")
            }
            Generated::Lost(_) => {
                "The response was given up: its record could not be written. Send the request again.".to_owned()
            }
        };
        RunEnd::fail(builder, "server_error", &message, Some(charge))
    }

    /// The provider gave no answer: the caller gets an error, nothing is kept.
    async fn answer_failed(
        &self,
        open: &OpenCall<'_>,
        builder: EventBuilder,
        log: Option<EventLog>,
        error: Error,
        sender: &mut ResponseSender,
    ) {
        let (code, message) = describe(&error);
        let discard = async {
            let Some(log) = log else { return };
            // The record ends before it is deleted, so that the sweeper finds nothing to settle.
            let mut log = EventLog::new(self.records.clone(), self.clock.clone(), log.run);
            self.end_log(Some(&mut log), &RunEnd::discarded(), None).await;
            // Its key is free again and stays as it is.
            let erasure = Erasure { key: log.run.key.clone(), claim: None };
            if let Err(error) = self.records.erase(&erasure, self.clock.now()).await {
                tracing::error!(error = %ErrorChain(&error), "record of a failed response not deleted");
            }
        };
        tokio::join!(open.fail(&error), discard);
        if !sender.has_begun() {
            return sender.fail(error).await;
        }
        tracing::warn!(error = %ErrorChain(&error), "provider accepted a call and gave no answer");
        let (events, _) = builder.fail(code, &message, error.charge().as_ref());
        for event in events {
            sender.send(event.sse()).await;
        }
    }

    /// The record of a run that other requests can see: then its events are written while it goes on. It has the first
    /// events. `None`: no request can see the run.
    fn first_record(
        &self,
        open: &OpenCall<'_>,
        planned: &PlannedResponse,
        first: &[ResponseEvent],
    ) -> Option<ResponseRecord> {
        let can_be_followed = planned.create.stream && (planned.create.store || open.call.key.is_some());
        can_be_followed.then(|| {
            let lease_until = self.clock.now().plus_ms(LEASE_MS).max(open.call.time.over_at);
            ResponseRecord {
                next_sequence: first.len() as u64,
                lease_until,
                due_at: Some(lease_until),
                reservation: Some(open.reservation_of_first_run()),
                ..planned.record(open.call, Status::InProgress)
            }
        })
    }

    /// Writes the first record of a stream, and opens its log.
    async fn open_log(
        &self,
        record: Option<ResponseRecord>,
        planned: &PlannedResponse,
        first: &[ResponseEvent],
        claim: Option<KeyClaim>,
    ) -> Option<EventLog> {
        let record = record?;
        let request = planned.stored_request(planned.skeleton(Status::InProgress), None);
        let (events, erased_at) = (chunk(first), planned.erased_at());
        let new = NewResponse { record, request, events, response: None, key: None, claim, erased_at };
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
        open: &OpenCall<'_>,
        planned: &PlannedResponse,
        is_pointed: bool,
        log: Option<&mut EventLog>,
        end: &RunEnd,
    ) -> bool {
        let answer = success_answer(ContentType::EventStream, Bytes::new());
        let succeeded = is_pointed && end.status != Status::Failed;
        let lease = open.lease.clone().filter(|_| succeeded);
        let key = lease.map(|lease| KeyCompletion { lease, answer: answer.clone(), follows: false });
        let is_kept = self.end_log(log, end, key.as_ref()).await;
        if !(succeeded && is_kept) {
            let contended = || error_answer(&(open.call.render_error)(&Error::Contended("the response")));
            open.complete(false, if is_pointed && is_kept { answer } else { contended() }).await;
        }
        if is_kept {
            self.append_turn(planned, end).await;
        }
        is_kept
    }

    /// Writes the end of a stream that other requests can follow, and completes its key with it. Returns `false` if the
    /// record has another end, or none yet, or the key belongs to another run: then readers see something else than `end`.
    async fn end_log(&self, log: Option<&mut EventLog>, end: &RunEnd, key: Option<&KeyCompletion>) -> bool {
        let Some(log) = log else { return true };
        let stored = end.to_stored(log, self.clock.now());
        match self.finalizer.end_run(&log.run, &stored, key).await {
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
    async fn keep_response(&self, open: &OpenCall<'_>, planned: &PlannedResponse, end: &RunEnd) {
        if !planned.create.store {
            return;
        }
        let finished_at = Some(self.clock.now());
        let record = ResponseRecord { finished_at, charge: end.charge, ..planned.record(open.call, end.status) };
        let request = planned.stored_request(planned.skeleton(Status::InProgress), None);
        let response = Some(end.response.to_bytes());
        let claim = open.lease.as_ref().map(Lease::claim);
        let new = NewResponse { record, request, events: Bytes::new(), response, key: None, claim, erased_at: None };
        if let Err(error) = self.records.create(&new).await {
            tracing::error!(error = %ErrorChain(&error), "response not stored");
        }
    }

    /// Adds the turn to the response's conversation.
    async fn append_turn(&self, planned: &PlannedResponse, end: &RunEnd) {
        let Some(id) = planned.create.conversation.clone().filter(|_| end.status != Status::Failed) else { return };
        let mut items = planned.create.input.clone();
        items.extend(output_items(&end.response.to_bytes()).unwrap_or_default());
        let turn = Turn { at: planned.turn_at, id: planned.key.response_id.clone() };
        let key = ConversationKey { project_id: planned.key.project_id.clone(), conversation_id: id };
        if let Err(error) = self.conversations.append_turn(&key, &turn, &items).await {
            tracing::error!(error = %ErrorChain(&error), "turn not added to its conversation");
        }
    }
}

/// Begins a stream with its first events, unless it has begun.
async fn begin_stream(sender: &mut ResponseSender, metadata: CallMetadata, first: &[ResponseEvent]) {
    if sender.has_begun() {
        return;
    }
    sender.begin_stream(metadata);
    for event in first {
        sender.send(event.sse()).await;
    }
}

fn provider_error(open: &OpenCall<'_>, source: Failure) -> Error {
    let provider = open.metadata.provider.clone().unwrap_or_default();
    let tried = Attempts::free(provider, open.metadata.attempts);
    Error::Provider { tried, source }.charged(open.charge())
}
