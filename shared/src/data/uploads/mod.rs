//! Uploads: a record in the table that names its parts, and the parts as objects in the bucket.
//!
//! A part counts when the record names it, which is after its last byte. The record is due until nothing is left of the upload: when it
//! expires, soon after it ended, and once more when no process can add to it and no URL for its parts is valid any more. Then all that is in
//! its folder goes, and the record with it. If no sweep came, the bucket's rule for the folder's shelf would delete the parts within two days.

mod item;
mod objects;

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_s3::presigning::PresigningConfig;
use bytes::Bytes;
use futures_util::future::try_join_all;
use futures_util::stream::BoxStream;

use super::bucket::{Bucket, Shelf};
use super::change::{Change, Returning, UpdateOutcome, Write, WriteOutcome};
use super::due::LONGEST_DUE_MS;
use super::error::{Contended, StoreError, Unusable};
use super::files::FileRecords;
use super::idempotency::{self, CreateOutcome, NewCreation};
use super::item::{Reader, number, text};
use super::keys;
use super::table::{Table, conflict_pause};
use crate::model::clock::Timestamp;
use crate::model::file::File;
use crate::model::upload::{MAX_PARTS, Upload, UploadKey, UploadPart, UploadStatus};
use item::{PARTS, PARTS_BYTES, STATE, VALID_UNTIL, completion, new_record, part_value, read_upload};
pub use objects::PartWriter;
use objects::{folder, object};

/// The uploads of all projects.
#[derive(Clone, Debug)]
pub struct UploadRecords {
    pub(super) table: Table,
    pub(super) bucket: Bucket,
    pub(super) files: FileRecords,
}

/// What became of a part that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddedPart {
    Added,
    /// The upload has ended, or has expired.
    Ended,
    /// The upload has as many parts, or as many bytes in parts, as it may.
    Full,
}

impl UploadRecords {
    /// Makes the record of an upload. An upload that is made `by` a key is made once for it.
    pub async fn create(
        &self,
        upload: &Upload,
        by: Option<&NewCreation>,
        now: Timestamp,
    ) -> Result<CreateOutcome, StoreError> {
        idempotency::create(&self.table, &upload.key.upload_id, new_record(upload), by, now).await
    }

    /// Returns an upload, whatever its status is.
    pub async fn get(&self, key: &UploadKey) -> Result<Option<Upload>, StoreError> {
        self.table.get(keys::upload(key)).await?.map(|item| read_upload(key, &item)).transpose()
    }

    /// The writer of a part.
    #[must_use]
    pub fn part_writer(&self, key: &UploadKey, part_id: String) -> PartWriter {
        PartWriter::new(self.bucket.clone(), key.clone(), part_id)
    }

    /// Adds a part that is in the bucket, if the upload waits for parts at `now`, and its parts have `most_bytes` then at most.
    pub async fn add_part(
        &self,
        key: &UploadKey,
        part_id: &str,
        part: UploadPart,
        most_bytes: u64,
        now: Timestamp,
    ) -> Result<AddedPart, StoreError> {
        let mut change = Change::new(format!("SET {PARTS}.#part = :part, {PARTS_BYTES} = {PARTS_BYTES} + :bytes"))
            .only_if(format!(
                "{STATE} = :pending AND {VALID_UNTIL} > :now AND size({PARTS}) < :most AND {PARTS_BYTES} <= :room AND \
                 attribute_not_exists({PARTS}.#part)"
            ))
            .values([
                (":part", part_value(part)),
                (":bytes", number(part.bytes)),
                (":pending", text(UploadStatus::Pending.name())),
                (":now", number(now.seconds())),
                (":most", number(MAX_PARTS)),
                (":room", number(i128::from(most_bytes) - i128::from(part.bytes))),
            ])
            .returning(Returning::All);
        change.names.push(("#part", part_id.to_owned()));
        let refused = match self.table.update(keys::upload(key), change).await? {
            UpdateOutcome::Written(_) => return Ok(AddedPart::Added),
            UpdateOutcome::Refused(refused) => refused,
        };
        let Some(upload) = refused.map(|item| read_upload(key, &item)).transpose()? else {
            return Ok(AddedPart::Ended);
        };
        Ok(match upload.status_at(now) {
            // The SDK repeats a write whose answer was lost.
            UploadStatus::Pending if upload.parts.contains_key(part_id) => AddedPart::Added,
            UploadStatus::Pending => AddedPart::Full,
            _ => AddedPart::Ended,
        })
    }

    /// Ends an upload that waits for parts. It is due then, so that the sweeper deletes its parts. Returns the upload as it is now: another
    /// end may have come first. `None`: it is gone.
    pub async fn end(
        &self,
        key: &UploadKey,
        to: &UploadStatus,
        due_at: Timestamp,
    ) -> Result<Option<Upload>, StoreError> {
        let change = Change::new(format!("SET {STATE} = :to, due_at = :due"))
            .only_if(format!("{STATE} = :pending"))
            .values([
                (":to", text(to.name())),
                (":due", number(due_at.0)),
                (":pending", text(UploadStatus::Pending.name())),
            ])
            .returning(Returning::All);
        match self.table.update(keys::upload(key), change).await? {
            UpdateOutcome::Written(item) => read_upload(key, &item).map(Some),
            UpdateOutcome::Refused(item) => item.map(|item| read_upload(key, &item)).transpose(),
        }
    }

    /// Completes an upload and its file, whose content is stored, at once. `Refused`: the upload has ended, or the sweeper deletes the
    /// file, because it took too long.
    pub async fn complete(
        &self,
        key: &UploadKey,
        file: &File,
        file_due_at: Option<Timestamp>,
        due_at: Timestamp,
        now: Timestamp,
    ) -> Result<WriteOutcome, StoreError> {
        let completed = UploadStatus::Completed { file_id: file.key.file_id.clone() };
        for tried in 0..MAX_TRIES {
            let mut writes = FileRecords::completing(file, file_due_at);
            writes.push(Write::Change(keys::upload(key), completion(&completed, file, due_at, now)));
            if self.table.transact(writes).await?.is_written() {
                return Ok(WriteOutcome::Written);
            }
            // Read first: a completion that comes between the two reads is seen by the second.
            let is_begun = self.files.is_begun(&file.key).await?;
            match self.get(key).await? {
                // The SDK repeats a write whose answer was lost: this call itself may have completed the upload.
                Some(upload) if upload.status == completed => return Ok(WriteOutcome::Written),
                Some(upload) if is_begun && upload.status_at(now) == UploadStatus::Pending => {}
                Some(_) | None => return Ok(WriteOutcome::Refused),
            }
            conflict_pause(tried).await;
        }
        Err(StoreError::table("complete the upload")(Contended("its transactions were cancelled")))
    }

    /// Deletes the parts that an upload names.
    pub async fn delete_parts(&self, upload: &Upload) -> Result<(), StoreError> {
        let objects = upload.parts.iter().flat_map(|(id, part)| (0..part.objects).map(move |n| (id, n)));
        let objects: Vec<String> = objects.map(|(id, n)| object(&upload.key, id, n)).collect();
        for some in objects.chunks(MAX_CONCURRENT) {
            try_join_all(some.iter().map(|key| self.bucket.delete(key))).await?;
        }
        Ok(())
    }

    /// Deletes the parts of some ids, also if no record names them.
    pub async fn delete_part(&self, key: &UploadKey, part_id: &str, objects: u32) -> Result<(), StoreError> {
        try_join_all((0..objects).map(async |n| self.bucket.delete(&object(key, part_id, n)).await)).await.map(drop)
    }

    /// Reads one of the objects of a part as its bytes arrive.
    pub async fn read(
        &self,
        key: &UploadKey,
        part_id: &str,
        n: u32,
    ) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, StoreError> {
        self.bucket.read(&object(key, part_id, n), None).await
    }

    /// Whether clients reach the bucket themselves.
    #[must_use]
    pub fn takes_direct_parts(&self) -> bool {
        self.bucket.is_reachable
    }

    /// A URL to which a client can put a part with exactly so many bytes, for so long.
    pub async fn direct_url(
        &self,
        key: &UploadKey,
        part_id: &str,
        bytes: u64,
        valid: Duration,
    ) -> Result<String, StoreError> {
        let action = "make a URL";
        let valid = PresigningConfig::expires_in(valid)
            .map_err(|error| StoreError::bucket(action)(Unusable(error.to_string())))?;
        let length = i64::try_from(bytes).unwrap_or(i64::MAX);
        let put = self.bucket.client()?.put_object().bucket(&*self.bucket.name).key(object(key, part_id, 0));
        let signed = Box::pin(put.content_length(length).presigned(valid)).await.map_err(StoreError::bucket(action))?;
        Ok(signed.uri().to_owned())
    }

    /// Which parts of an upload are in the bucket, with the bytes of their first object. Parts that weir took are there when the record
    /// names them; direct ones may not be.
    pub async fn arrived(&self, key: &UploadKey) -> Result<BTreeMap<String, u64>, StoreError> {
        let prefix = Shelf::Day.key_of(&folder(key), "");
        let sizes = self.bucket.sizes(&prefix).await?;
        let parts = sizes.into_iter().filter_map(|(object, bytes)| {
            let part_id = object.strip_prefix(&prefix)?.strip_suffix("-0")?;
            Some((part_id.to_owned(), bytes))
        });
        Ok(parts.collect())
    }

    /// Returns an upload if it is due.
    pub async fn due(&self, key: &UploadKey, now: Timestamp) -> Result<Option<Upload>, StoreError> {
        let Some(item) = self.table.get(keys::upload(key)).await? else { return Ok(None) };
        let due_at: u64 = Reader(&item).number("due_at")?;
        // The index lags behind the table by moments.
        if now.is_before(Timestamp(due_at), LONGEST_DUE_MS) {
            return Ok(None);
        }
        read_upload(key, &item).map(Some)
    }

    /// Deletes everything in the folder of an upload, also what no record names.
    pub async fn delete_all_parts(&self, key: &UploadKey) -> Result<(), StoreError> {
        self.bucket.delete_folder(&[Shelf::Day], &folder(key)).await
    }

    /// Makes an upload that has ended due again.
    pub async fn put_off(&self, key: &UploadKey, until: Timestamp) -> Result<(), StoreError> {
        let change = Change::new("SET due_at = :until")
            .only_if(format!("attribute_exists(pk) AND {STATE} <> :pending"))
            .values([(":until", number(until.0)), (":pending", text(UploadStatus::Pending.name()))]);
        // A refusal: another sweeper removed it.
        self.table.update(keys::upload(key), change).await.map(drop)
    }

    /// Removes the record of an upload that has ended.
    pub async fn remove(&self, key: &UploadKey) -> Result<(), StoreError> {
        self.table.delete(keys::upload(key)).await
    }
}

/// Objects that are deleted at the same time.
const MAX_CONCURRENT: usize = 50;

/// Times that a transaction is tried while others come first.
const MAX_TRIES: u32 = 12;
