//! Answers kept to be given again to the same request of the same project.

use bytes::Bytes;

use super::Stores;
use super::error::StoreError;
use super::item::{Reader, number, text};
use super::keys;
use crate::model::clock::Timestamp;
use crate::model::id::Fingerprint;

/// An answer in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheEntry {
    pub content_type: String,
    pub body: Bytes,
    pub stored_at: Timestamp,
    /// Unix seconds.
    pub expires_at: u64,
}

impl Stores {
    /// The entry of a request, if it has not expired by `now`.
    ///
    /// # Errors
    /// If a store fails or the item is damaged.
    pub async fn cached(
        &self,
        project_id: &str,
        request: &Fingerprint,
        now: Timestamp,
    ) -> Result<Option<CacheEntry>, StoreError> {
        let Some(item) = self.table.get(keys::cache(project_id, request.as_str())).await? else {
            return Ok(None);
        };
        let reader = Reader(&item);
        let expires_at = reader.number("expires_at")?;
        if expires_at <= now.seconds() {
            return Ok(None); // DynamoDB deletes expired items when it gets to it, up to days later.
        }
        let (content_type, stored_at) = (reader.text("content_type")?, Timestamp(reader.number("stored_at")?));
        Ok(Some(CacheEntry { content_type, body: self.unpack(&item).await?, stored_at, expires_at }))
    }

    /// Stores the answer of a request; an older one is replaced.
    ///
    /// # Errors
    /// If a store fails.
    pub async fn put_cached(
        &self,
        project_id: &str,
        request: &Fingerprint,
        entry: CacheEntry,
    ) -> Result<(), StoreError> {
        let mut item = keys::cache(project_id, request.as_str()).into_item();
        item.insert("content_type".to_owned(), text(entry.content_type));
        item.insert("stored_at".to_owned(), number(entry.stored_at.0));
        item.insert("expires_at".to_owned(), number(entry.expires_at));
        self.pack(project_id, &mut item, &entry.body).await?;
        self.table.put(item).await
    }
}
