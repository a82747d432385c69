//! Service accounts and API keys. A service account is made with one key, which is shown once.

use crate::app::page::{Cursor, LONGEST_ID, Page};
use crate::app::{Error, Gateway};
use crate::model::id;
use crate::model::invalid::Invalid;
use crate::model::project::{ApiKey, ApiKeySecret, Name, Project, ServiceAccount};

/// A new service account with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    pub account: ServiceAccount,
    pub key: ApiKey,
    /// What the client sends. Nothing keeps it: this is the only time it is seen.
    pub secret: ApiKeySecret,
}

impl Gateway {
    /// Makes a service account and its key.
    ///
    /// # Errors
    /// `NotFound` if there is no such project; `Invalid` if it is archived; `Contended` if an id was taken at the same
    /// moment; `Internal` if the table failed.
    pub async fn create_service_account(&self, project_id: &str, name: Name) -> Result<Issued, Error> {
        let project = self.project(project_id).await?;
        if project.archived_at.is_some() {
            let message = "The project is archived; its keys would not work.".to_owned();
            return Err(Invalid { message, param: None, code: Some("project_archived") }.into());
        }
        let issued = self.issue(&project.id, name.into());
        let created = self.stores.table.create_service_account(&issued.account, &issued.key).await?;
        if created { Ok(issued) } else { Err(Error::Contended("service accounts")) }
    }

    fn issue(&self, project_id: &str, name: String) -> Issued {
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

    /// A service account of a project.
    ///
    /// # Errors
    /// `NotFound` if the project has none with that id; `Internal` if the table failed.
    pub async fn service_account(&self, project_id: &str, id: &str) -> Result<ServiceAccount, Error> {
        let found = match id.len() {
            0..=LONGEST_ID => self.stores.table.service_account(&self.project(project_id).await?.id, id).await?,
            _ => None,
        };
        found.ok_or_else(|| Error::NotFound { kind: "service account", id: id.to_owned() })
    }

    /// A page of a project's service accounts, oldest first.
    ///
    /// # Errors
    /// `NotFound` if there is no such project; `Internal` if the table failed.
    pub async fn service_accounts(&self, project_id: &str, cursor: &Cursor) -> Result<Page<ServiceAccount>, Error> {
        let project = self.project(project_id).await?;
        Ok(Page::of(self.stores.table.service_accounts(&project.id).await?, cursor, |account| &account.id))
    }

    /// Deletes a service account and revokes its keys; see [`Gateway::revoke_api_key`].
    ///
    /// # Errors
    /// `NotFound` if the project has none with that id; `Internal` if the table failed, and deleting again finishes it.
    pub async fn delete_service_account(&self, project_id: &str, id: &str) -> Result<(), Error> {
        let account = self.service_account(project_id, id).await?;
        let keys = self.stores.table.api_keys(project_id).await?;
        for key in keys.iter().filter(|key| key.service_account_id == account.id) {
            self.stores.table.delete_api_key(key).await?;
        }
        self.forget_keys(project_id);
        Ok(self.stores.table.delete_service_account(&account).await?)
    }

    /// An API key of a project (never its value), and the project.
    ///
    /// # Errors
    /// `NotFound` if the project has none with that id; `Internal` if the table failed.
    pub async fn api_key(&self, project_id: &str, id: &str) -> Result<(Project, ApiKey), Error> {
        let project = self.project(project_id).await?;
        let found = match id.len() {
            0..=LONGEST_ID => self.stores.table.project_api_key(&project.id, id).await?,
            _ => None,
        };
        let key = found.ok_or_else(|| Error::NotFound { kind: "API key", id: id.to_owned() })?;
        Ok((project, key))
    }

    /// A project and a page of its API keys, oldest first.
    ///
    /// # Errors
    /// `NotFound` if there is no such project; `Internal` if the table failed.
    pub async fn api_keys(&self, project_id: &str, cursor: &Cursor) -> Result<(Project, Page<ApiKey>), Error> {
        let project = self.project(project_id).await?;
        let keys = self.stores.table.api_keys(&project.id).await?;
        Ok((project, Page::of(keys, cursor, |key| &key.id)))
    }

    /// Revokes a key: it stops working in this process at once, elsewhere within 30 seconds.
    ///
    /// # Errors
    /// `NotFound` if the project has none with that id; `Internal` if the table failed, and revoking again finishes it.
    pub async fn revoke_api_key(&self, project_id: &str, id: &str) -> Result<(), Error> {
        let (_, key) = self.api_key(project_id, id).await?;
        self.stores.table.delete_api_key(&key).await?;
        self.forget_keys(project_id);
        Ok(())
    }
}
