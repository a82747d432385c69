//! Answers kept to be given again to the same request of the same project.

use bytes::Bytes;

use super::Stores;
use super::bucket::INLINE_BYTES;
use super::error::StoreError;
use super::item::{Item, Reader, binary, number, text};
use super::keys;
use crate::model::clock::Instant;
use crate::model::id::Fingerprint;

/// An answer in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheEntry {
    pub content_type: String,
    pub body: Bytes,
    pub stored_at: Instant,
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
        now: Instant,
    ) -> Result<Option<CacheEntry>, StoreError> {
        let Some(item) = self.table.get(keys::cache(project_id, request.as_str())).await? else {
            return Ok(None);
        };
        let mut entry = entry(&item)?;
        if entry.expires_at <= now.seconds() {
            return Ok(None); // DynamoDB deletes expired items when it gets to it, up to days later.
        }
        if let Some(blob) = Reader(&item).maybe_text("blob_key") {
            entry.body = self.bucket.body(&blob).await?;
        }
        Ok(Some(entry))
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
        if entry.body.len() > INLINE_BYTES {
            item.insert("blob_key".to_owned(), text(self.bucket.put_body(project_id, entry.body).await?));
        } else {
            item.insert("body".to_owned(), binary(&entry.body));
        }
        self.table.put(item).await
    }
}

fn entry(item: &Item) -> Result<CacheEntry, StoreError> {
    let reader = Reader(item);
    Ok(CacheEntry {
        content_type: reader.text("content_type")?,
        body: reader.maybe_binary("body").unwrap_or_default(),
        stored_at: Instant(reader.number("stored_at")?),
        expires_at: reader.number("expires_at")?,
    })
}
