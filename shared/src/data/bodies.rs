//! Bodies of records: compressed; small ones are in the item, large ones in the bucket.
//!
//! Events and requests repeat themselves, and each KB of an item is billed as a write: compression leaves a tenth.

use std::io::{Read as _, Write as _};

use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use super::bucket::{Bucket, INLINE_BYTES, Shelf};
use super::error::StoreError;
use super::item::{Item, Reader, binary, insert, text};
use crate::model::long_work::long_work;

/// The attributes of an item that hold a small body, or the key of a large one in the bucket.
const BODY: &str = "body";
const BLOB: &str = "blob_key";

/// The bodies of items.
#[derive(Clone, Debug)]
pub(super) struct Bodies(pub(super) Bucket);

impl Bodies {
    /// Puts a body into an item, or, if it is large, into a folder of a shelf in the bucket.
    pub(super) async fn pack(
        &self,
        shelf: Shelf,
        folder: &str,
        item: &mut Item,
        body: &[u8],
    ) -> Result<(), StoreError> {
        if let Some(large) = insert_if_small(item, body) {
            insert(item, [(BLOB, text(self.0.put(shelf, folder, large).await?))]);
        }
        Ok(())
    }

    /// Deletes the bodies in a folder that expire, also those that no item refers to.
    pub(super) async fn delete_expiring(&self, folder: &str) -> Result<(), StoreError> {
        self.0.delete_folder(&[Shelf::Day, Shelf::Week, Shelf::Month], folder).await
    }

    /// Deletes the body that an item has in the bucket, if it has one there.
    pub(super) async fn delete_packed(&self, item: &Item) -> Result<(), StoreError> {
        match Reader(item).maybe_text(BLOB) {
            Some(key) => self.0.delete(&key).await,
            None => Ok(()),
        }
    }

    /// Deletes the body that [`Bodies::pack`] puts into the bucket, for callers that do not have the item.
    pub(super) async fn delete_body(&self, folder: &str, body: &[u8]) -> Result<(), StoreError> {
        let packed = deflate(body);
        if packed.len() > INLINE_BYTES { self.0.delete_body(folder, &packed).await } else { Ok(()) }
    }

    /// Reads the body of an item.
    pub(super) async fn unpack(&self, item: &Item) -> Result<Bytes, StoreError> {
        let reader = Reader(item);
        let packed = match reader.maybe_binary(BODY) {
            Some(packed) => packed,
            None => self.0.get(&reader.text(BLOB)?).await?,
        };
        inflate(&packed).ok_or_else(|| reader.damaged(BODY))
    }
}

/// Makes an attribute of a small body.
pub(super) fn pack_attribute(body: &[u8]) -> AttributeValue {
    binary(&deflate(body))
}

/// Reads an attribute that [`pack_attribute`] made, if it is there.
pub(super) fn unpack_attribute(reader: &Reader<'_>, name: &'static str) -> Result<Option<Bytes>, StoreError> {
    let inflate = |packed: Bytes| inflate(&packed).ok_or_else(|| reader.damaged(name));
    reader.maybe_binary(name).map(inflate).transpose()
}

/// Puts a body into an item if it is small; else returns it compressed, for the bucket.
fn insert_if_small(item: &mut Item, body: &[u8]) -> Option<Bytes> {
    let packed = deflate(body);
    if packed.len() > INLINE_BYTES {
        return Some(packed);
    }
    insert(item, [(BODY, binary(&packed))]);
    None
}

pub(super) fn deflate(body: &[u8]) -> Bytes {
    long_work(body.len(), || deflate_now(body))
}

fn deflate_now(body: &[u8]) -> Bytes {
    let mut encoder = DeflateEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    // Writing into memory does not fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default().into()
}

pub(super) fn inflate(packed: &[u8]) -> Option<Bytes> {
    let mut body = Vec::with_capacity(packed.len() * 4);
    long_work(packed.len(), || DeflateDecoder::new(packed).read_to_end(&mut body)).ok()?;
    Some(body.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_body_reads_back() {
        for body in [Vec::new(), b"{\"a\":1}".to_vec(), b"delta ".repeat(20_000)] {
            let packed = deflate(&body);
            assert_eq!(inflate(&packed).unwrap(), body);
            assert!(packed.len() < 100 + body.len() / 20, "{} bytes of {}", packed.len(), body.len());
        }
        assert_eq!(inflate(b"not packed"), None);
    }
}
