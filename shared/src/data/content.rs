//! Contents of files in the bucket. They can be large, so they are written and read piece by piece.

use aws_sdk_s3::error::ProvideErrorMetadata as _;
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

/// Writes the content of one object. Nothing is there before [`ContentWriter::finish`]. A process that dies leaves the parts of an
/// upload, which only its id finds.
pub(super) struct ContentWriter {
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
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Begins an upload in parts, if the content needs one with so many more bytes and has none yet. Returns the id of the upload.
    pub(super) async fn begin_for(&mut self, more: usize) -> Result<Option<String>, StoreError> {
        if self.upload.is_some() || self.rest.len() + more <= PART_BYTES {
            return Ok(None);
        }
        let begin = self.bucket.client()?.create_multipart_upload().bucket(&*self.bucket.name).key(&self.key);
        let begun = Box::pin(begin.send()).await.map_err(StoreError::bucket("begin the content"))?;
        let without_id = || StoreError::bucket("begin the content")(Unusable("its answer has no id".to_owned()));
        let id = begun.upload_id.ok_or_else(without_id)?;
        self.upload = Some(Upload { id: id.clone(), parts: Vec::new() });
        Ok(Some(id))
    }

    /// Takes the next piece of the content, for which [`ContentWriter::begin_for`] was asked.
    pub(super) async fn write(&mut self, piece: &[u8]) -> Result<(), StoreError> {
        self.bytes += piece.len() as u64;
        self.hasher.update(piece);
        self.rest.extend_from_slice(piece);
        while self.upload.is_some() && self.rest.len() > PART_BYTES {
            let part = self.rest.split_to(PART_BYTES).freeze();
            self.write_part(part).await?;
        }
        Ok(())
    }

    /// Writes what is left, and makes the object.
    pub(super) async fn finish(mut self) -> Result<Content, StoreError> {
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

    async fn write_part(&mut self, part: Bytes) -> Result<(), StoreError> {
        let Some(upload) = &mut self.upload else { return Ok(()) };
        let number = i32::try_from(upload.parts.len() + 1).unwrap_or(i32::MAX);
        let request = self.bucket.client()?.upload_part().bucket(&*self.bucket.name).key(&self.key);
        let request = request.upload_id(&upload.id).part_number(number).body(ByteStream::from(part));
        let answer = Box::pin(request.send()).await.map_err(StoreError::bucket("put a part of the content"))?;
        upload.parts.push(CompletedPart::builder().part_number(number).set_e_tag(answer.e_tag).build());
        Ok(())
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

    /// Deletes the parts of an upload that was not completed. An upload that is not there any more is deleted.
    pub(super) async fn abort_upload(&self, key: &str, id: &str) -> Result<(), StoreError> {
        let abort = self.client()?.abort_multipart_upload().bucket(&*self.name).key(key).upload_id(id);
        match Box::pin(abort.send()).await {
            Err(error) if error.code() != Some("NoSuchUpload") => Err(StoreError::bucket("give up the content")(error)),
            _ => Ok(()),
        }
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
