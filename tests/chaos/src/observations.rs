//! The observations: requests, answers and events that clients, providers and receivers saw. Invariants compare them
//! with the stores.

use std::collections::BTreeMap;

use bytes::Bytes;
use shared::model::clock::Timestamp;
use shared::model::project::{Limits, Project};
use shared::model::provider::Symptom;

use crate::exchanges::{Exchange, ExchangeEnd};
use crate::load::guests::Retention;
use crate::provider_batches::NativeBatch;

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub invariant: &'static str,
    /// The contradiction that was found.
    pub message: String,
}

/// The observations of one run.
#[derive(Default)]
pub(crate) struct Observations {
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) calls: Vec<ProviderCall>,
    /// For each request that was sent: its tenant, and the most that it could cost, in micro-dollars.
    pub(crate) upper_bounds: Vec<(usize, u64)>,
    pub(crate) keyed: BTreeMap<KeyedRequest, Vec<KeyedReply>>,
    /// By the response's id.
    pub(crate) responses: BTreeMap<String, SeenResponse>,
    /// The files that were made, by their ids.
    pub(crate) files: BTreeMap<String, SeenFile>,
    /// The vector stores that were made, by their ids.
    pub(crate) stores: BTreeMap<String, SeenStore>,
    /// The batches that were made, by their ids.
    pub(crate) batches: BTreeMap<String, SeenBatch>,
    /// The batches that the provider took.
    pub(crate) native: Vec<NativeBatch>,
    /// The requests that count against the requests per minute and call no model: tenant and time.
    pub(crate) counted_requests: Vec<(usize, Timestamp)>,
    pub(crate) guests: Vec<Guest>,
    /// The posts that receivers accepted.
    pub(crate) accepted_posts: Vec<AcceptedPost>,
    /// The budgets that an administrator tried to set: tenant and micro-dollars.
    pub(crate) attempted_budgets: Vec<(usize, u64)>,
    pub(crate) violations: Vec<Violation>,
    pub(crate) hostile: Option<Hostile>,
    pub(crate) exchanges: Vec<Exchange>,
    /// The indexes of the exchanges that ended, in the order of their ends.
    pub(crate) ended_exchanges: Vec<usize>,
    /// The requests that named their tenant's conversation, by their input, which no other request has.
    pub(crate) asked_for_turns: BTreeMap<String, AskedForTurn>,
    pub(crate) lone_jobs: Vec<LoneJob>,
    /// The messages in queues that met a fault.
    pub(crate) troubled_messages: Vec<String>,
}

/// The project that attacks the others.
#[derive(Clone)]
pub(crate) struct Hostile {
    pub(crate) project: Project,
    /// The second key has a budget that pays for nothing.
    pub(crate) keys: Vec<String>,
}

/// A project and its owner's knowledge of it.
pub(crate) struct Tenant {
    pub(crate) project: Project,
    /// The secret and the id of each API key. The first key is never revoked.
    pub(crate) keys: Vec<(String, String)>,
    /// The ids of the keys that have limits of their own.
    pub(crate) limited_keys: Vec<String>,
    /// The limits of each key of `keys`.
    pub(crate) key_limits: Vec<Limits>,
    /// The times at which revocations were confirmed, by the key's index in `keys`.
    pub(crate) revoked: BTreeMap<usize, Timestamp>,
    pub(crate) endpoints: Vec<TenantEndpoint>,
    pub(crate) conversation: String,
    pub(crate) budget: Budget,
}

/// The administrator's knowledge of a tenant's budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Budget {
    /// The limit that must be in force, in micro-dollars (`Some(None)`: no limit): its change was confirmed, and no
    /// other change was started since.
    pub(crate) in_force: Option<Option<u64>>,
    /// Changes that were started, and changes that ended.
    pub(crate) started: u32,
    pub(crate) ended: u32,
}

impl Budget {
    /// Records that a change starts: the limit in force is unknown until it ends.
    pub(crate) fn begin_change(&mut self) {
        *self = Self { in_force: None, started: self.started + 1, ended: self.ended };
    }

    /// Records that the change number `number` was confirmed, or given up. After two changes at once, the order in
    /// which they took effect is unknown.
    pub(crate) fn end_change(&mut self, micro_usd: u64, confirmed: bool, number: u32) {
        self.ended += 1;
        let was_alone = number == self.started && self.ended == self.started;
        self.in_force = (confirmed && was_alone).then_some(Some(micro_usd));
    }
}

/// A project beside the tenants, whose content does not stay.
#[derive(Clone)]
pub(crate) struct Guest {
    pub(crate) project_id: String,
    pub(crate) key: String,
    pub(crate) retention: Retention,
    /// An administrator began to archive and purge it.
    pub(crate) is_leaving: bool,
    /// The ids of its responses.
    pub(crate) responses: Vec<String>,
}

/// A request for a turn of a tenant's conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AskedForTurn {
    pub(crate) tenant: usize,
    /// The client may send it this often, each time for another response.
    pub(crate) tries: u32,
}

/// A file that a client made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenFile {
    pub(crate) tenant: usize,
    pub(crate) content: String,
    /// Somebody began to delete it, or it expires before the end.
    pub(crate) is_gone: bool,
}

/// A vector store that a client made of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenStore {
    pub(crate) tenant: usize,
    pub(crate) file_id: String,
    /// Somebody began to delete the store or the file, or to detach it.
    pub(crate) is_gone: bool,
}

/// A batch that a client made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenBatch {
    pub(crate) tenant: usize,
    pub(crate) lines: u64,
    /// One of its lines is no request.
    pub(crate) is_bad: bool,
}

/// A background response that is alone in its run.
#[derive(Clone)]
pub(crate) struct LoneJob {
    pub(crate) tenant: usize,
    pub(crate) id: String,
    pub(crate) run: String,
}

/// A post that a receiver accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AcceptedPost {
    pub(crate) url: String,
    /// The header `webhook-id`.
    pub(crate) id: String,
    pub(crate) body: String,
}

pub(crate) struct TenantEndpoint {
    pub(crate) id: String,
    pub(crate) url: String,
    /// No operation changed the endpoint, so it must get every event.
    pub(crate) is_unchanged: bool,
}

/// One call of a provider.
#[derive(Debug, Clone)]
pub(crate) struct ProviderCall {
    pub(crate) project: usize,
    /// A background response makes the call.
    pub(crate) is_job: bool,
    /// The provider and its name of the model, as `first/a`.
    pub(crate) target: String,
    pub(crate) started: Timestamp,
    /// The provider gives no answer, or breaks it off.
    pub(crate) has_failed: bool,
    /// What a failure before the first event says about the target.
    pub(crate) symptom: Symptom,
    /// The events of the answer are stored while they arrive. So a run that dies is charged by the stored events.
    pub(crate) has_stored_events: bool,
    /// The price of the tokens that were used, and the price of their input alone, in micro-dollars.
    pub(crate) cost: u64,
    pub(crate) input_cost: u64,
    /// The most that the call can be charged with, in micro-dollars.
    pub(crate) upper_bound: u64,
    pub(crate) state: CallState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallState {
    /// The provider has not answered yet.
    Pending,
    /// The provider failed before its answer began.
    Refused,
    /// Some events were sent.
    Streaming,
    /// The whole answer was sent, with its usage.
    WithUsage,
    /// The whole answer was sent, without its usage.
    WithoutUsage,
    /// The connection broke before the end of the answer.
    Interrupted,
    /// The caller dropped the call.
    Abandoned,
}

impl ProviderCall {
    /// Whether the caller waits for the provider.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, CallState::Pending | CallState::Streaming)
    }
}

/// A request with an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyedRequest {
    pub(crate) project: usize,
    pub(crate) path: &'static str,
    pub(crate) key: String,
    pub(crate) body: String,
}

#[derive(Debug, Clone)]
pub(crate) struct KeyedReply {
    pub(crate) is_replay: bool,
    /// The reply arrived after the faults were over.
    pub(crate) after_faults: bool,
    pub(crate) body: Bytes,
}

/// A response whose id a client knows.
#[derive(Default)]
pub(crate) struct SeenResponse {
    pub(crate) project: usize,
    pub(crate) is_background: bool,
    pub(crate) is_deleted: bool,
    pub(crate) in_conversation: bool,
    /// The events that readers got, by sequence number.
    pub(crate) events: BTreeMap<u64, Bytes>,
}

impl Observations {
    pub(crate) fn violation(&mut self, invariant: &'static str, message: impl Into<String>) {
        self.violations.push(Violation { invariant, message: message.into() });
    }

    /// Records the start of an exchange, and returns its index.
    pub(crate) fn begin_exchange(&mut self, exchange: Exchange) -> usize {
        self.exchanges.push(exchange);
        self.exchanges.len() - 1
    }

    pub(crate) fn end_exchange(&mut self, index: usize, end: ExchangeEnd) {
        self.exchanges[index].end = Some(end);
        self.ended_exchanges.push(index);
    }

    /// Records that a client asks for a turn of its tenant's conversation. Returns the input, which differs from all others.
    pub(crate) fn ask_for_turn(&mut self, text: &str, asked: AskedForTurn) -> String {
        let input = format!("{text} turn {}", self.asked_for_turns.len());
        self.asked_for_turns.insert(input.clone(), asked);
        input
    }

    /// Whether a message that names a response met a fault.
    pub(crate) fn had_message_fault(&self, response_id: &str) -> bool {
        self.troubled_messages.iter().any(|message| message.contains(response_id))
    }

    /// Returns the entry of a response, which it adds if it is new.
    pub(crate) fn response(&mut self, id: &str, project: usize) -> &mut SeenResponse {
        let seen = self.responses.entry(id.to_owned()).or_default();
        seen.project = project;
        seen
    }

    /// Returns the ids of the background responses of a project that were accepted and not deleted.
    pub(crate) fn jobs(&self, project: usize) -> Vec<String> {
        let of_project = |seen: &SeenResponse| seen.project == project && seen.is_background && !seen.is_deleted;
        self.responses.iter().filter(|(_, seen)| of_project(seen)).map(|(id, _)| id.clone()).collect()
    }
}
