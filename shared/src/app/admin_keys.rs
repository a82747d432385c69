//! Admin keys, which administrators make and delete.

use serde_json::{Value, json};

use super::error::Error;
use crate::data::{ADMIN_OWNER, AdminKeyRecords, KeyCheckRecord, LastUses, Stores};
use crate::model::admin_key::{AdminKey, AdminScope};
use crate::model::audit::{Actor, AuditAction, AuditEntry};
use crate::model::backoff;
use crate::model::clock::Clock;
use crate::model::id;
use crate::model::key_text::AdminKeySecret;
use crate::model::page::{Cursor, Page};
use crate::model::project::Name;

/// Number of times that a deletion is tried while others interfere.
const MAX_TRIES: u32 = 10;

/// An admin key that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAdminKey {
    pub name: Name,
    pub scope: AdminScope,
    /// `None`: it does not expire.
    pub lifetime_seconds: Option<u64>,
}

/// An admin key, without its secret, and the second in which its last use was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedAdminKey {
    pub key: AdminKey,
    pub last_used_at: Option<u64>,
}

/// Administers admin keys.
pub struct AdminKeys {
    records: AdminKeyRecords,
    checks: KeyCheckRecord,
    last_uses: LastUses,
    clock: Clock,
}

impl AdminKeys {
    pub(super) fn new(stores: &Stores, clock: Clock) -> Self {
        Self { records: stores.admin_keys(), checks: stores.key_checks(), last_uses: stores.last_uses(), clock }
    }

    /// Makes a key. The table stores only its hash, so its secret can be shown only now.
    ///
    /// # Errors
    /// `Contended` if another request took the same id at the same moment.
    pub async fn create(&self, new: NewAdminKey, by: &Actor) -> Result<(AdminKey, AdminKeySecret), Error> {
        let secret = AdminKeySecret::generate(&self.checks.get_or_create().await?);
        let now = self.clock.now();
        let key = AdminKey {
            id: id::new_ordered("key_", now),
            hash: secret.hash(),
            name: new.name.into(),
            redacted_value: secret.redact(),
            created_at: now.seconds(),
            expires_at: new.lifetime_seconds.map(|seconds| now.seconds().saturating_add(seconds)),
            scope: new.scope,
        };
        let entry = AuditEntry::new(by, AuditAction::AdminKeyCreated, &key.id, now);
        let entry = entry.with_change(Value::Null, audited_key(&key));
        let outcome = self.records.create(&key, Some(&entry)).await?;
        if outcome.is_written() { Ok((key, secret)) } else { Err(Error::Contended("admin keys")) }
    }

    /// Returns a key by its id.
    ///
    /// # Errors
    /// `NotFound` if there is no such key.
    pub async fn get(&self, id: &str) -> Result<UsedAdminKey, Error> {
        let key = self.load(id).await?;
        let last_used_at = self.last_uses.of(ADMIN_OWNER).await?.remove(id);
        Ok(UsedAdminKey { key, last_used_at })
    }

    async fn load(&self, id: &str) -> Result<AdminKey, Error> {
        self.records.by_id(id).await?.ok_or_else(|| Error::not_found("admin key", id))
    }

    /// Returns a page of the keys, oldest first.
    pub async fn list(&self, cursor: &Cursor) -> Result<Page<UsedAdminKey>, Error> {
        let (keys, mut used) = (self.records.list().await?, self.last_uses.of(ADMIN_OWNER).await?);
        let used_key = |key: AdminKey| UsedAdminKey { last_used_at: used.remove(&key.id), key };
        let keys: Vec<UsedAdminKey> = keys.into_iter().map(used_key).collect();
        Ok(Page::oldest_first(keys, cursor, |used| &used.key.id))
    }

    /// Deletes a key. It stops working at once, in every process.
    ///
    /// # Errors
    /// - `NotFound` if there is no such key.
    /// - `Contended` if other changes interfered too often.
    pub async fn delete(&self, id: &str, by: &Actor) -> Result<(), Error> {
        let key = self.load(id).await?;
        for tried in 0..MAX_TRIES {
            let entry = AuditEntry::new(by, AuditAction::AdminKeyDeleted, id, self.clock.now());
            let entry = entry.with_change(audited_key(&key), Value::Null);
            let is_deleted = self.records.delete(&key, &entry).await?.is_written();
            if is_deleted || self.records.by_id(id).await?.is_none() {
                return Ok(());
            }
            backoff::pause(tried).await;
        }
        Err(Error::Contended("the admin key"))
    }
}

/// An admin key as an entry of the audit log shows it: nothing of its secret.
fn audited_key(key: &AdminKey) -> Value {
    json!({"name": key.name, "scope": key.scope.name(), "expires_at": key.expires_at})
}
