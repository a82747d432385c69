//! The files of vector stores, as callers attach, list, read and detach them.

use std::sync::Arc;
use std::time::Duration;

use super::find_store;
use crate::app::admission::Admission;
use crate::app::error::Error;
use crate::app::files::{self, require_retention};
use crate::app::generation::LOST_AFTER_MS;
use crate::app::storage::Storage;
use crate::app::telemetry::current_traceparent;
use crate::app::worker_queues::WorkerQueues;
use crate::data::{ChunkRecords, FileRecords, ListQuery, StoreFileRecords, VectorStoreRecords};
use crate::dialects::openai_vector_stores::AttachFile;
use crate::model::backoff::Backoff;
use crate::model::clock::{Clock, Timestamp};
use crate::model::file::File;
use crate::model::invalid::Invalid;
use crate::model::page::Page;
use crate::model::project::Caller;
use crate::model::storage::Stored;
use crate::model::vector_store::{Attributes, FileStatus, StoreFile, StoreFileKey, StoreStatus, VectorStore};

/// Operations on the files of vector stores.
pub struct StoreFiles {
    pub(in crate::app) records: StoreFileRecords,
    pub(in crate::app) stores: VectorStoreRecords,
    pub(in crate::app) chunks: ChunkRecords,
    pub(in crate::app) files: FileRecords,
    pub(in crate::app) admission: Arc<Admission>,
    pub(in crate::app) storage: Storage,
    pub(in crate::app) queues: WorkerQueues,
    pub(in crate::app) clock: Clock,
}

/// The most bytes of chunks whose text is answered: an answer of a function has 6 MB at most, and chunks overlap.
const MAX_CONTENT: u64 = 8 * 1024 * 1024;
/// Times that an attachment is tried while other requests change the same store.
const MAX_TRIES: u32 = 12;
const CONFLICT: Backoff = Backoff::new(4, 256);

impl StoreFiles {
    /// Attaches a file to a store. A worker ingests it. A file that is attached already is ingested anew if it failed, or is to be cut
    /// in another way.
    ///
    /// # Errors
    /// `Refused` by a limit of requests per minute; `NotFound` if the project has no such store or file; `Invalid` if the store has expired or
    /// the project keeps nothing; `Forbidden` if the key may not call the store's model; `StorageFull`.
    pub async fn attach(&self, caller: &Caller, store_id: &str, attach: AttachFile) -> Result<StoreFile, Error> {
        require_retention(&caller.project.policy)?;
        self.admission.count(caller).await?;
        let store = find_store(&self.stores, caller, store_id).await?;
        caller.check_model(&store.embedding_model)?;
        self.attach_to(caller, &store, attach).await
    }

    /// Whether a file is or was in a store.
    pub(super) async fn is_known(&self, store: &VectorStore, file_id: &str) -> Result<bool, Error> {
        let key = StoreFileKey { store: store.key.clone(), file_id: file_id.to_owned() };
        Ok(self.records.find(&key).await?.is_some())
    }

    /// Attaches a file by a request that was counted.
    pub(super) async fn attach_to(
        &self,
        caller: &Caller,
        store: &VectorStore,
        attach: AttachFile,
    ) -> Result<StoreFile, Error> {
        if store.status(self.clock.now()) == StoreStatus::Expired {
            return Err(expired(store).into());
        }
        for tried in 0..MAX_TRIES {
            let file = self.find_file(caller, &attach.file_id).await?;
            self.storage.require_room(&caller.project, Stored { bytes: 1, objects: 1 }).await?;
            if let Some(attached) = self.try_to_attach(caller, store, file, &attach).await? {
                return Ok(attached);
            }
            find_store(&self.stores, caller, &store.key.store_id).await?;
            CONFLICT.wait(tried).await;
        }
        Err(Error::Contended("the vector store"))
    }

    /// Attaches a file, unless another request came first; `None`: it has to be tried again.
    async fn try_to_attach(
        &self,
        caller: &Caller,
        store: &VectorStore,
        file: File,
        attach: &AttachFile,
    ) -> Result<Option<StoreFile>, Error> {
        let key = StoreFileKey { store: store.key.clone(), file_id: attach.file_id.clone() };
        let found = self.records.find(&key).await?;
        let now = self.clock.now();
        let due_at = now.plus_ms(LOST_AFTER_MS);
        let mut new = new_file(key, file, attach, found.as_ref(), now);
        new.api_key_id.clone_from(&caller.api_key_id);
        let (written, file) = match found {
            Some(found) if !found.is_detached() => {
                let is_done = matches!(found.status, FileStatus::InProgress | FileStatus::Completed);
                if is_done && found.chunking == attach.chunking {
                    return Ok(self.records.set_attributes(&found.key, &attach.attributes).await?);
                }
                let after = StoreFile {
                    created_at: found.created_at,
                    usage_bytes: found.usage_bytes,
                    live: found.live,
                    chunks: found.chunks,
                    ..new
                };
                (self.records.restart(&found, &after, due_at).await?, after)
            }
            found => {
                let before = found.map(|found| found.generation);
                (self.records.attach(&new, before, due_at).await?, new)
            }
        };
        if !written.is_written() {
            return Ok(None);
        }
        self.queues.wake_for_store_file(&file, Duration::ZERO).await;
        Ok(Some(file))
    }

    /// The file that a request names.
    ///
    /// # Errors
    /// `NotFound` if the project has no such file.
    pub(super) async fn find_file(&self, caller: &Caller, file_id: &str) -> Result<File, Error> {
        let key = files::key(&caller.project.id, file_id)?;
        self.files.get(&key, self.clock.now()).await?.ok_or_else(|| Error::not_found("file", file_id))
    }

    /// Returns a file of a store.
    ///
    /// # Errors
    /// `NotFound` if the project has no such store, or the file is not in it.
    pub async fn get(&self, caller: &Caller, store_id: &str, file_id: &str) -> Result<StoreFile, Error> {
        let key = self.key(caller, store_id, file_id).await?;
        self.records.get(&key).await?.ok_or_else(|| absent(file_id))
    }

    /// Returns a page of the files of a store.
    ///
    /// # Errors
    /// `NotFound` if the project has no such store.
    pub async fn list(
        &self,
        caller: &Caller,
        store_id: &str,
        status: Option<FileStatus>,
        query: &ListQuery,
    ) -> Result<Page<StoreFile>, Error> {
        let store = find_store(&self.stores, caller, store_id).await?;
        Ok(self.records.list(&store.key, status, query).await?)
    }

    /// Sets the attributes of a file.
    ///
    /// # Errors
    /// The same as [`StoreFiles::get`].
    pub async fn set_attributes(
        &self,
        caller: &Caller,
        store_id: &str,
        file_id: &str,
        attributes: &Attributes,
    ) -> Result<StoreFile, Error> {
        let key = self.key(caller, store_id, file_id).await?;
        self.records.set_attributes(&key, attributes).await?.ok_or_else(|| absent(file_id))
    }

    /// Returns the text of a file as it is searched, in pieces that follow each other.
    ///
    /// # Errors
    /// The same as [`StoreFiles::get`]; `Invalid` if the text is too large for an answer.
    pub async fn content(&self, caller: &Caller, store_id: &str, file_id: &str) -> Result<Vec<String>, Error> {
        let file = self.get(caller, store_id, file_id).await?;
        let Some(live) = file.live else { return Ok(Vec::new()) };
        if file.usage_bytes > MAX_CONTENT {
            let message = format!(
                "The text has {} bytes, more than one answer can have. Read the file itself: GET /v1/files/{file_id}/content.",
                file.usage_bytes
            );
            return Err(Invalid { message, param: Some("file_id".to_owned()), code: Some("text_too_large") }.into());
        }
        let (mut pieces, mut end) = (Vec::new(), 0_u64);
        for chunk in self.chunks.read_all(&file.key, live).await? {
            // A chunk begins with the end of the one before it.
            let known = usize::try_from(end.saturating_sub(chunk.start)).unwrap_or(usize::MAX);
            end = end.max(chunk.start + chunk.text.len() as u64);
            pieces.extend(chunk.text.get(known..).filter(|rest| !rest.is_empty()).map(str::to_owned));
        }
        Ok(pieces)
    }

    /// Takes a file out of a store. The file itself stays.
    ///
    /// # Errors
    /// The same as [`StoreFiles::get`].
    pub async fn detach(&self, caller: &Caller, store_id: &str, file_id: &str) -> Result<(), Error> {
        let file = self.get(caller, store_id, file_id).await?;
        if !self.records.detach(&file.key, self.clock.now()).await?.is_written() {
            return Err(absent(file_id));
        }
        self.queues.wake_for_store_file(&file, Duration::ZERO).await;
        Ok(())
    }

    async fn key(&self, caller: &Caller, store_id: &str, file_id: &str) -> Result<StoreFileKey, Error> {
        let store = find_store(&self.stores, caller, store_id).await?;
        let file = files::key(&caller.project.id, file_id).map_err(|_| absent(file_id))?;
        Ok(StoreFileKey { store: store.key, file_id: file.file_id })
    }
}

/// A file as it is attached. `before`: the record that it takes the place of.
fn new_file(
    key: StoreFileKey,
    file: File,
    attach: &AttachFile,
    before: Option<&StoreFile>,
    now: Timestamp,
) -> StoreFile {
    StoreFile {
        key,
        filename: file.filename,
        created_at: now,
        expires_at: file.expires_at,
        status: FileStatus::InProgress,
        problem: None,
        attributes: attach.attributes.clone(),
        chunking: attach.chunking,
        usage_bytes: 0,
        live: None,
        chunks: 0,
        generation: before.map_or(0, |before| before.generation) + 1,
        begun_at: now,
        api_key_id: String::new(),
        fence: before.map_or(0, |before| before.fence),
        due_at: Some(now.plus_ms(LOST_AFTER_MS)),
        detached_at: None,
        traceparent: current_traceparent(),
    }
}

fn absent(file_id: &str) -> Error {
    Error::not_found("file in this vector store", file_id)
}

pub(super) fn expired(store: &VectorStore) -> Invalid {
    let message = format!(
        "The vector store '{}' has expired: its files are not in it any more. Make another one.",
        store.key.store_id
    );
    Invalid { message, param: Some("vector_store_id".to_owned()), code: Some("vector_store_expired") }
}
