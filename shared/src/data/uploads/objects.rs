//! The objects of the bucket that hold parts.

use bytes::{Bytes, BytesMut};

use crate::data::bucket::{Bucket, Shelf};
use crate::data::error::StoreError;
use crate::model::upload::{UploadKey, UploadPart};

/// Writes a part, as objects of a few megabytes each: little memory is needed, and each object is there as a whole or not at all.
pub struct PartWriter {
    bucket: Bucket,
    key: UploadKey,
    part_id: String,
    /// What is not written yet.
    rest: BytesMut,
    bytes: u64,
    objects: u32,
}

impl PartWriter {
    pub(super) fn new(bucket: Bucket, key: UploadKey, part_id: String) -> Self {
        Self { bucket, key, part_id, rest: BytesMut::new(), bytes: 0, objects: 0 }
    }

    #[must_use]
    pub fn part_id(&self) -> &str {
        &self.part_id
    }

    /// What arrived so far. All of it is in the bucket after [`PartWriter::finish`].
    #[must_use]
    pub fn part(&self) -> UploadPart {
        UploadPart { bytes: self.bytes, objects: self.objects, is_direct: false }
    }

    /// Takes the next piece of the part.
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), StoreError> {
        self.bytes += piece.len() as u64;
        self.rest.extend_from_slice(piece);
        while self.rest.len() > OBJECT_BYTES {
            let object = self.rest.split_to(OBJECT_BYTES).freeze();
            self.put(object).await?;
        }
        Ok(())
    }

    /// Writes what is left.
    pub async fn finish(&mut self) -> Result<(), StoreError> {
        let rest = self.rest.split().freeze();
        if rest.is_empty() { Ok(()) } else { self.put(rest).await }
    }

    async fn put(&mut self, body: Bytes) -> Result<(), StoreError> {
        let key = object(&self.key, &self.part_id, self.objects);
        // A write whose answer is lost may have taken effect.
        self.objects += 1;
        self.bucket.put_at(&key, body).await
    }
}

/// The most bytes of an object that holds a part or some of it: so much is in memory at a time.
const OBJECT_BYTES: usize = 8 * 1024 * 1024;

/// The folder with the parts of an upload. A purge of the project deletes it.
pub(super) fn folder(UploadKey { project_id, upload_id }: &UploadKey) -> String {
    format!("{project_id}/uploads/{upload_id}")
}

/// The key of an object of a part.
pub(super) fn object(key: &UploadKey, part_id: &str, n: u32) -> String {
    Shelf::Day.key_of(&folder(key), &format!("{part_id}-{n}"))
}
