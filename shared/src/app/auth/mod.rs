//! Authentication: finds the caller that an API key belongs to, and checks the admin key.
//!
//! A process remembers valid API keys for 30 seconds, and so it does keys that are no longer in the table. A key that weir did
//! not make is refused by its check, without a read.

mod admin;
mod checks;
mod key_cache;
mod last_use;

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

use super::admission::Admission;
use super::error::Error;
use super::tasks::Tasks;
use crate::data::{AdminKeyRecords, ApiKeys, ProjectRecords, Stores};
use crate::model::clock::{Clock, Timestamp};
use crate::model::forbidden::Forbidden;
use crate::model::id::Fingerprint;
use crate::model::key_refusal::KeyRefusal;
use crate::model::key_rights::{AddressRange, KeyRights};
use crate::model::key_text::ApiKeySecret;
use crate::model::project::Caller;
use crate::model::scope::Scope;
pub(super) use admin::RootKey;
use checks::KeyChecks;
use key_cache::KeyCache;
use last_use::LastUse;

/// Identifies callers by the bearer token of their request.
pub struct Auth {
    api_keys: ApiKeys,
    projects: ProjectRecords,
    admission: Arc<Admission>,
    checks: KeyChecks,
    cache: KeyCache,
    last_use: LastUse,
    admin_keys: AdminKeyRecords,
    /// The deployment's own admin key. A function that has none serves no route of the admin API.
    root_key: Option<RootKey>,
    /// Where the admin API is reachable from; `None`: from everywhere.
    admin_addresses: Option<Vec<AddressRange>>,
    clock: Clock,
}

/// How a key is used.
#[derive(Debug, Clone, Copy)]
pub struct KeyUse {
    /// What the route needs.
    pub scope: Scope,
    /// Where the request comes from; `None` if that is not known.
    pub address: Option<IpAddr>,
}

/// Checks what a process must not remember: the time, the address and the route differ from request to request.
fn check_use(rights: &KeyRights, KeyUse { scope, address }: KeyUse, now: Timestamp) -> Result<(), Error> {
    if let Some(expired_at) = rights.expires_at.filter(|_| rights.has_expired(now)) {
        return Err(Error::Unauthenticated(KeyRefusal::Expired { expired_at }));
    }
    if !rights.allow_address(address) {
        return Err(Error::Unauthenticated(KeyRefusal::Address { address }));
    }
    match rights.allow_scope(scope) {
        true => Ok(()),
        false => Err(Forbidden::Scope { missing: scope, has: rights.scopes.clone().unwrap_or_default() }.into()),
    }
}

impl Auth {
    pub(super) fn new(
        stores: &Stores,
        clock: Clock,
        admission: Arc<Admission>,
        tasks: Tasks,
        root_key: Option<RootKey>,
        admin_addresses: Option<Vec<AddressRange>>,
    ) -> Self {
        let (api_keys, projects) = (stores.api_keys(), stores.projects());
        let checks = KeyChecks::new(stores.key_checks());
        let last_use = LastUse::new(stores.last_uses(), tasks, clock.clone());
        let (admin_keys, cache) = (stores.admin_keys(), KeyCache::new());
        Self { api_keys, projects, admission, checks, cache, last_use, admin_keys, root_key, admin_addresses, clock }
    }

    /// Finds the caller that a bearer token belongs to, if its key may be used in this way. Which models it may call is checked
    /// where the model is looked for.
    ///
    /// # Errors
    /// - `Unauthenticated` if there is no key, if it is wrong, revoked or expired, if its project is archived, or if it is not
    ///   taken from the address.
    /// - `Forbidden` if it does not have the scope.
    pub async fn identify(&self, bearer: Option<&str>, key_use: KeyUse) -> Result<Caller, Error> {
        let caller = self.caller(bearer).await?;
        check_use(&caller.rights, key_use, self.clock.now())?;
        self.last_use.note(&caller.project.id, &caller.api_key_id);
        Ok(caller)
    }

    /// Finds the caller that a bearer token belongs to.
    async fn caller(&self, bearer: Option<&str>) -> Result<Caller, Error> {
        let token = bearer.ok_or(Error::Unauthenticated(KeyRefusal::Missing))?;
        let secret = ApiKeySecret::parse(token).ok_or(Error::Unauthenticated(KeyRefusal::Wrong))?;
        let hash = secret.hash();
        let now = self.clock.now();
        if let Some(caller) = self.cache.get(&hash, now) {
            return Ok(caller);
        }
        if self.cache.is_absent(&hash, now) {
            return Err(Error::Unauthenticated(KeyRefusal::Revoked));
        }
        let generation = self.cache.generation();
        let found = self.find_caller(&secret, &hash).await;
        match &found {
            Ok(caller) => self.cache.insert(hash, now, caller.clone(), generation),
            // Its check is right: it was a key, and its holder may ask again and again.
            Err(Error::Unauthenticated(KeyRefusal::Revoked)) => self.cache.insert_absent(hash, now),
            Err(_) => {}
        }
        found
    }

    /// Reads the caller of a key, if its check is right.
    ///
    /// The first key of a process is read together with the secret of the checks: one round trip for both. All others wait
    /// for the secret, so that a process reads for one wrong key only, however many come before the secret.
    async fn find_caller(&self, secret: &ApiKeySecret, hash: &Fingerprint) -> Result<Caller, Error> {
        let (check, load) = (pin!(self.check(secret)), pin!(self.load_caller(secret, hash)));
        if self.checks.is_first_key() {
            let (checked, loaded) = tokio::join!(check, load);
            checked?;
            return loaded;
        }
        check.await?;
        load.await
    }

    async fn check(&self, key: &ApiKeySecret) -> Result<(), Error> {
        match self.checks.fit(key.secret()).await? {
            true => Ok(()),
            false => Err(Error::Unauthenticated(KeyRefusal::Wrong)),
        }
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
        let key = key?.filter(|key| key.project_id == project_id).ok_or(Error::Unauthenticated(KeyRefusal::Revoked))?;
        let project = project?.ok_or(Error::Unauthenticated(KeyRefusal::Revoked))?;
        if project.archived_at.is_some() {
            return Err(Error::Unauthenticated(KeyRefusal::Archived));
        }
        Ok(Caller { project, key: key.limits(), rights: key.rights, api_key_id: key.id })
    }

    /// Removes the keys of a project from the cache, so that a change of the project or of its keys takes effect at once
    /// in this process. In other processes it takes effect when their cache entries expire, within 30 seconds.
    pub(super) fn forget_project(&self, project_id: &str) {
        self.cache.forget_project(project_id);
    }
}
