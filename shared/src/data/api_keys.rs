//! API keys: found by their hash, listed by their project.

use super::error::StoreError;
use super::item::{Item, Reader, number, text};
use super::keys;
use super::table::{Table, Write};
use crate::model::id::Fingerprint;
use crate::model::project::ApiKey;

impl Table {
    /// Stores a new key, findable and listed, or neither.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn create_api_key(&self, key: &ApiKey) -> Result<bool, StoreError> {
        let (found, listed) = (keys::api_key(key.hash.as_str()), keys::project_api_key(&key.project_id, &key.id));
        self.transact(vec![Write::Create(item(found.into_item(), key)), Write::Create(item(listed.into_item(), key))]).await
    }

    /// The key with that hash.
    ///
    /// # Errors
    /// If the table fails or the item is damaged.
    pub async fn api_key(&self, hash: &Fingerprint) -> Result<Option<ApiKey>, StoreError> {
        self.get(keys::api_key(hash.as_str())).await?.map(|item| api_key(&item)).transpose()
    }

    /// The keys of a project, in no particular order.
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
