//! The bucket: bodies too large for the table. The key of a body is made from its content.

use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use futures_util::future::try_join_all;

use super::error::{StoreError, Unusable};
use crate::model::id::Fingerprint;
use crate::model::retention::DAY_SECONDS;

/// Larger bodies go to the bucket: an item may have 400 KB, and each KB of it is billed as a write.
pub(super) const INLINE_BYTES: usize = 100 * 1024;

/// A root of the bucket's keys. A lifecycle rule of the bucket deletes what is under it some time after nothing refers to
/// it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shelf {
    /// For bodies that are kept for up to 25 hours. The rule deletes them after 2 days.
    Day,
    /// For bodies that are kept for up to 7 days. The rule deletes them after 9.
    Week,
    /// For bodies that are kept for up to 30 days. The rule deletes them after 32.
    Month,
    /// No rule deletes these.
    Permanent,
}

impl Shelf {
    pub(super) const ALL: [Self; 4] = [Self::Day, Self::Week, Self::Month, Self::Permanent];

    /// The shelf of bodies that are kept for so long.
    pub(super) fn of(kept_seconds: u64) -> Self {
        match kept_seconds {
            0..=90_000 => Self::Day,
            90_001..=604_800 => Self::Week,
            _ => Self::Month,
        }
    }

    fn root(self) -> &'static str {
        match self {
            Self::Day => "bodies/day",
            Self::Week => "bodies/week",
            Self::Month => "bodies",
            Self::Permanent => "kept",
        }
    }

    fn key(self, folder: &str, body: &[u8]) -> String {
        self.key_of(folder, Fingerprint::of([body]).as_str())
    }

    /// The key of an object with a name in a folder.
    pub(super) fn key_of(self, folder: &str, name: &str) -> String {
        format!("{}/{folder}/{name}", self.root())
    }
}

const _: () = assert!(DAY_SECONDS + 3_600 == 90_000 && 7 * DAY_SECONDS == 604_800);

/// Bodies that are deleted at the same time.
const MAX_CONCURRENT: usize = 50;

/// The bucket of one deployment. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Bucket {
    /// `None` in functions that handle no bodies: they make no client.
    client: Option<Client>,
    pub(super) name: Arc<str>,
    /// Whether clients reach it, with URLs that are signed for them.
    pub(super) is_reachable: bool,
}

impl Bucket {
    #[must_use]
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self { client: Some(client), name: name.into().into(), is_reachable: true }
    }

    /// A bucket within this process, which no client reaches.
    #[must_use]
    pub fn embedded(client: Client, name: impl Into<String>) -> Self {
        Self { is_reachable: false, ..Self::new(client, name) }
    }

    pub(super) fn client(&self) -> Result<&Client, StoreError> {
        let unusable = || Unusable("this function has no way to it".to_owned());
        self.client.as_ref().ok_or_else(|| StoreError::bucket("give or take a body")(unusable()))
    }

    /// Stores a body and returns its key: the same body in the same folder of a shelf has the same key.
    pub(super) async fn put(&self, shelf: Shelf, folder: &str, body: Bytes) -> Result<String, StoreError> {
        let key = shelf.key(folder, &body);
        let request = self.client()?.put_object().bucket(&*self.name).key(&key).body(ByteStream::from(body));
        Box::pin(request.send()).await.map_err(StoreError::bucket("put the body"))?;
        Ok(key)
    }

    /// Stores an object under a key, or replaces the one that is there.
    pub(super) async fn put_at(&self, key: &str, body: Bytes) -> Result<(), StoreError> {
        let request = self.client()?.put_object().bucket(&*self.name).key(key).body(ByteStream::from(body));
        Box::pin(request.send()).await.map_err(StoreError::bucket("put the object"))?;
        Ok(())
    }

    /// Returns the keys that begin with `prefix`, in order.
    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        Ok(self.sizes(prefix).await?.into_iter().map(|(key, _)| key).collect())
    }

    /// Returns the keys that begin with `prefix`, in order, with the bytes of their objects.
    pub(super) async fn sizes(&self, prefix: &str) -> Result<Vec<(String, u64)>, StoreError> {
        let request = self.client()?.list_objects_v2().bucket(&*self.name).prefix(prefix);
        let mut pages = request.into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = Box::pin(pages.next()).await {
            let page = page.map_err(StoreError::bucket("list the objects"))?;
            let bytes = |size: Option<i64>| size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
            let objects = page.contents().iter();
            found.extend(objects.filter_map(|object| Some((object.key()?.to_owned(), bytes(object.size())))));
        }
        Ok(found)
    }

    /// Deletes a body of [`Bucket::put`] from all shelves.
    pub(super) async fn delete_body(&self, folder: &str, body: &[u8]) -> Result<(), StoreError> {
        try_join_all(Shelf::ALL.map(async |shelf| self.delete(&shelf.key(folder, body)).await)).await.map(drop)
    }

    /// Deletes all bodies in a folder of some shelves, also those that no item refers to.
    pub(super) async fn delete_folder(&self, shelves: &[Shelf], folder: &str) -> Result<(), StoreError> {
        for shelf in shelves {
            while self.delete_some(*shelf, folder).await? {}
        }
        Ok(())
    }

    /// Deletes up to 1,000 bodies in a folder of a shelf. Returns whether there are more.
    pub(super) async fn delete_some(&self, shelf: Shelf, folder: &str) -> Result<bool, StoreError> {
        let prefix = format!("{}/{folder}/", shelf.root());
        let request = self.client()?.list_objects_v2().bucket(&*self.name).prefix(prefix);
        let listed = Box::pin(request.send()).await.map_err(StoreError::bucket("list the bodies"))?;
        let keys: Vec<&str> = listed.contents().iter().filter_map(|object| object.key()).collect();
        for some in keys.chunks(MAX_CONCURRENT) {
            try_join_all(some.iter().map(|key| self.delete(key))).await?;
        }
        // What was listed is gone, so that the next list begins with the rest.
        Ok(!keys.is_empty() && listed.is_truncated() == Some(true))
    }

    pub(super) async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let request = self.client()?.delete_object().bucket(&*self.name).key(key);
        Box::pin(request.send()).await.map_err(StoreError::bucket("delete the body"))?;
        Ok(())
    }

    pub(super) async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        let answer = Box::pin(self.client()?.get_object().bucket(&*self.name).key(key).send()).await;
        let answer = answer.map_err(StoreError::bucket("get the body"))?;
        Ok(answer.body.collect().await.map_err(StoreError::bucket("get the body"))?.into_bytes())
    }
}
