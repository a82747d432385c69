//! The bucket: bodies too large for the table. The key of a body is made from its content.

use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use futures_util::future::try_join_all;

use super::error::{StoreError, Unusable};
use crate::model::id::Fingerprint;

/// Larger bodies go to the bucket: an item may have 400 KB, and each KB of it is billed as a write.
pub(super) const INLINE_BYTES: usize = 100 * 1024;

/// Roots of the keys. The bucket's lifecycle rule deletes objects under the first after 32 days.
const EXPIRING: &str = "bodies";
const PERMANENT: &str = "kept";

/// Bodies that are deleted at the same time.
const MAX_CONCURRENT: usize = 50;

/// The bucket of one deployment. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Bucket {
    /// `None` in functions that handle no bodies: they make no client.
    client: Option<Client>,
    name: Arc<str>,
}

impl Bucket {
    #[must_use]
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self { client: Some(client), name: name.into().into() }
    }

    fn client(&self) -> Result<&Client, StoreError> {
        let unusable = || Unusable("this function has no way to it".to_owned());
        self.client.as_ref().ok_or_else(|| StoreError::bucket("give or take a body")(unusable()))
    }

    /// Stores a body for 32 days and returns its key: the same body in the same folder has the same key.
    pub(super) async fn put_expiring(&self, folder: &str, body: Bytes) -> Result<String, StoreError> {
        self.put_under(EXPIRING, folder, body).await
    }

    /// Stores a body until it is deleted and returns its key: the same body in the same folder has the same key.
    pub(super) async fn put_permanent(&self, folder: &str, body: Bytes) -> Result<String, StoreError> {
        self.put_under(PERMANENT, folder, body).await
    }

    /// Deletes a body of [`Bucket::put_permanent`], if it is there.
    pub(super) async fn delete_permanent(&self, folder: &str, body: &[u8]) -> Result<(), StoreError> {
        self.delete(&key(PERMANENT, folder, body)).await
    }

    /// Deletes all bodies of [`Bucket::put_expiring`] in a folder, also those that no item refers to.
    pub(super) async fn delete_expiring_folder(&self, folder: &str) -> Result<(), StoreError> {
        let prefix = format!("{EXPIRING}/{folder}/");
        loop {
            let request = self.client()?.list_objects_v2().bucket(&*self.name).prefix(&prefix);
            let listed = Box::pin(request.send()).await.map_err(StoreError::bucket("list the bodies"))?;
            let keys: Vec<&str> = listed.contents().iter().filter_map(|object| object.key()).collect();
            for some in keys.chunks(MAX_CONCURRENT) {
                try_join_all(some.iter().map(|key| self.delete(key))).await?;
            }
            // What was listed is gone, so that the next list begins with the rest.
            if keys.is_empty() || listed.is_truncated() != Some(true) {
                return Ok(());
            }
        }
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

    async fn put_under(&self, root: &str, folder: &str, body: Bytes) -> Result<String, StoreError> {
        let key = key(root, folder, &body);
        let request = self.client()?.put_object().bucket(&*self.name).key(&key).body(ByteStream::from(body));
        Box::pin(request.send()).await.map_err(StoreError::bucket("put the body"))?;
        Ok(key)
    }
}

fn key(root: &str, folder: &str, body: &[u8]) -> String {
    format!("{root}/{folder}/{}", Fingerprint::of([body]).as_str())
}
