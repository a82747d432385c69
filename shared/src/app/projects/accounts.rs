//! Service accounts and API keys. A service account is created together with one key.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{MAX_TRIES, load_project};
use crate::app::admission::Admission;
use crate::app::auth::Auth;
use crate::app::error::Error;
use crate::data::{ApiKeys, KeyCheckRecord, LastUses, ProjectRecords, Stores};
use crate::model::audit::{Actor, AuditAction, AuditEntry};
use crate::model::backoff;
use crate::model::clock::Clock;
use crate::model::id;
use crate::model::invalid::Invalid;
use crate::model::key_check::KeyCheck;
use crate::model::key_rights::{KeyRights, KeyRightsPatch, has_expired};
use crate::model::key_text::ApiKeySecret;
use crate::model::page::{Cursor, Page};
use crate::model::patch::Patch;
use crate::model::project::{ApiKey, Limits, Name, Project, ServiceAccount};
use crate::model::project_patch::LimitsPatch;

/// A new service account with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    pub account: ServiceAccount,
    pub key: ApiKey,
    /// The key that the client sends. The table stores only its hash, so it can be shown only now.
    pub secret: ApiKeySecret,
}

/// What an API key may do, and how much.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySettings {
    pub limits: Limits,
    pub rights: KeyRights,
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

/// Administers the service accounts and API keys of projects.
pub struct ServiceAccounts {
    records: ApiKeys,
    checks: KeyCheckRecord,
    last_uses: LastUses,
    projects: ProjectRecords,
    auth: Arc<Auth>,
    admission: Arc<Admission>,
    clock: Clock,
}

impl ServiceAccounts {
    pub(in crate::app) fn new(stores: &Stores, clock: Clock, auth: Arc<Auth>, admission: Arc<Admission>) -> Self {
        let (records, checks, projects) = (stores.api_keys(), stores.key_checks(), stores.projects());
        Self { records, checks, last_uses: stores.last_uses(), projects, auth, admission, clock }
    }

    /// Creates a service account and its key, which has these settings beside those of the project.
    ///
    /// # Errors
    /// - `NotFound` if there is no such project.
    /// - `Invalid` if the project is archived, or the key would have expired.
    /// - `Contended` if another request took one of the ids at the same moment.
    pub async fn create(
        &self,
        project_id: &str,
        name: Name,
        settings: KeySettings,
        by: &Actor,
    ) -> Result<Issued, Error> {
        self.check_expiry(settings.rights.expires_at)?;
        let project = load_project(&self.projects, project_id).await?;
        if project.archived_at.is_some() {
            let message = "The project is archived; its keys would not work.".to_owned();
            return Err(Invalid { message, param: None, code: Some("project_archived") }.into());
        }
        let check = self.checks.get_or_create().await?;
        let issued = self.generate(&project.id, name.into(), settings, &check);
        let Issued { account, key, .. } = &issued;
        let entry = |action, subject: &str, made| {
            let entry = AuditEntry::new(by, action, subject, self.clock.now()).in_project(&project);
            entry.with_change(Value::Null, made)
        };
        let audited = [
            entry(AuditAction::ServiceAccountCreated, &account.id, audited_account(account)),
            entry(AuditAction::ApiKeyCreated, &key.id, audited_key(key)),
        ];
        let outcome = self.records.create_service_account(account, key, &audited).await?;
        if outcome.is_written() { Ok(issued) } else { Err(Error::Contended("service accounts")) }
    }

    fn generate(&self, project_id: &str, name: String, settings: KeySettings, check: &KeyCheck) -> Issued {
        let KeySettings { limits, rights } = settings;
        let now = self.clock.now();
        let secret = ApiKeySecret::generate(project_id, check);
        let account = ServiceAccount {
            id: id::new_ordered("svc_acct_", now),
            project_id: project_id.to_owned(),
            name: name.clone(),
            created_at: now.seconds(),
        };
        let key = ApiKey {
            id: id::new_ordered("key_", now),
            hash: secret.hash(),
            project_id: project_id.to_owned(),
            name,
            redacted_value: secret.redact(),
            created_at: account.created_at,
            service_account_id: account.id.clone(),
            limits,
            rights,
            revision: 1,
        };
        Issued { account, key, secret }
    }

    /// Returns a service account of a project.
    ///
    /// # Errors
    /// `NotFound` if the project has no service account with that id.
    pub async fn get(&self, project_id: &str, id: &str) -> Result<ServiceAccount, Error> {
        let project = load_project(&self.projects, project_id).await?;
        let found = self.records.service_account(&project.id, id).await?;
        found.ok_or_else(|| Error::not_found("service account", id))
    }

    /// Returns a page of the service accounts of a project, oldest first.
    ///
    /// # Errors
    /// `NotFound` if there is no such project.
    pub async fn list(&self, project_id: &str, cursor: &Cursor) -> Result<Page<ServiceAccount>, Error> {
        let project = load_project(&self.projects, project_id).await?;
        let all = self.records.service_accounts(&project.id).await?;
        Ok(Page::oldest_first(all, cursor, |account| &account.id))
    }

    /// Deletes a service account and revokes its keys; see [`ServiceAccounts::revoke_api_key`].
    ///
    /// # Errors
    /// - `NotFound` if the project has no service account with that id.
    /// - A store's failure; a caller completes the deletion by repeating it.
    pub async fn delete(&self, project_id: &str, id: &str, by: &Actor) -> Result<(), Error> {
        let project = load_project(&self.projects, project_id).await?;
        let account = self.records.service_account(project_id, id).await?;
        let account = account.ok_or_else(|| Error::not_found("service account", id))?;
        // The account goes last: if a deletion fails before, a repeated call still finds the account and its keys.
        let keys = self.records.list(project_id).await?;
        for key in keys.iter().filter(|key| key.service_account_id == account.id) {
            self.delete_key(&project, key, by).await?;
        }
        for tried in 0..MAX_TRIES {
            let entry = AuditEntry::new(by, AuditAction::ServiceAccountDeleted, id, self.clock.now());
            let entry = entry.in_project(&project).with_change(audited_account(&account), Value::Null);
            let is_deleted = self.records.delete_service_account(&account, &entry).await?.is_written();
            if is_deleted || self.records.service_account(project_id, id).await?.is_none() {
                return Ok(());
            }
            backoff::pause(tried).await;
        }
        Err(Error::Contended("the service account"))
    }

    /// Deletes a key with an entry in the audit log, unless another caller deletes it at the same time.
    async fn delete_key(&self, project: &Project, key: &ApiKey, by: &Actor) -> Result<(), Error> {
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

    fn check_expiry(&self, expires_at: Option<u64>) -> Result<(), Invalid> {
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

/// A service account as an entry of the audit log shows it.
fn audited_account(account: &ServiceAccount) -> Value {
    json!({"name": account.name})
}

/// An API key as an entry of the audit log shows it: nothing of its secret.
fn audited_key(key: &ApiKey) -> Value {
    json!({"name": key.name, "service_account_id": key.service_account_id, "limits": key.limits, "rights": key.rights})
}
