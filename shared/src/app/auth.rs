//! Authentication: finds the caller that an API key belongs to, and checks the admin key.
//!
//! A process caches valid API keys for 30 seconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;

use super::admission::Admission;
use super::error::Error;
use crate::data::{ApiKeys, ProjectRecords, Stores};
use crate::model::catalog::KeySource;
use crate::model::clock::{Clock, Timestamp};
use crate::model::id::Fingerprint;
use crate::model::keys::Keys;
use crate::model::project::{ApiKeySecret, Caller};

const MISSING: &str = "You didn't provide an API key. Send it as one header, `Authorization: Bearer sk-weir-...`.";
const WRONG: &str = "Incorrect API key provided. Keys begin with `sk-weir-`; an administrator makes them with POST /v1/organization/projects/{id}/service_accounts.";
const ARCHIVED: &str = "The project of this API key is archived.";
const WRONG_ADMIN: &str = "Incorrect admin key provided. The admin API takes the admin key, not a project's key.";

/// Identifies callers by the bearer token of their request.
pub struct Auth {
    api_keys: ApiKeys,
    projects: ProjectRecords,
    admission: Arc<Admission>,
    cache: KeyCache,
    /// The key of the admin API. Without it, every request to the admin API is refused.
    admin_key: Option<AdminKey>,
    clock: Clock,
}

/// The key of the admin API, and where it is read.
#[derive(Clone)]
pub(super) struct AdminKey {
    pub(super) keys: Arc<dyn Keys>,
    pub(super) source: KeySource,
}

impl Auth {
    pub(super) fn new(stores: &Stores, clock: Clock, admission: Arc<Admission>, admin_key: Option<AdminKey>) -> Self {
        let (api_keys, projects) = (stores.api_keys(), stores.projects());
        Self { api_keys, projects, admission, cache: KeyCache::new(), admin_key, clock }
    }

    /// Finds the caller that a bearer token belongs to.
    ///
    /// # Errors
    /// `Unauthenticated` if there is no key, if it is wrong or revoked, or if its project is archived.
    pub async fn identify(&self, bearer: Option<&str>) -> Result<Caller, Error> {
        let token = bearer.ok_or(Error::Unauthenticated(MISSING))?;
        let secret = ApiKeySecret::parse(token).ok_or(Error::Unauthenticated(WRONG))?;
        let hash = secret.hash();
        let now = self.clock.now();
        if let Some(caller) = self.cache.get(&hash, now) {
            return Ok(caller);
        }
        let generation = self.cache.generation();
        let caller = self.load_caller(&secret, &hash).await?;
        self.cache.insert(hash, now, caller.clone(), generation);
        Ok(caller)
    }

    /// Reads the key, its project and the project's meter in one parallel round trip.
    ///
    /// The token names the project, so the project can be read before the key is verified. The stored key then decides
    /// whether the token is valid.
    async fn load_caller(&self, secret: &ApiKeySecret, hash: &Fingerprint) -> Result<Caller, Error> {
        let project_id = secret.project_id();
        let (key, project, ()) = tokio::join!(
            self.api_keys.by_hash(hash),
            self.projects.get(project_id),
            self.admission.prefetch(project_id, hash)
        );
        let key = key?.filter(|key| key.project_id == project_id).ok_or(Error::Unauthenticated(WRONG))?;
        let project = project?.ok_or(Error::Unauthenticated(WRONG))?;
        if project.archived_at.is_some() {
            return Err(Error::Unauthenticated(ARCHIVED));
        }
        Ok(Caller { project, key: key.limits(), api_key_id: key.id })
    }

    /// Checks that a bearer token is the admin key.
    ///
    /// # Errors
    /// `Unauthenticated` if it is not, or if this process has no admin key; `NoAdminKey` if the key cannot be read.
    pub async fn identify_admin(&self, bearer: Option<&str>) -> Result<(), Error> {
        let token = bearer.ok_or(Error::Unauthenticated(MISSING))?;
        let AdminKey { keys, source } = self.admin_key.as_ref().ok_or(Error::Unauthenticated(WRONG_ADMIN))?;
        let expected = keys.key(source).await.map_err(Error::NoAdminKey)?;
        let expected = expected.ok_or(Error::Unauthenticated(WRONG_ADMIN))?;
        // The hashes are compared instead of the keys, so that the duration of the comparison reveals nothing.
        let hash = |text: &str| Fingerprint::of([text.as_bytes()]);
        if hash(token) == hash(expected.expose()) {
            return Ok(());
        }
        // The key may have been changed since it was read.
        let renewed = keys.renewed(source, &expected).await;
        match renewed.is_some_and(|renewed| hash(token) == hash(renewed.expose())) {
            true => Ok(()),
            false => Err(Error::Unauthenticated(WRONG_ADMIN)),
        }
    }

    /// Removes the keys of a project from the cache, so that a change of the project or of its keys takes effect at once
    /// in this process. In other processes it takes effect when their cache entries expire, within 30 seconds.
    pub(super) fn forget_project(&self, project_id: &str) {
        self.cache.forget_project(project_id);
    }
}

/// Lifetime of a cache entry. A revoked key works for this long in a process that has cached it.
///
/// This state in the process is a deliberate exception: it saves one round trip in almost every request.
const MAX_AGE_MS: u64 = 30_000;

const CAPACITY: usize = 10_000;

/// Callers by the hash of their key, each with the time at which it was read from the table.
struct KeyCache {
    callers: Cache<Fingerprint, (Timestamp, Caller)>,
    /// Grows with each call of `forget_project`.
    generation: AtomicU64,
}

impl KeyCache {
    fn new() -> Self {
        Self { callers: Cache::new(CAPACITY), generation: AtomicU64::new(0) }
    }

    fn get(&self, hash: &Fingerprint, now: Timestamp) -> Option<Caller> {
        let (read_at, caller) = self.callers.get(hash)?;
        // In either direction: a clock that is set back must not make a revoked key work for longer.
        (read_at.apart(now) < MAX_AGE_MS).then_some(caller)
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Adds a caller that was read while the cache had `generation`.
    ///
    /// If a project was forgotten since then, the caller may be outdated, and it does not stay in the cache. It is
    /// inserted first and checked afterwards: a check before the insertion could miss a change between the two.
    fn insert(&self, hash: Fingerprint, read_at: Timestamp, caller: Caller, generation: u64) {
        self.callers.insert(hash.clone(), (read_at, caller));
        if self.generation() != generation {
            self.callers.remove(&hash);
        }
    }

    fn forget_project(&self, project_id: &str) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.callers.retain(|_, (_, caller)| caller.project.id != project_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::project::{KeyLimits, Limits, Policy, Project};

    const READ_AT: Timestamp = Timestamp(1_767_225_600_000);

    fn caller() -> Caller {
        let project = Project {
            id: "proj_1".into(),
            name: "Team".into(),
            created_at: 7,
            archived_at: None,
            limits: Limits::default(),
            revision: 1,
            policy: Policy::default(),
        };
        let key = KeyLimits { hash: hash(), limits: Limits::default(), revision: 1 };
        Caller { project, api_key_id: "key_1".into(), key }
    }

    fn hash() -> Fingerprint {
        Fingerprint::of([b"key".as_slice()])
    }

    #[test]
    fn a_cached_key_expires_after_30_seconds() {
        let cache = KeyCache::new();
        cache.insert(hash(), READ_AT, caller(), cache.generation());
        assert_eq!(cache.get(&hash(), READ_AT.plus_ms(29_999)), Some(caller()));
        assert_eq!(cache.get(&hash(), READ_AT.plus_ms(30_000)), None);
        assert_eq!(cache.get(&hash(), Timestamp(READ_AT.0 - 30_000)), None, "the clock was set back");
    }

    #[test]
    fn forgets_the_keys_of_one_project() {
        let cache = KeyCache::new();
        cache.insert(hash(), READ_AT, caller(), cache.generation());
        cache.forget_project("proj_2");
        assert_eq!(cache.get(&hash(), READ_AT), Some(caller()));
        cache.forget_project("proj_1");
        assert_eq!(cache.get(&hash(), READ_AT), None);
    }

    #[test]
    fn does_not_cache_a_caller_that_was_read_before_its_project_changed() {
        let cache = KeyCache::new();
        let generation = cache.generation();
        cache.forget_project("proj_1");
        cache.insert(hash(), READ_AT, caller(), generation);
        assert_eq!(cache.get(&hash(), READ_AT), None);
    }
}
