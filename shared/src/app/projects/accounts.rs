//! Service accounts. Each is created together with one API key.

use std::sync::Arc;

use serde_json::{Value, json};

use super::api_keys::{KeySettings, audited_key};
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
use crate::model::key_text::ApiKeySecret;
use crate::model::page::{Cursor, Page};
use crate::model::project::{ApiKey, Name, ServiceAccount};

/// A new service account with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    pub account: ServiceAccount,
    pub key: ApiKey,
    /// The key that the client sends. The table stores only its hash, so it can be shown only now.
    pub secret: ApiKeySecret,
}

/// Administers the service accounts and API keys of projects.
pub struct ServiceAccounts {
    pub(super) records: ApiKeys,
    pub(super) checks: KeyCheckRecord,
    pub(super) last_uses: LastUses,
    pub(super) projects: ProjectRecords,
    pub(super) auth: Arc<Auth>,
    pub(super) admission: Arc<Admission>,
    pub(super) clock: Clock,
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
        let KeySettings { limits, mut rights, lifetime_seconds } = settings;
        let now = self.clock.now();
        if let Some(seconds) = lifetime_seconds {
            rights.expires_at = Some(now.seconds().saturating_add(seconds));
        }
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
}

/// A service account as an entry of the audit log shows it.
fn audited_account(account: &ServiceAccount) -> Value {
    json!({"name": account.name})
}
