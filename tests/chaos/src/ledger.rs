//! What clients, providers and receivers saw: the invariants are about it.

use std::collections::BTreeMap;

use bytes::Bytes;
use shared::model::clock::Timestamp;
use shared::model::project::Project;

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub invariant: &'static str,
    pub what: String,
}

/// Everything that was seen.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) calls: Vec<ProviderCall>,
    /// The most that each request that was sent could cost: project and micro-dollars.
    pub(crate) asked: Vec<(usize, u64)>,
    pub(crate) keyed: BTreeMap<KeyedRequest, Vec<KeyedReply>>,
    /// By the response's id.
    pub(crate) responses: BTreeMap<String, SeenResponse>,
    /// Posts that a receiver took.
    pub(crate) taken: Vec<Taken>,
    /// Budgets that somebody tried to set: project and micro-dollars.
    pub(crate) budgets: Vec<(usize, u64)>,
    pub(crate) violations: Vec<Violation>,
}

/// A project and what its owner knows.
pub(crate) struct Tenant {
    pub(crate) project: Project,
    /// The key and its id. The first is never revoked.
    pub(crate) keys: Vec<(String, String)>,
    /// Keys whose revocation was confirmed, by their place in `keys`, and when.
    pub(crate) revoked: BTreeMap<usize, Timestamp>,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) conversation: String,
    pub(crate) budget: Budget,
}

/// What is known of a tenant's budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Budget {
    /// The one that must be in force, or that there is none: it was confirmed, and nobody has tried another since.
    pub(crate) in_force: Option<Option<u64>>,
    /// Changes that were begun, and those that have ended.
    pub(crate) begun: u32,
    pub(crate) ended: u32,
}

impl Budget {
    /// Somebody begins to change it.
    pub(crate) fn begin(&mut self) {
        *self = Self { in_force: None, begun: self.begun + 1, ended: self.ended };
    }

    /// A change was confirmed, or given up. Of two at once nobody knows which came last.
    pub(crate) fn end(&mut self, micro_usd: u64, confirmed: bool, began_as: u32) {
        self.ended += 1;
        let was_alone = began_as == self.begun && self.ended == self.begun;
        self.in_force = (confirmed && was_alone).then_some(Some(micro_usd));
    }
}

/// A post that a receiver took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) url: String,
    /// `webhook-id`
    pub(crate) id: String,
    pub(crate) body: String,
}

pub(crate) struct Endpoint {
    pub(crate) id: String,
    pub(crate) url: String,
    /// Nobody has changed it: it gets every event.
    pub(crate) is_untouched: bool,
}

/// One call of a provider.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProviderCall {
    pub(crate) project: usize,
    /// It was made for a response whose events are written down, so that its run is charged by them if it dies.
    pub(crate) is_written: bool,
    /// What was used: the tokens' price, and that of the input alone.
    pub(crate) cost: u64,
    pub(crate) input_cost: u64,
    /// The most that it can be charged with.
    pub(crate) most: u64,
    pub(crate) state: CallState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallState {
    /// Nothing came back yet.
    Asked,
    /// It said no before anything came.
    Refused,
    /// Events came.
    Streaming,
    /// The whole answer with its usage was given.
    Counted,
    /// The whole answer was given, without its usage.
    Uncounted,
    /// The stream broke after it had begun.
    Broken,
    /// The caller went away.
    Left { had_begun: bool },
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
    /// It came when nothing failed any more.
    pub(crate) is_last_word: bool,
    pub(crate) body: Bytes,
}

/// A response that a client knows.
#[derive(Default)]
pub(crate) struct SeenResponse {
    pub(crate) project: usize,
    pub(crate) is_background: bool,
    pub(crate) is_deleted: bool,
    pub(crate) conversation: bool,
    /// What readers got, by sequence number.
    pub(crate) events: BTreeMap<u64, Bytes>,
}

impl Ledger {
    pub(crate) fn violation(&mut self, invariant: &'static str, what: impl Into<String>) {
        self.violations.push(Violation { invariant, what: what.into() });
    }

    /// A response that a client knows the id of.
    pub(crate) fn response(&mut self, id: &str, project: usize) -> &mut SeenResponse {
        let seen = self.responses.entry(id.to_owned()).or_default();
        seen.project = project;
        seen
    }

    /// Background responses of a project that were accepted and not deleted.
    pub(crate) fn jobs(&self, project: usize) -> Vec<String> {
        let of_project = |seen: &SeenResponse| seen.project == project && seen.is_background && !seen.is_deleted;
        self.responses.iter().filter(|(_, seen)| of_project(seen)).map(|(id, _)| id.clone()).collect()
    }
}
