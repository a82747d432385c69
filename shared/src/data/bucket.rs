//! The bucket: bodies too large for the table, found by their content.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;

use super::error::StoreError;
use crate::model::id::Fingerprint;

/// Above this a body goes to the bucket: an item may have 400 KB, and each KB of it is billed as a write.
pub(super) const INLINE_BYTES: usize = 100 * 1024;

/// The bucket of one deployment.
#[derive(Clone, Debug, Default)]
pub struct Bucket {
    /// `None` in functions that handle no bodies: they make no client.
    client: Option<Client>,
    name: String,
}

impl Bucket {
    #[must_use]
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self { client: Some(client), name: name.into() }
    }

    /// Creates the bucket if it does not exist.
    ///
    /// # Errors
    /// If the store refuses or cannot be reached.
    pub async fn create(&self) -> Result<(), StoreError> {
        let client = self.client()?;
        if Box::pin(client.head_bucket().bucket(&self.name).send()).await.is_ok() {
            return Ok(());
        }
        Box::pin(client.create_bucket().bucket(&self.name).send())
            .await
            .map_err(StoreError::bucket("create itself"))?;
        Ok(())
    }

    fn client(&self) -> Result<&Client, StoreError> {
        self.client.as_ref().ok_or_else(|| StoreError::bucket("give or take a body")("this function has no way to it"))
    }

    /// Stores a body of a project for 32 days and returns its key: the same body of the same project has the same key.
    pub(super) async fn put_body(&self, project_id: &str, body: Bytes) -> Result<String, StoreError> {
        self.put_under("bodies", project_id, body).await
    }

    /// Stores a body until it is deleted. The same body in the same folder has the same key.
    pub(super) async fn keep_body(&self, folder: &str, body: Bytes) -> Result<String, StoreError> {
        self.put_under("kept", folder, body).await
    }

    /// Deletes what [`Bucket::keep_body`] stores, if it is there.
    pub(super) async fn drop_body(&self, folder: &str, body: &[u8]) -> Result<(), StoreError> {
        self.delete_body(&key("kept", folder, body)).await
    }

    /// Deletes a body by the key that it was given.
    pub(super) async fn delete_body(&self, key: &str) -> Result<(), StoreError> {
        let request = self.client()?.delete_object().bucket(&self.name).key(key);
        Box::pin(request.send()).await.map_err(StoreError::bucket("delete the body"))?;
        Ok(())
    }

    async fn put_under(&self, root: &str, folder: &str, body: Bytes) -> Result<String, StoreError> {
        let key = key(root, folder, &body);
        let request = self.client()?.put_object().bucket(&self.name).key(&key).body(ByteStream::from(body));
        Box::pin(request.send()).await.map_err(StoreError::bucket("put the body"))?;
        Ok(key)
    }

    /// Reads a body by the key that it was given.
    pub(super) async fn body(&self, key: &str) -> Result<Bytes, StoreError> {
        let answer = Box::pin(self.client()?.get_object().bucket(&self.name).key(key).send()).await;
        let answer = answer.map_err(StoreError::bucket("get the body"))?;
        Ok(answer.body.collect().await.map_err(StoreError::bucket("get the body"))?.into_bytes())
    }
}

fn key(root: &str, folder: &str, body: &[u8]) -> String {
    format!("{root}/{folder}/{}", Fingerprint::of([body]).as_str())
}
