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
pub(crate) struct Ledger {
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) calls: Vec<ProviderCall>,
    /// The most that each request that was sent could cost: project and micro-dollars.
    pub(crate) asked: Vec<(usize, u64)>,
    pub(crate) keyed: BTreeMap<KeyedRequest, Vec<KeyedReply>>,
    /// By the response's id.
    pub(crate) responses: BTreeMap<String, SeenResponse>,
    /// Posts that a receiver took: its URL and the `webhook-id`.
    pub(crate) taken: Vec<(String, String)>,
    /// Budgets that somebody tried to set: project and micro-dollars.
    pub(crate) budgets: Vec<(usize, u64)>,
    pub(crate) violations: Vec<Violation>,
}

/// A project and what its owner knows.
pub(crate) struct Tenant {
    pub(crate) project: Project,
    /// The key and its id. The first is never revoked.
    pub(crate) keys: Vec<(String, String)>,
    /// Keys whose revocation was confirmed, by their place in `keys`.
    pub(crate) revoked: BTreeSet<usize>,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) conversation: String,
}

pub(crate) struct Endpoint {
    pub(crate) id: String,
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
