//! Service accounts and their API keys: keys are found by their hash, both are listed by their project.

use super::error::StoreError;
use super::item::{Item, Reader, number, text};
use super::keys;
use super::table::{Table, Write};
use crate::model::id::Fingerprint;
use crate::model::project::{ApiKey, ServiceAccount};

impl Table {
    /// Stores a new key, findable and listed, or neither. `false` if it exists.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn create_api_key(&self, key: &ApiKey) -> Result<bool, StoreError> {
        self.transact(key_writes(key).into()).await
    }

    /// Stores a new service account and its key, or neither. `false` if one of them exists.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn create_service_account(&self, account: &ServiceAccount, key: &ApiKey) -> Result<bool, StoreError> {
        let [found, listed] = key_writes(key);
        self.transact(vec![Write::Create(account_item(account)), found, listed]).await
    }

    /// A service account of a project by its id.
    ///
    /// # Errors
    /// If the table fails or the item is damaged.
    pub async fn service_account(&self, project_id: &str, id: &str) -> Result<Option<ServiceAccount>, StoreError> {
        self.get(keys::service_account(project_id, id)).await?.map(|item| service_account(&item)).transpose()
    }

    /// The service accounts of a project, in the order of their ids.
    ///
    /// # Errors
    /// If the table fails or an item is damaged.
    pub async fn service_accounts(&self, project_id: &str) -> Result<Vec<ServiceAccount>, StoreError> {
        let items = self.query_prefix(&keys::project_partition(project_id), keys::SERVICE_ACCOUNT_PREFIX).await?;
        items.iter().map(service_account).collect()
    }

    /// Deletes a service account; its keys are deleted before.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn delete_service_account(&self, account: &ServiceAccount) -> Result<(), StoreError> {
        self.delete(keys::service_account(&account.project_id, &account.id)).await
    }

    /// The key with that hash.
    ///
    /// # Errors
    /// If the table fails or the item is damaged.
    pub async fn api_key(&self, hash: &Fingerprint) -> Result<Option<ApiKey>, StoreError> {
        self.get(keys::api_key(hash.as_str())).await?.map(|item| api_key(&item)).transpose()
    }

    /// The keys of a project, in the order of their ids.
    ///
    /// # Errors
    /// If the table fails or an item is damaged.
    pub async fn api_keys(&self, project_id: &str) -> Result<Vec<ApiKey>, StoreError> {
        let items = self.query_prefix(&keys::project_partition(project_id), keys::API_KEY_PREFIX).await?;
        items.iter().map(api_key).collect()
    }

    /// A key of a project by its id.
    ///
    /// # Errors
    /// If the table fails or the item is damaged.
    pub async fn project_api_key(&self, project_id: &str, id: &str) -> Result<Option<ApiKey>, StoreError> {
        self.get(keys::project_api_key(project_id, id)).await?.map(|item| api_key(&item)).transpose()
    }

    /// Deletes a key: first what finds it, so that it stops working even if the second write fails.
    ///
    /// # Errors
    /// If the table fails; deleting again finishes the work.
    pub async fn delete_api_key(&self, key: &ApiKey) -> Result<(), StoreError> {
        self.delete(keys::api_key(key.hash.as_str())).await?;
        self.delete(keys::project_api_key(&key.project_id, &key.id)).await
    }
}

/// The item that finds a key, and the one that lists it.
fn key_writes(key: &ApiKey) -> [Write; 2] {
    let places = [keys::api_key(key.hash.as_str()), keys::project_api_key(&key.project_id, &key.id)];
    places.map(|place| Write::Create(item(place.into_item(), key)))
}

fn account_item(account: &ServiceAccount) -> Item {
    let mut item = keys::service_account(&account.project_id, &account.id).into_item();
    item.extend([
        ("id".to_owned(), text(&account.id)),
        ("project_id".to_owned(), text(&account.project_id)),
        ("name".to_owned(), text(&account.name)),
        ("created_at".to_owned(), number(account.created_at)),
    ]);
    item
}

fn service_account(item: &Item) -> Result<ServiceAccount, StoreError> {
    let reader = Reader(item);
    Ok(ServiceAccount {
        id: reader.text("id")?,
        project_id: reader.text("project_id")?,
        name: reader.text("name")?,
        created_at: reader.number("created_at")?,
    })
}

fn item(mut item: Item, key: &ApiKey) -> Item {
    item.extend([
        ("id".to_owned(), text(&key.id)),
        ("hash".to_owned(), text(key.hash.as_str())),
        ("project_id".to_owned(), text(&key.project_id)),
        ("name".to_owned(), text(&key.name)),
        ("redacted_value".to_owned(), text(&key.redacted_value)),
        ("created_at".to_owned(), number(key.created_at)),
        ("service_account_id".to_owned(), text(&key.service_account_id)),
    ]);
    item
}

fn api_key(item: &Item) -> Result<ApiKey, StoreError> {
    let reader = Reader(item);
    Ok(ApiKey {
        id: reader.text("id")?,
        hash: Fingerprint::from_hex(reader.text("hash")?),
        project_id: reader.text("project_id")?,
        name: reader.text("name")?,
        redacted_value: reader.text("redacted_value")?,
        created_at: reader.number("created_at")?,
        service_account_id: reader.text("service_account_id")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_accounts_survive_the_table() {
        let account =
            ServiceAccount { id: "svc_acct_1".into(), project_id: "proj_1".into(), name: "App".into(), created_at: 7 };
        assert_eq!(service_account(&account_item(&account)).unwrap(), account);
        let key = ApiKey {
            id: "key_1".into(),
            hash: Fingerprint::of([b"k".as_slice()]),
            project_id: "proj_1".into(),
            name: "App".into(),
            redacted_value: "sk-weir-...abcd".into(),
            created_at: 7,
            service_account_id: "svc_acct_1".into(),
        };
        assert_eq!(api_key(&item(Item::new(), &key)).unwrap(), key);
    }
}
