//! What clients, providers and receivers saw: the invariants are about it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use shared::model::project::Project;

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub invariant: &'static str,
    pub what: String,
}

/// Everything that was seen.
#[derive(Default)]
pub struct Ledger {
    pub tenants: Vec<Tenant>,
    pub calls: Vec<ProviderCall>,
    /// The most that each request that was sent could cost: project and micro-dollars.
    pub asked: Vec<(usize, u64)>,
    pub keyed: BTreeMap<KeyedRequest, Vec<KeyedReply>>,
    /// By the response's id.
    pub responses: BTreeMap<String, SeenResponse>,
    /// Posts that a receiver took: its URL and the `webhook-id`.
    pub taken: Vec<(String, String)>,
    /// Budgets that somebody tried to set: project and micro-dollars.
    pub budgets: Vec<(usize, u64)>,
    pub violations: Vec<Violation>,
}

/// A project and what its owner knows.
pub struct Tenant {
    pub project: Project,
    /// The key and its id. The first is never revoked.
    pub keys: Vec<(String, String)>,
    /// Keys whose revocation was confirmed, by their place in `keys`.
    pub revoked: BTreeSet<usize>,
    pub endpoints: Vec<Endpoint>,
    pub conversation: String,
}

pub struct Endpoint {
    pub id: String,
    /// Nobody has changed it: it gets every event.
    pub is_untouched: bool,
}

/// One call of a provider.
#[derive(Debug, Clone, Copy)]
pub struct ProviderCall {
    pub project: usize,
    /// It was made for a response whose events are written down, so that its run is charged by them if it dies.
    pub is_written: bool,
    /// What was used: the tokens' price, and that of the input alone.
    pub cost: u64,
    pub input_cost: u64,
    /// The most that it can be charged with.
    pub most: u64,
    pub state: CallState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallState {
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
pub struct KeyedRequest {
    pub project: usize,
    pub path: &'static str,
    pub key: String,
    pub body: String,
}

#[derive(Debug, Clone)]
pub struct KeyedReply {
    pub is_replay: bool,
    pub body: Bytes,
}

/// A response that a client knows.
#[derive(Default)]
pub struct SeenResponse {
    pub project: usize,
    pub is_background: bool,
    pub is_deleted: bool,
    pub conversation: bool,
    /// What readers got, by sequence number.
    pub events: BTreeMap<u64, Bytes>,
}

impl Ledger {
    pub fn violation(&mut self, invariant: &'static str, what: impl Into<String>) {
        self.violations.push(Violation { invariant, what: what.into() });
    }

    /// A response that a client knows the id of.
    pub fn response(&mut self, id: &str, project: usize) -> &mut SeenResponse {
        let seen = self.responses.entry(id.to_owned()).or_default();
        seen.project = project;
        seen
    }

    /// Background responses of a project that were accepted and not deleted.
    pub fn jobs(&self, project: usize) -> Vec<String> {
        let of_project = |seen: &SeenResponse| seen.project == project && seen.is_background && !seen.is_deleted;
        self.responses.iter().filter(|(_, seen)| of_project(seen)).map(|(id, _)| id.clone()).collect()
    }
}
