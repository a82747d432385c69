//! Bodies of records: compressed, in the item while they are small, else in the bucket.
//!
//! Events and requests repeat themselves, and each KB of an item is billed as a write: compressed they are a tenth.

use std::io::{Read as _, Write as _};

use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use super::Stores;
use super::bucket::INLINE_BYTES;
use super::error::StoreError;
use super::item::{Item, Reader, binary, text};

/// The attributes of an item that hold a packed body.
const BODY: &str = "body";
const BLOB: &str = "blob_key";

impl Stores {
    /// Puts a body into an item; into the bucket first, if it is large, where it lies for 32 days.
    pub(super) async fn pack(&self, project_id: &str, item: &mut Item, body: &[u8]) -> Result<(), StoreError> {
        if let Some(large) = inline(item, body) {
            item.insert(BLOB.to_owned(), text(self.bucket.put_body(project_id, large).await?));
        }
        Ok(())
    }

    /// As [`Stores::pack`], for items that do not expire: the body lies in the folder until [`Stores::drop_kept`].
    pub(super) async fn pack_for_good(&self, folder: &str, item: &mut Item, body: &[u8]) -> Result<(), StoreError> {
        if let Some(large) = inline(item, body) {
            item.insert(BLOB.to_owned(), text(self.bucket.keep_body(folder, large).await?));
        }
        Ok(())
    }

    /// Deletes what an item of [`Stores::pack_for_good`] has in the bucket.
    pub(super) async fn drop_kept(&self, item: &Item) -> Result<(), StoreError> {
        match Reader(item).maybe_text(BLOB) {
            Some(key) => self.bucket.delete_body(&key).await,
            None => Ok(()),
        }
    }

    /// Reads the body of an item.
    pub(super) async fn unpack(&self, item: &Item) -> Result<Bytes, StoreError> {
        let reader = Reader(item);
        let packed = match reader.maybe_binary(BODY) {
            Some(packed) => packed,
            None => self.bucket.body(&reader.text(BLOB)?).await?,
        };
        inflate(&packed).ok_or_else(|| reader.damaged(BODY))
    }
}

/// An attribute of a small body.
pub(super) fn packed(body: &[u8]) -> AttributeValue {
    binary(&deflate(body))
}

/// Reads an attribute that [`packed`] made, if it is there.
pub(super) fn unpacked(reader: &Reader<'_>, name: &'static str) -> Result<Option<Bytes>, StoreError> {
    let inflated = |packed: Bytes| inflate(&packed).ok_or_else(|| reader.damaged(name));
    reader.maybe_binary(name).map(inflated).transpose()
}

/// Puts a body into an item if it is small; else gives it back as it is to be stored.
fn inline(item: &mut Item, body: &[u8]) -> Option<Bytes> {
    let packed = deflate(body);
    if packed.len() > INLINE_BYTES {
        return Some(packed);
    }
    item.insert(BODY.to_owned(), binary(&packed));
    None
}

pub(super) fn deflate(body: &[u8]) -> Bytes {
    let mut encoder = DeflateEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    // Writing into memory does not fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default().into()
}

pub(super) fn inflate(packed: &[u8]) -> Option<Bytes> {
    let mut body = Vec::with_capacity(packed.len() * 4);
    DeflateDecoder::new(packed).read_to_end(&mut body).ok()?;
    Some(body.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_reads_back() {
        for body in [Vec::new(), b"{\"a\":1}".to_vec(), b"delta ".repeat(20_000)] {
            let packed = deflate(&body);
            assert_eq!(inflate(&packed).unwrap(), body);
            assert!(packed.len() < 1_000);
        }
        assert_eq!(inflate(b"not packed"), None);
    }
}
