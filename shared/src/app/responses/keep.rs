//! Writing down responses that are made while the caller waits: for those who follow, and for later.

use bytes::Bytes;

use super::emit::EventLog;
use super::ends::Ended;
use super::foreground::Running;
use super::stored::{StoredRequest, output};
use super::{Job, LEASE_MS};
use crate::app::books::Account;
use crate::app::dispatch::ErrorChain;
use crate::app::gateway::Gateway;
use crate::app::telemetry::current_traceparent;
use crate::data::{Claimed, Lease, NewResponse, Operation, ResponseRecord, Turn};
use crate::dialects::openai_responses::{ResponseEvent, Status};
use crate::model::money::MicroUsd;
use crate::model::object::Object;
use crate::model::tokens::Usage;

impl Gateway {
    /// The log of a stream that others can follow, with the first events in it.
    pub(super) async fn open_journal(
        &self,
        job: &Job,
        running: &Running,
        skeleton: &Object,
        first: &[ResponseEvent],
    ) -> Option<EventLog> {
        if !job.is_followed() {
            return None;
        }
        let now = self.clock.now();
        let until = now.plus_ms(LEASE_MS).max(job.over_at);
        let record = ResponseRecord {
            next_sequence: first.len() as u64,
            lease_until: until,
            due_at: Some(until),
            holding: Some(running.ticket.kept(1, job.bound)),
            ..record(job, Status::InProgress)
        };
        let events: Vec<u8> = first.iter().flat_map(|event| event.sse().to_vec()).collect();
        let request = StoredRequest::of(job, skeleton.clone()).to_bytes();
        let new = NewResponse { record, request, events: events.into(), response: None, claim: None };
        match self.stores.create_response(&new).await {
            Ok(true) => Some(EventLog::new(new.record, now)),
            Ok(false) => None,
            Err(error) => {
                tracing::error!(error = %ErrorChain(&error), "response cannot be followed, its record was not written");
                None
            }
        }
    }

    /// Lets those who repeat the request follow the response, once there is something to follow: until then they wait for
    /// what becomes of it. `false` if they cannot.
    pub(super) async fn show(&self, job: &Job, lease: Option<&Lease>, is_written: bool) -> bool {
        let Some(lease) = lease.filter(|_| is_written) else { return false };
        self.stores.point(lease, &job.key.response_id).await.unwrap_or_else(|error| {
            tracing::error!(error = %ErrorChain(&error), "response cannot be found by its idempotency key");
            false
        })
    }

    /// Writes the end of a stream that others can follow, and of the key's run with it. `false` if the record has another
    /// end, or none yet, or the key belongs to another run: whoever reads either is told something else than `ended`.
    pub(super) async fn finish_journal(
        &self,
        log: Option<&mut EventLog>,
        ended: &Ended,
        claim: Option<&Claimed>,
    ) -> bool {
        let Some(log) = log else { return true };
        let end = ended.written(log, self.clock.now(), None);
        match self.finish_patiently(&log.run, &end, claim).await {
            Ok(true) => true,
            Ok(false) => {
                tracing::warn!("response was ended by somebody else, or its idempotency lease was lost");
                false
            }
            Err(error) => {
                tracing::error!(error = %ErrorChain(&error), "end of a response not written, the sweeper will");
                false
            }
        }
    }

    /// Keeps a response that was made whole, if it is to be kept.
    pub(super) async fn keep_response(&self, job: &Job, ended: &Ended) {
        if !job.request.create.store {
            return;
        }
        let now = self.clock.now();
        let record = ResponseRecord {
            finished_at: Some(now),
            usage: ended.usage,
            cost: ended.cost,
            ..record(job, ended.status)
        };
        let skeleton = job.request.create.skeleton(&job.key.response_id, job.created_at, Status::InProgress);
        let request = StoredRequest::of(job, skeleton).to_bytes();
        let response = Some(ended.response.to_bytes());
        let new = NewResponse { record, request, events: Bytes::new(), response, claim: None };
        if let Err(error) = self.stores.create_response(&new).await {
            tracing::error!(error = %ErrorChain(&error), "response not kept");
        }
    }

    /// Adds the turn to the response's conversation.
    pub(super) async fn remember_turn(&self, job: &Job, ended: &Ended) {
        let Some(id) = job.request.create.conversation.as_ref().filter(|_| ended.status != Status::Failed) else {
            return;
        };
        let mut items = job.request.create.input.clone();
        items.extend(output(&ended.response.to_bytes()).unwrap_or_default());
        let turn = Turn { at: job.turn_at, id: job.key.response_id.clone() };
        if let Err(error) = self.append_turn(&job.key.project_id, id, &turn, &items).await {
            tracing::error!(error = %ErrorChain(&error), "turn not added to its conversation");
        }
    }
}

/// The record of a response as it begins.
pub(super) fn record(job: &Job, status: Status) -> ResponseRecord {
    let create = &job.request.create;
    ResponseRecord {
        key: job.key.clone(),
        status,
        background: create.background,
        stored: create.store,
        deleted: false,
        fence: 1,
        runs: 1,
        lease_until: job.created_at,
        not_before: job.created_at,
        due_at: None,
        next_sequence: 0,
        watched_until: job.created_at,
        created_at: job.created_at,
        finished_at: None,
        model: job.model.name.clone(),
        api_key_id: job.caller.api_key_id.clone(),
        conversation_id: create.conversation.clone(),
        traceparent: current_traceparent(),
        holding: None,
        output_bytes: 0,
        usage: Usage::default(),
        cost: MicroUsd(0),
    }
}

pub(super) fn account(job: &Job) -> Account<'_> {
    Account {
        project_id: &job.key.project_id,
        api_key_id: &job.caller.api_key_id,
        model: &job.model.name,
        operation: Operation::Completions,
    }
}
