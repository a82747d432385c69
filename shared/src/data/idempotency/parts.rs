//! The parts of an answer's body: a run writes them while it streams, and other callers read them in order.

use bytes::{Bytes, BytesMut};

use super::{IdempotencyRecords, Lease, RecordKey, StoredAnswer};
use crate::data::bodies::{inflate, pack_attribute, unpack_attribute};
use crate::data::error::{StoreError, Unusable};
use crate::data::item::{Reader, number};
use crate::data::keys;

/// The position of a reader of parts.
///
/// A part whose write failed may exist, and the next part then contains the same bytes again. Each part says where it
/// begins, and the reader drops the bytes that it has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PartReader {
    next: u32,
    have: u64,
}

impl PartReader {
    /// Returns the new bytes of a piece that begins at byte `at`.
    fn take_new(&mut self, at: u64, piece: Bytes) -> Bytes {
        let known = usize::try_from(self.have.saturating_sub(at)).unwrap_or(usize::MAX).min(piece.len());
        let new = piece.slice(known..);
        self.have += new.len() as u64;
        new
    }
}

impl IdempotencyRecords {
    /// Writes one part of the body of a run. It begins at byte `at` of the body.
    pub async fn put_part(
        &self,
        lease: &Lease,
        n: u32,
        at: u64,
        part: &Bytes,
        expires_at: u64,
    ) -> Result<(), StoreError> {
        let key = keys::idempotency_part(&lease.key.project_id, lease.key.hash.as_str(), lease.fence, n);
        let attributes = [("part", pack_attribute(part)), ("part_at", number(at)), ("expires_at", number(expires_at))];
        self.table.put(key.with(attributes)).await
    }

    /// Reads the bytes of a run's parts that a reader does not have, and advances the reader.
    pub async fn parts(&self, key: &RecordKey, fence: u64, reader: &mut PartReader) -> Result<Bytes, StoreError> {
        let first = keys::idempotency_part(&key.project_id, key.hash.as_str(), fence, reader.next);
        let last = format!("{}{}", keys::part_prefix(fence), char::MAX);
        let mut body = BytesMut::new();
        for item in self.table.query(&first.pk, &first.sk, &last).await? {
            let item = Reader(&item);
            let part = unpack_attribute(&item, "part")?.ok_or_else(|| item.damaged("part"))?;
            let number = item.text("sk")?.rsplit_once('#').and_then(|(_, n)| n.parse::<u32>().ok());
            reader.next = number.ok_or_else(|| item.damaged("sk"))? + 1;
            body.extend_from_slice(&reader.take_new(item.number("part_at")?, part));
        }
        Ok(body.freeze())
    }

    /// Reads the bytes of an answer's tail that a reader does not have from the parts.
    pub async fn tail(&self, answer: &StoredAnswer, reader: &mut PartReader) -> Result<Bytes, StoreError> {
        let tail = match &answer.blob {
            Some(blob) => {
                let damaged = || Unusable("it is not as it was written".to_owned());
                let packed = self.bucket.get(blob).await?;
                inflate(&packed).ok_or_else(|| StoreError::bucket("read the body")(damaged()))?
            }
            None => answer.tail.clone(),
        };
        Ok(reader.take_new(answer.tail_at, tail))
    }
}
