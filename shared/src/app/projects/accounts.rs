//! Service accounts and API keys. A service account is created together with one key.

use std::sync::Arc;

use super::load_project;
use crate::app::auth::Auth;
use crate::app::error::Error;
use crate::data::{ApiKeys, ProjectRecords, Stores};
use crate::model::clock::Clock;
use crate::model::id;
use crate::model::invalid::Invalid;
use crate::model::page::{Cursor, Page};
use crate::model::project::{ApiKey, ApiKeySecret, Name, Project, ServiceAccount};

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
    records: ApiKeys,
    projects: ProjectRecords,
    auth: Arc<Auth>,
    clock: Clock,
}

impl ServiceAccounts {
    pub(in crate::app) fn new(stores: &Stores, clock: Clock, auth: Arc<Auth>) -> Self {
        Self { records: stores.api_keys(), projects: stores.projects(), auth, clock }
    }

    /// Creates a service account and its key.
    ///
    /// # Errors
    /// - `NotFound` if there is no such project.
    /// - `Invalid` if the project is archived.
    /// - `Contended` if another request took one of the ids at the same moment.
    pub async fn create(&self, project_id: &str, name: Name) -> Result<Issued, Error> {
        let project = load_project(&self.projects, project_id).await?;
        if project.archived_at.is_some() {
            let message = "The project is archived; its keys would not work.".to_owned();
            return Err(Invalid { message, param: None, code: Some("project_archived") }.into());
        }
        let issued = self.generate(&project.id, name.into());
        let outcome = self.records.create_service_account(&issued.account, &issued.key).await?;
        if outcome.is_written() { Ok(issued) } else { Err(Error::Contended("service accounts")) }
    }

    fn generate(&self, project_id: &str, name: String) -> Issued {
        let now = self.clock.now();
        let secret = ApiKeySecret::generate(project_id);
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
    pub async fn delete(&self, project_id: &str, id: &str) -> Result<(), Error> {
        let account = self.get(project_id, id).await?;
        // The account goes last: if a deletion fails before, a repeated call still finds the account and its keys.
        let keys = self.records.list(project_id).await?;
        for key in keys.iter().filter(|key| key.service_account_id == account.id) {
            self.records.delete(key).await?;
        }
        self.auth.forget_project(project_id);
        Ok(self.records.delete_service_account(&account).await?)
    }

    /// Returns an API key of a project, without its secret, and the project.
    ///
    /// # Errors
    /// `NotFound` if the project has no key with that id.
    pub async fn api_key(&self, project_id: &str, id: &str) -> Result<(Project, ApiKey), Error> {
        let project = load_project(&self.projects, project_id).await?;
        let found = self.records.by_id(&project.id, id).await?;
        let key = found.ok_or_else(|| Error::not_found("API key", id))?;
        Ok((project, key))
    }

    /// Returns a project and a page of its API keys, oldest first.
    ///
    /// # Errors
    /// `NotFound` if there is no such project.
    pub async fn api_keys(&self, project_id: &str, cursor: &Cursor) -> Result<(Project, Page<ApiKey>), Error> {
        let project = load_project(&self.projects, project_id).await?;
        let keys = self.records.list(&project.id).await?;
        Ok((project, Page::oldest_first(keys, cursor, |key| &key.id)))
    }

    /// Revokes a key. It stops working in this process at once, and in others within 30 seconds.
    ///
    /// # Errors
    /// - `NotFound` if the project has no key with that id.
    /// - A store's failure; a caller completes the revocation by repeating it.
    pub async fn revoke_api_key(&self, project_id: &str, id: &str) -> Result<(), Error> {
        let (_, key) = self.api_key(project_id, id).await?;
        self.records.delete(&key).await?;
        self.auth.forget_project(project_id);
        Ok(())
    }
}
