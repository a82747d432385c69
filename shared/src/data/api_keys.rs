//! Service accounts and their API keys. The table has each key twice: under its hash, and in its project's list.

use super::audit::entry_write;
use super::change::{Write, WriteOutcome};
use super::error::StoreError;
use super::item::{Item, Reader, insert_present, number, text};
use super::keys::{self, Key};
use super::projects::{insert_limits, read_limits};
use super::table::Table;
use crate::model::audit::AuditEntry;
use crate::model::id::Fingerprint;
use crate::model::key_rights::KeyRights;
use crate::model::project::{ApiKey, ServiceAccount};

/// The service accounts and their API keys.
#[derive(Clone, Debug)]
pub struct ApiKeys(pub(super) Table);

impl ApiKeys {
    /// Stores both items of a new key, or neither. `Refused`: the key exists.
    pub async fn create(&self, key: &ApiKey) -> Result<WriteOutcome, StoreError> {
        self.0.transact(key_writes(key).into()).await
    }

    /// Stores a new service account and its key with the entries in the audit log, or nothing. `Refused`: one of them
    /// exists.
    pub async fn create_service_account(
        &self,
        account: &ServiceAccount,
        key: &ApiKey,
        audited: &[AuditEntry],
    ) -> Result<WriteOutcome, StoreError> {
        let [by_hash, listed] = key_writes(key);
        let writes = [Write::Create(account_item(account)), by_hash, listed];
        self.0.transact(writes.into_iter().chain(audited.iter().map(entry_write)).collect()).await
    }

    /// Returns a service account of a project by its id.
    pub async fn service_account(&self, project_id: &str, id: &str) -> Result<Option<ServiceAccount>, StoreError> {
        self.0.get(keys::service_account(project_id, id)).await?.map(|item| read_account(&item)).transpose()
    }

    /// Returns the service accounts of a project, in the order of their ids.
    pub async fn service_accounts(&self, project_id: &str) -> Result<Vec<ServiceAccount>, StoreError> {
        let items = self.0.query_prefix(&keys::project_partition(project_id), keys::SERVICE_ACCOUNT_PREFIX).await?;
        items.iter().map(read_account).collect()
    }

    /// Deletes a service account, with an entry in the audit log. The caller must delete its keys first. `Refused`: it does
    /// not exist, or another transaction came first.
    pub async fn delete_service_account(
        &self,
        account: &ServiceAccount,
        audited: &AuditEntry,
    ) -> Result<WriteOutcome, StoreError> {
        let account = keys::service_account(&account.project_id, &account.id);
        self.0.transact(vec![Write::Remove(account), entry_write(audited)]).await
    }

    /// Returns the key with a hash.
    pub async fn by_hash(&self, hash: &Fingerprint) -> Result<Option<ApiKey>, StoreError> {
        self.0.get(keys::api_key(hash.as_str())).await?.map(|item| read_key(&item)).transpose()
    }

    /// Returns the keys of a project, in the order of their ids.
    pub async fn list(&self, project_id: &str) -> Result<Vec<ApiKey>, StoreError> {
        let items = self.0.query_prefix(&keys::project_partition(project_id), keys::API_KEY_PREFIX).await?;
        items.iter().map(read_key).collect()
    }

    /// Returns a key of a project by its id.
    pub async fn by_id(&self, project_id: &str, id: &str) -> Result<Option<ApiKey>, StoreError> {
        self.0.get(keys::project_api_key(project_id, id)).await?.map(|item| read_key(&item)).transpose()
    }

    /// Replaces a key, with an entry in the audit log. `Refused`: the table does not have the revision just before
    /// `key.revision`, or the key is revoked.
    pub async fn replace(&self, key: &ApiKey, audited: &AuditEntry) -> Result<WriteOutcome, StoreError> {
        let before = key.revision.saturating_sub(1);
        // Without the condition, a change that another caller made meanwhile would be lost, or a revoked key would return.
        let unchanged = || vec![(":before", number(before))];
        let writes = places(key).map(|place| Write::PutIf(key_item(place, key), "revision = :before", unchanged()));
        self.0.transact(writes.into_iter().chain([entry_write(audited)]).collect()).await
    }

    /// Deletes both items of a key, with an entry in the audit log. `Refused`: the key does not exist, or another
    /// transaction came first.
    pub async fn delete(&self, key: &ApiKey, audited: &AuditEntry) -> Result<WriteOutcome, StoreError> {
        let by_hash = Write::Delete(keys::api_key(key.hash.as_str()));
        let used = Write::Delete(keys::last_use(&key.project_id, &key.id));
        let listed = Write::Remove(keys::project_api_key(&key.project_id, &key.id));
        self.0.transact(vec![by_hash, listed, used, entry_write(audited)]).await
    }
}

/// Returns the writes of the item under the hash and of the item in the list.
fn key_writes(key: &ApiKey) -> [Write; 2] {
    places(key).map(|place| Write::Create(key_item(place, key)))
}

fn places(key: &ApiKey) -> [Key; 2] {
    [keys::api_key(key.hash.as_str()), keys::project_api_key(&key.project_id, &key.id)]
}

fn account_item(account: &ServiceAccount) -> Item {
    keys::service_account(&account.project_id, &account.id).with([
        ("id", text(&account.id)),
        ("project_id", text(&account.project_id)),
        ("name", text(&account.name)),
        ("created_at", number(account.created_at)),
    ])
}

fn key_item(place: Key, key: &ApiKey) -> Item {
    let mut item = place.with([
        ("id", text(&key.id)),
        ("hash", text(key.hash.as_str())),
        ("project_id", text(&key.project_id)),
        ("name", text(&key.name)),
        ("redacted_value", text(&key.redacted_value)),
        ("created_at", number(key.created_at)),
        ("service_account_id", text(&key.service_account_id)),
        ("revision", number(key.revision)),
    ]);
    insert_limits(&mut item, &key.limits);
    let rights = Some(&key.rights).filter(|rights| **rights != KeyRights::default());
    insert_present(
        &mut item,
        [("rights", rights.map(|rights| text(serde_json::to_string(rights).unwrap_or_default())))],
    );
    item
}

fn read_account(item: &Item) -> Result<ServiceAccount, StoreError> {
    let reader = Reader(item);
    Ok(ServiceAccount {
        id: reader.text("id")?,
        project_id: reader.text("project_id")?,
        name: reader.text("name")?,
        created_at: reader.number("created_at")?,
    })
}

/// A key without the attribute may do everything.
fn read_rights(reader: &Reader<'_>) -> Result<KeyRights, StoreError> {
    let Some(json) = reader.maybe_text("rights") else { return Ok(KeyRights::default()) };
    serde_json::from_str(&json).map_err(|_| reader.damaged("rights"))
}

fn read_key(item: &Item) -> Result<ApiKey, StoreError> {
    let reader = Reader(item);
    Ok(ApiKey {
        id: reader.text("id")?,
        hash: Fingerprint::from_hex(reader.text("hash")?),
        project_id: reader.text("project_id")?,
        name: reader.text("name")?,
        redacted_value: reader.text("redacted_value")?,
        created_at: reader.number("created_at")?,
        service_account_id: reader.text("service_account_id")?,
        limits: read_limits(&reader)?,
        rights: read_rights(&reader)?,
        revision: reader.number("revision")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::money::MicroUsd;
    use crate::model::project::Limits;

    #[test]
    fn keys_and_accounts_read_back() {
        let account =
            ServiceAccount { id: "svc_acct_1".into(), project_id: "proj_1".into(), name: "App".into(), created_at: 7 };
        assert_eq!(read_account(&account_item(&account)).unwrap(), account);
        let key = ApiKey {
            id: "key_1".into(),
            hash: Fingerprint::of([b"k".as_slice()]),
            project_id: "proj_1".into(),
            name: "App".into(),
            redacted_value: "sk-weir-...abcd".into(),
            created_at: 7,
            service_account_id: "svc_acct_1".into(),
            limits: Limits { requests_per_minute: Some(3), budget: Some(MicroUsd(5)), ..Limits::default() },
            rights: KeyRights { expires_at: Some(9), ..KeyRights::default() },
            revision: 2,
        };
        let free = ApiKey { rights: KeyRights::default(), ..key.clone() };
        for key in [key, free] {
            assert_eq!(read_key(&key_item(keys::api_key("1"), &key)).unwrap(), key);
        }
    }
}
