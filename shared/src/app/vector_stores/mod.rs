//! Vector stores: made, read, changed and deleted; their files are in [`StoreFiles`], and [`VectorSearch`] searches them.

mod embed;
mod files;
mod search;
mod worker;

use std::sync::Arc;

use super::admission::Admission;
use super::error::Error;
use super::files::{due_of, require_retention};
use super::generation::LOST_AFTER_MS;
use super::idempotency::{CreationKeys, Made, gone};
use super::models::Models;
use super::pipeline::CallOptions;
use super::worker_queues::WorkerQueues;
use crate::data::{ListQuery, StoreChange, VectorStoreRecords};
use crate::dialects::openai_vector_stores::{AttachFile, CreateVectorStore, UpdateVectorStore};
use crate::model::clock::{Clock, Timestamp};
use crate::model::id;
use crate::model::page::Page;
use crate::model::patch::Patch;
use crate::model::project::Caller;
use crate::model::vector_store::{
    Attributes, FileCounts, ID_PREFIX, StoreFile, StoreStatus, VectorStore, VectorStoreKey,
};

pub(super) use embed::Embedder;
use files::expired;

pub use files::StoreFiles;
pub use search::{SearchAnswer, SearchResult, VectorSearch};
pub use worker::IngestWorker;

/// Operations on the vector stores of a project.
pub struct VectorStores {
    pub(super) records: VectorStoreRecords,
    pub(super) files: Arc<StoreFiles>,
    pub(super) creations: CreationKeys,
    pub(super) admission: Arc<Admission>,
    pub(super) models: Arc<Models>,
    pub(super) queues: WorkerQueues,
    pub(super) clock: Clock,
}

impl VectorStores {
    /// Makes a store and attaches files to it. A worker ingests them. A repeated request gets the store that the first one made.
    ///
    /// # Errors
    /// `Refused` by a limit of requests per minute; `Invalid` if the project keeps nothing; `NotFound` if it does not have one of the files;
    /// `NoModels`, `UnknownModel` or `Forbidden` if nothing embeds for this caller; `StorageFull`; `KeyReused`; `MadeAndGone`.
    pub async fn create(
        &self,
        caller: &Caller,
        create: CreateVectorStore,
        options: &CallOptions,
    ) -> Result<Made<VectorStore>, Error> {
        require_retention(&caller.project.policy)?;
        let key = options.idempotency_key.as_deref();
        let by = CreationKeys::plan(&caller.project, "/vector_stores", key, options.retry_count, &create.object);
        if let Some(store_id) = self.creations.find(by.as_ref()).await? {
            return self.made_before(caller, &store_id, &create).await;
        }
        self.admission.count(caller).await?;
        let now = self.clock.now();
        let key = VectorStoreKey { project_id: caller.project.id.clone(), store_id: id::new_ordered(ID_PREFIX, now) };
        for file_id in &create.file_ids {
            self.files.find_file(caller, file_id).await?;
        }
        let store = VectorStore {
            key,
            name: create.name.clone(),
            description: create.description.clone(),
            metadata: create.metadata.clone(),
            created_at: now,
            last_active_at: now,
            expires_after_days: create.expires_after_days,
            embedding_model: self.embedding_model(caller).await?,
            counts: FileCounts::default(),
            usage_bytes: 0,
            has_expired: false,
        };
        let due_at = store.expires_at().map(|expires_at| due_of(expires_at, now));
        let outcome = self.records.create(&store, by.as_ref(), due_at).await?;
        if let Some(store_id) = CreationKeys::earlier(outcome, by.as_ref())? {
            return self.made_before(caller, &store_id, &create).await;
        }
        for file_id in &create.file_ids {
            self.attach(caller, &store, &create, file_id).await?;
        }
        self.get(caller, &store.key.store_id).await.map(Made::now)
    }

    /// The store of an earlier request, which may have died before all files were attached.
    async fn made_before(
        &self,
        caller: &Caller,
        store_id: &str,
        create: &CreateVectorStore,
    ) -> Result<Made<VectorStore>, Error> {
        let store = self.get(caller, store_id).await.map_err(gone)?;
        for file_id in &create.file_ids {
            // What the client did with a file since then stays.
            if !self.files.is_known(&store, file_id).await? {
                match self.attach(caller, &store, create, file_id).await {
                    Ok(_) | Err(Error::NotFound { .. } | Error::Invalid(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        self.get(caller, store_id).await.map(Made::before).map_err(gone)
    }

    async fn attach(
        &self,
        caller: &Caller,
        store: &VectorStore,
        create: &CreateVectorStore,
        file_id: &str,
    ) -> Result<StoreFile, Error> {
        let (file_id, attributes) = (file_id.to_owned(), Attributes::default());
        self.files.attach_to(caller, store, AttachFile { file_id, attributes, chunking: create.chunking }).await
    }

    /// The model that embeds new stores, if the caller may call it.
    async fn embedding_model(&self, caller: &Caller) -> Result<String, Error> {
        let served = self.models.current().await?;
        let model = served.catalog.embedding_model().ok_or_else(no_embedding_model)?;
        Ok(served.model_for(caller, &model.name)?.name.clone())
    }

    /// Returns a store.
    ///
    /// # Errors
    /// `NotFound` if the caller's project has no store with that id.
    pub async fn get(&self, caller: &Caller, store_id: &str) -> Result<VectorStore, Error> {
        find_store(&self.records, caller, store_id).await
    }

    /// The status and the expiry of stores are of this time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns a page of the caller's stores.
    ///
    /// # Errors
    /// Only those of all operations.
    pub async fn list(&self, caller: &Caller, query: &ListQuery) -> Result<Page<VectorStore>, Error> {
        Ok(self.records.list(&caller.project.id, query).await?)
    }

    /// Changes a store.
    ///
    /// # Errors
    /// The same as [`VectorStores::get`]; `Invalid` if it has expired.
    pub async fn change(
        &self,
        caller: &Caller,
        store_id: &str,
        update: UpdateVectorStore,
    ) -> Result<VectorStore, Error> {
        let store = self.get(caller, store_id).await?;
        if store.status(self.clock.now()) == StoreStatus::Expired {
            return Err(expired(&store).into());
        }
        let key = store.key;
        let change = StoreChange {
            name: update.name,
            metadata: update.metadata.map(|metadata| String::from_utf8_lossy(&metadata.to_bytes()).into_owned()),
            expires_after_days: match update.expires_after_days {
                Patch::Keep => None,
                Patch::Clear => Some(None),
                Patch::Set(days) => Some(Some(days)),
            },
        };
        self.records.change(&key, &change, self.clock.now()).await?.ok_or_else(|| not_found(store_id))
    }

    /// Deletes a store, with the chunks of its files. The files themselves stay.
    ///
    /// # Errors
    /// The same as [`VectorStores::get`]. A worker ends a deletion that has begun.
    pub async fn delete(&self, caller: &Caller, store_id: &str) -> Result<(), Error> {
        let key = key(caller, store_id)?;
        let due_at = self.clock.now().plus_ms(LOST_AFTER_MS);
        if !self.records.delete(&key, due_at).await?.is_written() {
            return Err(not_found(store_id));
        }
        self.queues.wake_for_store(&key).await;
        Ok(())
    }
}

async fn find_store(records: &VectorStoreRecords, caller: &Caller, store_id: &str) -> Result<VectorStore, Error> {
    records.get(&key(caller, store_id)?).await?.ok_or_else(|| not_found(store_id))
}

fn no_embedding_model() -> Error {
    Error::NoModels("no model of the kind \"embedding\" is served for vector stores; name one in `vector_stores.embedding_models` of the models file".to_owned())
}

fn not_found(store_id: &str) -> Error {
    Error::not_found("vector store", store_id)
}

/// The key of a store. Text that cannot be an id is refused, because ids become part of a table key.
fn key(caller: &Caller, store_id: &str) -> Result<VectorStoreKey, Error> {
    let is_id =
        store_id.strip_prefix(ID_PREFIX).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    if !is_id || store_id.len() > id::MAX_LENGTH {
        return Err(not_found(store_id));
    }
    Ok(VectorStoreKey { project_id: caller.project.id.clone(), store_id: store_id.to_owned() })
}
