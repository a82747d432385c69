//! The API keys of service accounts: what each may do, and when it was last used.

use serde_json::{Value, json};

use super::accounts::ServiceAccounts;
use super::{MAX_TRIES, load_project};
use crate::app::error::Error;
use crate::model::audit::{Actor, AuditAction, AuditEntry};
use crate::model::backoff;
use crate::model::invalid::Invalid;
use crate::model::key_rights::{KeyRights, KeyRightsPatch, has_expired};
use crate::model::page::{Cursor, Page};
use crate::model::patch::Patch;
use crate::model::project::{ApiKey, Limits, Project};
use crate::model::project_patch::LimitsPatch;

/// What an API key may do, and how much.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySettings {
    pub limits: Limits,
    pub rights: KeyRights,
    /// Seconds until a new key expires, instead of a time in its rights.
    pub lifetime_seconds: Option<u64>,
}

/// A change of a key's settings. The default changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyPatch {
    pub limits: LimitsPatch,
    pub rights: KeyRightsPatch,
}

/// An API key, without its secret, and the second in which its last use was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedKey {
    pub key: ApiKey,
    pub last_used_at: Option<u64>,
}

impl ServiceAccounts {
    /// Deletes a key with an entry in the audit log, unless another caller deletes it at the same time.
    pub(super) async fn delete_key(&self, project: &Project, key: &ApiKey, by: &Actor) -> Result<(), Error> {
        for tried in 0..MAX_TRIES {
            let entry = AuditEntry::new(by, AuditAction::ApiKeyDeleted, &key.id, self.clock.now());
            let entry = entry.in_project(project).with_change(audited_key(key), Value::Null);
            let is_deleted = self.records.delete(key, &entry).await?.is_written();
            if is_deleted || self.records.by_id(&project.id, &key.id).await?.is_none() {
                self.auth.forget_project(&project.id);
                return Ok(());
            }
            backoff::pause(tried).await;
        }
        Err(Error::Contended("the API key"))
    }

    /// Returns an API key of a project, without its secret, and the project.
    ///
    /// # Errors
    /// `NotFound` if the project has no key with that id.
    pub async fn api_key(&self, project_id: &str, id: &str) -> Result<(Project, UsedKey), Error> {
        let (project, key) = self.load_key(project_id, id).await?;
        let last_used_at = self.last_uses.of(&project.id).await?.remove(id);
        Ok((project, UsedKey { key, last_used_at }))
    }

    async fn load_key(&self, project_id: &str, id: &str) -> Result<(Project, ApiKey), Error> {
        let project = load_project(&self.projects, project_id).await?;
        let found = self.records.by_id(&project.id, id).await?;
        let key = found.ok_or_else(|| Error::not_found("API key", id))?;
        Ok((project, key))
    }

    /// Returns a project and a page of its API keys, oldest first.
    ///
    /// # Errors
    /// `NotFound` if there is no such project.
    pub async fn api_keys(&self, project_id: &str, cursor: &Cursor) -> Result<(Project, Page<UsedKey>), Error> {
        let project = load_project(&self.projects, project_id).await?;
        let (keys, mut used) = (self.records.list(&project.id).await?, self.last_uses.of(&project.id).await?);
        let used_key = |key: ApiKey| UsedKey { last_used_at: used.remove(&key.id), key };
        let keys: Vec<UsedKey> = keys.into_iter().map(used_key).collect();
        Ok((project, Page::oldest_first(keys, cursor, |used| &used.key.id)))
    }

    /// Changes the limits and the rights of a key. They are in force in this process when this returns. Another process that has
    /// cached the key applies its rights and its first limits within 30 seconds, and later limits at once.
    ///
    /// # Errors
    /// A caller completes a failed change by repeating it.
    /// - `Invalid` if the key would have expired: it is revoked by deleting it.
    /// - `NotFound` if the project has no key with that id.
    /// - `Contended` if concurrent changes of the key or of its meter interfered too often.
    pub async fn update_api_key(
        &self,
        project_id: &str,
        id: &str,
        patch: &KeyPatch,
        by: &Actor,
    ) -> Result<(Project, UsedKey), Error> {
        if let Patch::Set(expires_at) = patch.rights.expires_at {
            self.check_expiry(Some(expires_at))?;
        }
        let last_used_at = self.last_uses.of(project_id).await?.remove(id);
        for tried in 0..MAX_TRIES {
            let (project, before) = self.load_key(project_id, id).await?;
            let (limits, rights) = (patch.limits.apply(before.limits), patch.rights.apply(before.rights.clone()));
            let mut key = ApiKey { limits, rights, ..before.clone() };
            if key != before {
                key.revision += 1;
                let entry = AuditEntry::new(by, AuditAction::ApiKeyUpdated, id, self.clock.now()).in_project(&project);
                let entry = entry.with_change(audited_key(&before), audited_key(&key));
                if !self.records.replace(&key, &entry).await?.is_written() {
                    backoff::pause(tried).await;
                    continue;
                }
                self.auth.forget_project(project_id);
            }
            // Also if nothing changed: a failed update may have stored the limits without bringing them into force.
            self.admission.apply_key_limits(project_id, &key.limits()).await?;
            return Ok((project, UsedKey { key, last_used_at }));
        }
        Err(Error::Contended("the API key"))
    }

    pub(super) fn check_expiry(&self, expires_at: Option<u64>) -> Result<(), Invalid> {
        match has_expired(expires_at, self.clock.now()) {
            true => Err(Invalid::field("expires_at", "`expires_at` is in the past, expected Unix seconds to come.")),
            false => Ok(()),
        }
    }

    /// Revokes a key. It stops working in this process at once, and in others within 30 seconds.
    ///
    /// # Errors
    /// - `NotFound` if the project has no key with that id.
    /// - A store's failure; a caller completes the revocation by repeating it.
    pub async fn revoke_api_key(&self, project_id: &str, id: &str, by: &Actor) -> Result<(), Error> {
        let (project, key) = self.load_key(project_id, id).await?;
        self.delete_key(&project, &key, by).await
    }
}

/// An API key as an entry of the audit log shows it: nothing of its secret.
pub(super) fn audited_key(key: &ApiKey) -> Value {
    json!({"name": key.name, "service_account_id": key.service_account_id, "limits": key.limits, "rights": key.rights})
}
