//! Files that clients upload, read and delete.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;

use super::admission::Admission;
use super::error::Error;
use super::generation::{LOST_AFTER_MS, QUIET_AFTER_MS};
use super::storage::Storage;
use crate::data::{Deletion, FileQuery, FileRecords, FileWriter, StoreError, Stores, UploadRecords};
use crate::model::clock::{Clock, Timestamp};
use crate::model::error_chain::ErrorChain;
use crate::model::file::{ByteRange, File, FileDetails, FileKey, ID_PREFIX, MAX_FILE_BYTES};
use crate::model::id;
use crate::model::invalid::Invalid;
use crate::model::media_type;
use crate::model::page::Page;
use crate::model::project::{Caller, Policy};
use crate::model::retention::{DAY_SECONDS, Retention};
use crate::model::storage::{StorageLimits, Stored};
use crate::model::upload::Upload;

/// Operations on the files of a project.
pub struct Files {
    records: FileRecords,
    admission: Arc<Admission>,
    storage: Storage,
    clock: Clock,
}

impl Files {
    pub(super) fn new(stores: &Stores, clock: Clock, admission: Arc<Admission>) -> Self {
        Self { records: stores.files(), admission, storage: Storage::new(stores, clock.clone()), clock }
    }

    /// Begins the upload of a file.
    ///
    /// # Errors
    /// `Invalid` if the project keeps nothing; `Refused` by a limit of requests per minute; `StorageFull`.
    pub async fn begin_upload(&self, caller: &Caller, filename: String) -> Result<FileUpload, Error> {
        // A project that keeps nothing learns that first.
        require_retention(&caller.project.policy)?;
        self.admission.count(caller).await?;
        self.begin_counted(caller, filename).await
    }

    /// Begins the upload of a file whose request was counted.
    ///
    /// # Errors
    /// As [`Files::begin_upload`], but for the limits of requests.
    pub(super) async fn begin_counted(&self, caller: &Caller, filename: String) -> Result<FileUpload, Error> {
        require_retention(&caller.project.policy)?;
        let (project_id, limits) = (caller.project.id.clone(), caller.project.storage_limits());
        let stored = self.storage.of(&project_id).await?;
        limits.check(&project_id, stored, Stored { bytes: 1, objects: 1 })?;
        let now = self.clock.now();
        let key = FileKey { project_id, file_id: id::new_ordered(ID_PREFIX, now) };
        // A process that is at work now has ended by then.
        self.records.begin(&key, now.plus_ms(QUIET_AFTER_MS)).await?;
        Ok(FileUpload {
            writer: self.records.writer(&key),
            records: self.records.clone(),
            key,
            filename,
            head: Vec::new(),
            begun_at: now,
            retention: caller.project.policy.retention,
            limits,
            stored,
            storage: self.storage.clone(),
            clock: self.clock.clone(),
        })
    }

    /// Returns a file.
    ///
    /// # Errors
    /// `NotFound` if the caller's project has no file with that id.
    pub async fn get(&self, caller: &Caller, file_id: &str) -> Result<File, Error> {
        let key = key(&caller.project.id, file_id)?;
        self.records.get(&key, self.clock.now()).await?.ok_or_else(|| not_found(file_id))
    }

    /// Returns a page of the caller's files.
    ///
    /// # Errors
    /// Only those of all operations.
    pub async fn list(&self, caller: &Caller, query: &FileQuery) -> Result<Page<File>, Error> {
        let found = self.records.list(&caller.project.id, query, self.clock.now()).await?;
        Ok(Page::cut(found, query.limit))
    }

    /// Deletes a file and its content.
    ///
    /// # Errors
    /// The same as [`Files::get`]. A deletion that fails is completed by the sweeper, or by repeating it.
    pub async fn delete(&self, caller: &Caller, file_id: &str) -> Result<(), Error> {
        let (key, now) = (key(&caller.project.id, file_id)?, self.clock.now());
        let deleted = self.records.delete(&key, Deletion::Asked, now, now.plus_ms(LOST_AFTER_MS)).await?;
        if deleted.is_written() { Ok(()) } else { Err(not_found(file_id)) }
    }

    /// Reads the content of a file, or a part of it.
    ///
    /// # Errors
    /// `NotFound` if the file was deleted in the meantime.
    pub async fn read(
        &self,
        file: &File,
        range: Option<ByteRange>,
    ) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, Error> {
        match self.records.read(file, range).await {
            Ok(content) => Ok(content),
            Err(error) => match self.records.get(&file.key, self.clock.now()).await? {
                Some(_) => Err(error.into()),
                None => Err(not_found(&file.key.file_id)),
            },
        }
    }
}

/// A file that arrives. The sweeper removes what an upload leaves that is neither completed nor discarded.
pub struct FileUpload {
    records: FileRecords,
    writer: FileWriter,
    key: FileKey,
    filename: String,
    /// The first bytes of the content, which tell its type.
    head: Vec<u8>,
    begun_at: Timestamp,
    retention: Option<Retention>,
    limits: StorageLimits,
    /// What the project stored when the upload began.
    stored: Stored,
    storage: Storage,
    clock: Clock,
}

impl FileUpload {
    /// Takes the next piece of the content.
    ///
    /// # Errors
    /// `Invalid` above [`MAX_FILE_BYTES`]; `StorageFull`. Discard the upload then.
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), Error> {
        let bytes = self.writer.bytes() + piece.len() as u64;
        if bytes > MAX_FILE_BYTES {
            let message =
                format!("The file is larger than {} MB, the most that a file may have.", MAX_FILE_BYTES >> 20);
            return Err(Invalid { code: Some("file_too_large"), ..Invalid::field("file", message) }.into());
        }
        self.limits.check(&self.key.project_id, self.stored, Stored { bytes, objects: 1 })?;
        let missing = media_type::HEAD_BYTES - self.head.len();
        self.head.extend_from_slice(&piece[..missing.min(piece.len())]);
        Ok(self.writer.write(piece).await?)
    }

    /// Completes the file: it can be read from now on.
    ///
    /// # Errors
    /// `StorageFull` if other content took the room meanwhile; `Unavailable` if the upload took too long. The sweeper removes
    /// what an error leaves.
    pub async fn complete(self, details: FileDetails) -> Result<File, Error> {
        let (records, file, due_at) = self.finish(details).await?;
        if records.complete(&file, due_at).await?.is_written() {
            return Ok(file);
        }
        // The content may have arrived after the sweeper's deletion.
        records.delete_content(&file.key).await?;
        Err(too_late())
    }

    /// Completes the file and the upload in parts that it is a copy of, at once.
    ///
    /// # Errors
    /// As [`FileUpload::complete`], also if the upload has ended. The file is discarded then.
    pub(super) async fn complete_upload(self, uploads: &UploadRecords, upload: &Upload) -> Result<(), Error> {
        let clock = self.clock.clone();
        let (records, file, due_at) = self.finish(upload.details).await?;
        let now = clock.now();
        let swept_at = now.plus_ms(LOST_AFTER_MS);
        if !uploads.complete(&upload.key, &file, due_at, swept_at, now).await?.is_written() {
            if !records.delete(&file.key, Deletion::Discarded, now, swept_at).await?.is_written() {
                if records.get(&file.key, now).await?.is_some() {
                    return Ok(());
                }
                records.delete_content(&file.key).await?;
            }
            return Err(too_late());
        }
        if let Err(error) = uploads.delete_parts(upload).await {
            tracing::warn!(error = %ErrorChain(&error), "parts not deleted, the sweeper will");
        }
        Ok(())
    }

    /// Writes what is left of the content. Returns the file, which is to be completed, and when it is due.
    async fn finish(self, details: FileDetails) -> Result<(FileRecords, File, Option<Timestamp>), Error> {
        let more = Stored { bytes: self.writer.bytes(), objects: 1 };
        if let Err(full) = self.limits.check(&self.key.project_id, self.storage.of(&self.key.project_id).await?, more) {
            self.discard().await;
            return Err(full.into());
        }
        let content = self.writer.finish().await?;
        let created_at = self.begun_at.seconds();
        let kept_seconds = [details.expires_after, self.retention.map(Retention::seconds)].into_iter().flatten().min();
        let expires_at = kept_seconds.map(|seconds| created_at + seconds);
        let file = File {
            key: self.key,
            media_type: media_type::of_content(&self.head, &self.filename).to_owned(),
            filename: self.filename,
            purpose: details.purpose,
            bytes: content.bytes,
            sha256: content.sha256,
            created_at,
            expires_at,
        };
        let now = self.clock.now();
        let due_at = expires_at.map(|expires_at| due_of(Timestamp(expires_at * 1_000), now));
        Ok((self.records, file, due_at))
    }

    /// Removes what arrived so far.
    pub async fn discard(self) {
        let now = self.clock.now();
        let deleted = self.records.delete(&self.key, Deletion::Discarded, now, now.plus_ms(LOST_AFTER_MS)).await;
        if let Err(error) = deleted {
            tracing::warn!(error = %ErrorChain(&error), "upload not discarded, the sweeper will");
        }
    }
}

/// When a file that expires at a time is due. An entry of the due index is a day ahead at most; it is then made anew.
pub(super) fn due_of(expires_at: Timestamp, now: Timestamp) -> Timestamp {
    expires_at.min(now.plus_ms(DAY_SECONDS * 1_000))
}

fn too_late() -> Error {
    Error::Unavailable { action: "complete the file in time", source: "its upload took an hour".into() }
}

pub(super) fn require_retention(policy: &Policy) -> Result<(), Invalid> {
    if !policy.keeps_nothing() {
        return Ok(());
    }
    let message = "This project keeps no content (`policy.retention` is \"none\"), so it has no files. Send the content in the \
                   request itself, or ask the operator for a retention of days.";
    Err(Invalid { message: message.to_owned(), param: Some("file".to_owned()), code: Some("nothing_is_kept") })
}

fn not_found(file_id: &str) -> Error {
    Error::not_found("file", file_id)
}

/// The key of a file. Text that cannot be an id is refused, because ids become part of a table key.
pub(super) fn key(project_id: &str, file_id: &str) -> Result<FileKey, Error> {
    let is_id =
        file_id.strip_prefix(ID_PREFIX).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    if !is_id || file_id.len() > id::MAX_LENGTH {
        return Err(not_found(file_id));
    }
    Ok(FileKey { project_id: project_id.to_owned(), file_id: file_id.to_owned() })
}
