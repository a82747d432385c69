//! Contents of files in the bucket. They can be large, so they are written and read piece by piece.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use futures_util::stream::{BoxStream, StreamExt as _, unfold};
use sha2::{Digest as _, Sha256};

use super::bucket::Bucket;
use super::error::{StoreError, Unusable};
use crate::model::file::ByteRange;
use crate::model::id::hex;

/// A content of up to so many bytes is written with one request, a larger one in parts of so many. S3 wants 5 MB or more, and one
/// part is in memory at a time.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub bytes: u64,
    /// In lower-case hexadecimal.
    pub sha256: String,
}

/// Writes the content of one object. Nothing is there before [`ContentWriter::finish`].
///
/// A process that dies leaves parts that nobody can read; a rule of the bucket deletes them after a day.
pub struct ContentWriter {
    bucket: Bucket,
    key: String,
    /// What is not written yet.
    rest: BytesMut,
    bytes: u64,
    hasher: Sha256,
    upload: Option<Upload>,
}

/// An upload in parts.
struct Upload {
    id: String,
    parts: Vec<CompletedPart>,
}

impl ContentWriter {
    /// The bytes so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes the next piece of the content.
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), StoreError> {
        self.bytes += piece.len() as u64;
        self.hasher.update(piece);
        self.rest.extend_from_slice(piece);
        while self.rest.len() > PART_BYTES {
            let part = self.rest.split_to(PART_BYTES).freeze();
            self.write_part(part).await?;
        }
        Ok(())
    }

    /// Writes what is left, and makes the object.
    pub async fn finish(mut self) -> Result<Content, StoreError> {
        let rest = self.rest.split().freeze();
        match &self.upload {
            Some(_) => {
                self.write_part(rest).await?;
                self.complete().await?;
            }
            None => {
                let body = ByteStream::from(rest);
                let put = self.bucket.client()?.put_object().bucket(&*self.bucket.name).key(&self.key).body(body);
                Box::pin(put.send()).await.map_err(StoreError::bucket("put the content"))?;
            }
        }
        Ok(Content { bytes: self.bytes, sha256: hex(&self.hasher.finalize()) })
    }

    /// Gives up the content: the parts that were written are deleted.
    pub async fn abort(self) -> Result<(), StoreError> {
        let Some(upload) = self.upload else { return Ok(()) };
        let (client, name) = (self.bucket.client()?, &*self.bucket.name);
        let abort = client.abort_multipart_upload().bucket(name).key(&self.key).upload_id(upload.id);
        Box::pin(abort.send()).await.map_err(StoreError::bucket("give up the content"))?;
        Ok(())
    }

    async fn write_part(&mut self, part: Bytes) -> Result<(), StoreError> {
        if self.upload.is_none() {
            self.upload = Some(Upload { id: self.begin().await?, parts: Vec::new() });
        }
        let Some(upload) = &mut self.upload else { return Ok(()) };
        let number = i32::try_from(upload.parts.len() + 1).unwrap_or(i32::MAX);
        let request = self.bucket.client()?.upload_part().bucket(&*self.bucket.name).key(&self.key);
        let request = request.upload_id(&upload.id).part_number(number).body(ByteStream::from(part));
        let answer = Box::pin(request.send()).await.map_err(StoreError::bucket("put a part of the content"))?;
        upload.parts.push(CompletedPart::builder().part_number(number).set_e_tag(answer.e_tag).build());
        Ok(())
    }

    async fn begin(&self) -> Result<String, StoreError> {
        let begin = self.bucket.client()?.create_multipart_upload().bucket(&*self.bucket.name).key(&self.key);
        let begun = Box::pin(begin.send()).await.map_err(StoreError::bucket("begin the content"))?;
        let without_id = || StoreError::bucket("begin the content")(Unusable("its answer has no id".to_owned()));
        begun.upload_id.ok_or_else(without_id)
    }

    async fn complete(&mut self) -> Result<(), StoreError> {
        let Some(upload) = self.upload.take() else { return Ok(()) };
        let parts = CompletedMultipartUpload::builder().set_parts(Some(upload.parts)).build();
        let request = self.bucket.client()?.complete_multipart_upload().bucket(&*self.bucket.name).key(&self.key);
        let request = request.upload_id(upload.id).multipart_upload(parts);
        Box::pin(request.send()).await.map_err(StoreError::bucket("complete the content"))?;
        Ok(())
    }
}

impl Bucket {
    /// A writer of the object with a key.
    pub(super) fn writer(&self, key: String) -> ContentWriter {
        let (bucket, hasher) = (self.clone(), Sha256::new());
        ContentWriter { bucket, key, rest: BytesMut::new(), bytes: 0, hasher, upload: None }
    }

    /// Reads an object, or a part of it, as its bytes arrive.
    pub(super) async fn read(
        &self,
        key: &str,
        range: Option<ByteRange>,
    ) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, StoreError> {
        let range = range.map(|ByteRange { first, last }| format!("bytes={first}-{last}"));
        let get = self.client()?.get_object().bucket(&*self.name).key(key).set_range(range);
        let answer = Box::pin(get.send()).await.map_err(StoreError::bucket("get the content"))?;
        let pieces = unfold(answer.body, async |mut body| {
            let piece = body.next().await?;
            Some((piece.map_err(StoreError::bucket("get the content")), body))
        });
        Ok(pieces.boxed())
    }
}
