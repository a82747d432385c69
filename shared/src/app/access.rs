//! Who is calling: keys are read from the table and remembered for 30 seconds.

use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;

use super::error::Error;
use super::gateway::Gateway;
use crate::model::clock::Timestamp;
use crate::model::id::Fingerprint;
use crate::model::project::{ApiKeySecret, Caller, Project};

/// How long a key that was revoked may still work, and how long a process goes without reading it again.
///
/// A conscious exception to statelessness: it saves a round trip of every request.
const REMEMBERED_MS: u64 = 30_000;

/// Valid keys by their hash, with the time they were read.
pub(crate) struct KeyCache {
    callers: Cache<Fingerprint, (Timestamp, Caller)>,
    /// Times that keys were forgotten.
    forgotten: AtomicU64,
}

impl KeyCache {
    pub(crate) fn new() -> Self {
        Self { callers: Cache::new(10_000), forgotten: AtomicU64::new(0) }
    }

    fn known(&self, hash: &Fingerprint, now: Timestamp) -> Option<Caller> {
        let (read_at, caller) = self.callers.get(hash)?;
        (read_at.until(now) < REMEMBERED_MS).then_some(caller)
    }

    /// Remembers a caller, unless keys were forgotten while it was read: then it may be what was forgotten.
    fn remember(&self, hash: Fingerprint, read_at: Timestamp, caller: Caller, forgotten_before: u64) {
        self.callers.insert(hash.clone(), (read_at, caller));
        if self.forgotten.load(Ordering::SeqCst) != forgotten_before {
            self.callers.remove(&hash);
        }
    }
}

const MISSING: &str = "You didn't provide an API key. Send it as `Authorization: Bearer sk-weir-...`.";
const WRONG: &str = "Incorrect API key provided. Keys begin with `sk-weir-`; an administrator makes them with POST /v1/organization/projects/{id}/service_accounts.";
const ARCHIVED: &str = "The project of this API key is archived.";
const WRONG_ADMIN: &str = "Incorrect admin key provided. The admin API takes the admin key, not a project's key.";

impl Gateway {
    /// The caller that a bearer token belongs to.
    ///
    /// The key, its project and its project's meter are read at once; the key decides whether the others count.
    ///
    /// # Errors
    /// `Unauthenticated` without a key, with a wrong or revoked one, or one of an archived project.
    pub async fn identify(&self, bearer: Option<&str>) -> Result<Caller, Error> {
        let token = bearer.ok_or(Error::Unauthenticated(MISSING))?;
        let secret = ApiKeySecret::parse(token).ok_or(Error::Unauthenticated(WRONG))?;
        let hash = secret.hash();
        let now = self.clock.now();
        if let Some(caller) = self.keys.known(&hash, now) {
            return Ok(caller);
        }
        let forgotten_before = self.keys.forgotten.load(Ordering::SeqCst);
        let table = &self.stores.table;
        let (key, project, ()) = tokio::join!(
            table.api_key(&hash),
            table.project(secret.project_id()),
            self.peek_meter(secret.project_id())
        );
        let key = key?.filter(|key| key.project_id == secret.project_id()).ok_or(Error::Unauthenticated(WRONG))?;
        let project = project?.ok_or(Error::Unauthenticated(WRONG))?;
        if project.archived_at.is_some() {
            return Err(Error::Unauthenticated(ARCHIVED));
        }
        let caller = Caller { project, api_key_id: key.id };
        self.keys.remember(hash, now, caller.clone(), forgotten_before);
        Ok(caller)
    }

    /// Whether a bearer token is the admin key.
    ///
    /// # Errors
    /// `Unauthenticated` if not, or if no admin key is set.
    pub fn identify_admin(&self, bearer: Option<&str>) -> Result<(), Error> {
        let token = bearer.ok_or(Error::Unauthenticated(MISSING))?;
        let expected = self.admin_key.as_ref().ok_or(Error::Unauthenticated(WRONG_ADMIN))?;
        // Hashes are compared, so that the time it takes says nothing about the key.
        let hash = |text: &str| Fingerprint::of([text.as_bytes()]);
        if hash(token) == hash(expected.expose()) { Ok(()) } else { Err(Error::Unauthenticated(WRONG_ADMIN)) }
    }

    /// Forgets the keys of a project, so that a change of it holds at once in this process; the others follow when what
    /// they remember is too old.
    pub(super) fn forget_keys(&self, project_id: &str) {
        self.keys.forgotten.fetch_add(1, Ordering::SeqCst);
        self.keys.callers.retain(|_, (_, caller)| caller.project.id != project_id);
    }

    /// Reads a project whose limits changed since its key was remembered.
    pub(super) async fn reload_project(&self, id: &str) -> Result<Project, Error> {
        let gone = || Error::NotFound { kind: "project", id: id.to_owned() };
        self.stores.table.project(id).await?.ok_or_else(gone)
    }
}
