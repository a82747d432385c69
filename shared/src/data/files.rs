//! Files: a record in the table, and the content as one object in the bucket.
//!
//! The record is there before the first byte of the content, and after the last one. A record that is not complete, or that is
//! marked as deleted, is due, so that the sweeper removes both if the process died. A complete file counts as stored; the
//! transaction that removes its record takes it off the counter.

use bytes::Bytes;
use futures_util::stream::BoxStream;

use super::bucket::{Bucket, Shelf};
use super::change::{Change, Returning, UpdateOutcome, Write, WriteOutcome};
use super::content::{Content, ContentWriter};
use super::due::due_shard;
use super::error::{Contended, StoreError};
use super::item::{Item, Reader, number, text};
use super::keys;
use super::stored::{Expiry, StoredChange};
use super::table::{ItemStream, Table, conflict_pause};
use super::vector_stores::StoreFileRecords;
use crate::model::clock::Timestamp;
use crate::model::file::{ByteRange, File, FileKey, Purpose};
use crate::model::media_type;
use crate::model::storage::Stored;
use crate::model::vector_store::StoreFileKey;

/// Which files a list has, and from where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileQuery {
    pub purpose: Option<Purpose>,
    /// The last id of the page before.
    pub after: Option<String>,
    pub oldest_first: bool,
    pub limit: usize,
}

/// The files of all projects.
#[derive(Clone, Debug)]
pub struct FileRecords {
    pub(super) table: Table,
    pub(super) bucket: Bucket,
}

impl FileRecords {
    /// Makes the record of a file whose content follows. If the file is not complete at `due_at`, the sweeper deletes it.
    pub async fn begin(&self, key: &FileKey, due_at: Timestamp) -> Result<(), StoreError> {
        let shard = due_shard(&key.file_id);
        let record =
            keys::file(key).with([(BEGUN, number(1)), ("due_at", number(due_at.0)), ("due_shard", text(shard))]);
        // The id is new, so only an attempt of this same write can have been there before. A late attempt must not undo what followed.
        self.table.put_new(record).await.map(drop)
    }

    /// The writer of the content.
    #[must_use]
    pub fn writer(&self, key: &FileKey) -> FileWriter {
        FileWriter { records: self.clone(), key: key.clone(), content: self.bucket.writer(object(key)) }
    }

    /// Notes the upload in parts of a file, before the first part: whoever deletes the file deletes the parts.
    async fn note_upload(&self, key: &FileKey, upload_id: String) -> Result<(), StoreError> {
        let change = Change::new("SET upload_id = :upload").only_if("attribute_exists(begun)");
        let noted = self.table.update(keys::file(key), change.values([(":upload", text(upload_id))])).await?;
        match noted {
            UpdateOutcome::Written(_) => Ok(()),
            UpdateOutcome::Refused(_) => Err(StoreError::table("note the upload")(Contended("the file is gone"))),
        }
    }

    /// Completes a file whose content is stored: it can be read from now on. `Refused`: the sweeper deletes it, because it took too
    /// long.
    pub async fn complete(&self, file: &File, due_at: Option<Timestamp>) -> Result<WriteOutcome, StoreError> {
        for tried in 0..MAX_TRIES {
            if self.table.transact(Self::completing(file, due_at)).await?.is_written() {
                return Ok(WriteOutcome::Written);
            }
            // The SDK repeats a write whose answer was lost: this call itself may have completed the file.
            match self.table.get(keys::file(&file.key)).await? {
                Some(item) if is_readable(&item) => return Ok(WriteOutcome::Written),
                Some(item) if !item.contains_key(DELETED) => {}
                Some(_) | None => return Ok(WriteOutcome::Refused),
            }
            conflict_pause(tried).await;
        }
        Err(StoreError::table("complete the file")(Contended("its transactions were cancelled")))
    }

    /// The writes that complete a file and count it.
    pub(super) fn completing(file: &File, due_at: Option<Timestamp>) -> Vec<Write> {
        let counted = StoredChange::added(Expiry::Never, stored(file)).write(&file.key.project_id);
        vec![Write::Change(keys::file(&file.key), completion(file, due_at)), counted]
    }

    /// Whether a file waits for its content.
    pub(super) async fn is_begun(&self, key: &FileKey) -> Result<bool, StoreError> {
        let item = self.table.get(keys::file(key)).await?;
        Ok(item.is_some_and(|item| item.contains_key(BEGUN) && !item.contains_key(DELETED)))
    }

    /// Returns a file, unless it is absent, not complete, deleted, or has expired by `now`.
    pub async fn get(&self, key: &FileKey, now: Timestamp) -> Result<Option<File>, StoreError> {
        let item = self.table.get(keys::file(key)).await?.filter(is_readable);
        let file = item.map(|item| read_file(&key.project_id, &item)).transpose()?;
        Ok(file.filter(|file| !file.has_expired(now)))
    }

    /// Reads the content of a file, or a part of it.
    pub async fn read(
        &self,
        file: &File,
        range: Option<ByteRange>,
    ) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, StoreError> {
        self.bucket.read(&object(&file.key), range).await
    }

    /// Returns the files of a project that `query` asks for, and one more if there are more.
    pub async fn list(&self, project_id: &str, query: &FileQuery, now: Timestamp) -> Result<Vec<File>, StoreError> {
        let partition = keys::files_partition(project_id);
        let condition = if query.oldest_first { "pk = :pk AND sk > :after" } else { "pk = :pk AND sk < :after" };
        let from = if query.oldest_first { keys::FILE_PREFIX } else { "~" };
        let request = self
            .table
            .query_where(&partition, condition)
            .expression_attribute_values(":after", text(query.after.as_deref().unwrap_or(from)))
            .scan_index_forward(query.oldest_first)
            .limit(read_at_once(query));
        let (mut found, mut files) = (ItemStream::of(request), Vec::new());
        while files.len() <= query.limit
            && let Some(item) = found.next().await?
        {
            if !is_readable(&item) {
                continue;
            }
            let file = read_file(project_id, &item)?;
            if !file.has_expired(now) && query.purpose.is_none_or(|purpose| file.purpose == purpose) {
                files.push(file);
            }
        }
        Ok(files)
    }

    /// Deletes a file. Readers no longer find it from the first write on. If the deletion does not end, the sweeper ends it at
    /// `due_at`. `Refused`: the file is not one that is to be deleted.
    pub async fn delete(
        &self,
        key: &FileKey,
        why: Deletion,
        now: Timestamp,
        due_at: Timestamp,
    ) -> Result<WriteOutcome, StoreError> {
        let mut mark = Change::new("SET deleted = :one, due_at = :due, due_shard = :shard")
            .only_if(why.condition())
            .values([(":one", number(1)), (":due", number(due_at.0)), (":shard", text(due_shard(&key.file_id)))])
            .returning(Returning::All);
        match why {
            Deletion::Asked => mark = mark.values([(":now", number(now.seconds()))]),
            Deletion::Due => mark = mark.values([(":now", number(now.0))]),
            Deletion::Discarded => {}
        }
        let UpdateOutcome::Written(marked) = self.table.update(keys::file(key), mark).await? else {
            return Ok(WriteOutcome::Refused);
        };
        if let Some(upload_id) = Reader(&marked).maybe_text(UPLOAD) {
            self.bucket.abort_upload(&object(key), &upload_id).await?;
        }
        self.leave_stores(key, now).await?;
        self.delete_content(key).await?;
        self.remove(key, &marked).await?;
        Ok(WriteOutcome::Written)
    }

    /// Takes a file that is marked as deleted out of all vector stores. Nothing attaches it any more.
    async fn leave_stores(&self, key: &FileKey, now: Timestamp) -> Result<(), StoreError> {
        let attached = StoreFileRecords(self.table.clone());
        for store in attached.stores_of(&key.project_id, &key.file_id).await? {
            let file = StoreFileKey { store, file_id: key.file_id.clone() };
            attached.detach(&file, now).await.map(drop)?;
        }
        Ok(())
    }

    /// Deletes the content of a file without a record.
    pub async fn delete_content(&self, key: &FileKey) -> Result<(), StoreError> {
        self.bucket.delete(&object(key)).await
    }

    /// Removes the record of a deleted file, and takes it off the counter if it was counted.
    async fn remove(&self, key: &FileKey, marked: &Item) -> Result<(), StoreError> {
        // Nothing completes a file that is marked.
        if marked.contains_key(BEGUN) {
            return self.table.delete(keys::file(key)).await;
        }
        let file = read_file(&key.project_id, marked)?;
        for tried in 0..MAX_TRIES {
            let counted = StoredChange::removed(Expiry::Never, stored(&file)).write(&key.project_id);
            if self.table.transact(vec![Write::Remove(keys::file(key)), counted]).await?.is_written() {
                return Ok(());
            }
            // Another deletion removed it, or another transaction came first.
            if self.table.get(keys::file(key)).await?.is_none() {
                return Ok(());
            }
            conflict_pause(tried).await;
        }
        Err(StoreError::table("delete the file")(Contended("its transactions were cancelled")))
    }

    /// What is to be done about a file that is due.
    pub async fn due(&self, key: &FileKey, now: Timestamp) -> Result<DueFile, StoreError> {
        let Some(item) = self.table.get(keys::file(key)).await? else { return Ok(DueFile::Nothing) };
        let reader = Reader(&item);
        let due_at: Option<u64> = reader.maybe_number("due_at")?;
        // The index lags behind the table by moments.
        if due_at.is_none_or(|due_at| due_at > now.0) {
            return Ok(DueFile::Nothing);
        }
        let expires_at: Option<u64> = reader.maybe_number(KEPT_UNTIL)?;
        match expires_at.filter(|_| is_readable(&item)) {
            Some(expires_at) if expires_at > now.seconds() => Ok(DueFile::Later(Timestamp(expires_at * 1_000))),
            _ => Ok(DueFile::Delete),
        }
    }

    /// Makes a file due again, unless another process did so.
    pub async fn put_off(&self, key: &FileKey, until: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        let change = Change::new("SET due_at = :until")
            .only_if("due_at <= :now AND attribute_not_exists(deleted)")
            .values([(":until", number(until.0)), (":now", number(now.0))]);
        // A refusal: another sweeper was faster, or the file is being deleted.
        self.table.update(keys::file(key), change).await.map(drop)
    }
}

/// Why a file is deleted. Each has the condition under which that is right at the time of the write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// A client asked for it: of a file that it can see, or whose deletion it asked for before.
    Asked,
    /// Its time is over, or work on it did not end. A file that was completed or put off since is not due.
    Due,
    /// The client's form was refused, or the file came too late.
    Discarded,
}

impl Deletion {
    /// Each names an attribute that must be there: the deletion of an absent file would make a record that consists of a mark.
    fn condition(self) -> &'static str {
        match self {
            Self::Asked => {
                "attribute_exists(pk) AND (attribute_exists(deleted) OR (attribute_not_exists(begun) AND \
                 (attribute_not_exists(kept_until) OR kept_until > :now)))"
            }
            Self::Due => "due_at <= :now",
            // Never one that is complete: the write that completed it may have taken effect after all.
            Self::Discarded => "attribute_exists(begun) OR attribute_exists(deleted)",
        }
    }
}

/// Writes the content of a file.
pub struct FileWriter {
    records: FileRecords,
    key: FileKey,
    content: ContentWriter,
}

impl FileWriter {
    /// The bytes so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.content.bytes()
    }

    /// Takes the next piece of the content.
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), StoreError> {
        if let Some(upload_id) = self.content.begin_for(piece.len()).await? {
            self.records.note_upload(&self.key, upload_id).await?;
        }
        self.content.write(piece).await
    }

    /// Writes what is left. The content is in the bucket then.
    pub async fn finish(self) -> Result<Content, StoreError> {
        self.content.finish().await
    }
}

/// What is to be done about a file that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DueFile {
    Nothing,
    /// Its time is not over. It expires then.
    Later(Timestamp),
    /// It has expired, was not completed, or its deletion did not end.
    Delete,
}

/// The attribute of a record whose content is not complete.
const BEGUN: &str = "begun";
const DELETED: &str = "deleted";
/// The attribute with the id of an upload in parts that was not completed.
const UPLOAD: &str = "upload_id";
/// Not `expires_at`: DynamoDB would delete the record then, and nobody the content.
const KEPT_UNTIL: &str = "kept_until";

/// Times that a transaction is tried while others come first.
const MAX_TRIES: u32 = 12;

/// Records in one request. A short page does not read a megabyte, and one of a rare purpose does not read the records one by one.
fn read_at_once(query: &FileQuery) -> i32 {
    let wanted = i32::try_from(query.limit).unwrap_or(i32::MAX).saturating_add(1);
    if query.purpose.is_some() { wanted.max(1_000) } else { wanted }
}

fn is_readable(item: &Item) -> bool {
    !item.contains_key(BEGUN) && !item.contains_key(DELETED)
}

/// The object with the content of a file.
fn object(FileKey { project_id, file_id }: &FileKey) -> String {
    Shelf::Permanent.key_of(&format!("{project_id}/files"), file_id)
}

fn stored(file: &File) -> Stored {
    Stored { bytes: file.bytes, objects: 1 }
}

fn completion(file: &File, due_at: Option<Timestamp>) -> Change {
    let mut change = Change::new(
        "SET filename = :filename, purpose = :purpose, media_type = :type, content_bytes = :bytes, sha256 = :sha256, \
         created_at = :created",
    )
    .only_if("attribute_exists(begun) AND attribute_not_exists(deleted)")
    .values([
        (":filename", text(&file.filename)),
        (":purpose", text(file.purpose.name())),
        (":type", text(&file.media_type)),
        (":bytes", number(file.bytes)),
        (":sha256", text(&file.sha256)),
        (":created", number(file.created_at)),
    ]);
    match (file.expires_at, due_at) {
        (Some(expires_at), Some(due_at)) => {
            change.push(", kept_until = :expires", ":expires", number(expires_at));
            change.push(", due_at = :due REMOVE begun, upload_id", ":due", number(due_at.0));
        }
        _ => change.update.push_str(" REMOVE begun, upload_id, due_at, due_shard"),
    }
    change
}

fn read_file(project_id: &str, item: &Item) -> Result<File, StoreError> {
    let reader = Reader(item);
    let filename = reader.text("filename")?;
    // Files that an earlier version of weir took have no type.
    let of_name = || media_type::of_name(&filename).unwrap_or(media_type::UNKNOWN).to_owned();
    Ok(File {
        key: FileKey { project_id: project_id.to_owned(), file_id: reader.text("sk")? },
        media_type: reader.maybe_text("media_type").unwrap_or_else(of_name),
        filename,
        purpose: Purpose::from_name(&reader.text("purpose")?).ok_or_else(|| reader.damaged("purpose"))?,
        bytes: reader.number("content_bytes")?,
        sha256: reader.text("sha256")?,
        created_at: reader.number("created_at")?,
        expires_at: reader.maybe_number(KEPT_UNTIL)?,
    })
}
