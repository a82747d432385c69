//! The cache: answers that the same project gets again for the same request.

use bytes::Bytes;

use super::bodies::Bodies;
use super::bucket::Shelf;
use super::error::StoreError;
use super::item::{Reader, number, text};
use super::keys;
use super::table::Table;
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

/// The cache of all projects.
#[derive(Clone, Debug)]
pub struct CacheEntries {
    pub(super) table: Table,
    pub(super) bodies: Bodies,
}

impl CacheEntries {
    /// Returns the entry of a request, unless it has expired by `now`.
    pub async fn get(
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
            return Ok(None); // DynamoDB deletes expired items up to days later.
        }
        let (content_type, stored_at) = (reader.text("content_type")?, Timestamp(reader.number("stored_at")?));
        Ok(Some(CacheEntry { content_type, body: self.bodies.unpack(&item).await?, stored_at, expires_at }))
    }

    /// Stores the answer of a request and replaces an older one.
    pub async fn put(&self, project_id: &str, request: &Fingerprint, entry: CacheEntry) -> Result<(), StoreError> {
        let mut item = keys::cache(project_id, request.as_str()).with([
            ("content_type", text(entry.content_type)),
            ("stored_at", number(entry.stored_at.0)),
            ("expires_at", number(entry.expires_at)),
        ]);
        let shelf = Shelf::of(entry.expires_at.saturating_sub(entry.stored_at.seconds()));
        self.bodies.pack(shelf, project_id, &mut item, &entry.body).await?;
        self.table.put(item).await
    }
}
