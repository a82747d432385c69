//! The stores: the table and the bucket keep everything that must not be lost, and the queues wake workers.
//!
//! Each kind of item has one type, which owns its part of the table. [`Stores`] makes them.

mod admin_keys;
mod api_keys;
mod audit;
mod batches;
mod bodies;
mod breakers;
mod bucket;
mod cache;
mod change;
mod content;
mod conversations;
mod dead_letters;
mod deliveries;
mod due;
mod error;
mod files;
mod idempotency;
mod item;
mod key_checks;
mod keys;
mod last_uses;
mod meters;
mod project_content;
mod project_work;
mod projects;
mod queues;
mod responses;
mod slots;
mod stored;
mod table;
mod uploads;
mod usage_counters;
mod vector_stores;
mod webhook_endpoints;

pub use admin_keys::{ADMIN_OWNER, AdminKeyRecords};
pub use api_keys::ApiKeys;
pub use audit::AuditRecords;
pub use batches::{
    BatchEnd, BatchParts, BatchRecords, BatchResults, CheckedFile, LineResult, LineSummary, NativeWave, PartKey,
    PartRun, PartState, ResultObject, TriedLines,
};
pub use breakers::{BreakerRecords, BreakerState, Probe};
pub use bucket::Bucket;
pub use cache::{CacheEntries, CacheEntry};
pub use change::WriteOutcome;
pub use content::Content;
pub use conversations::{
    AddItemsOutcome, Conversation, ConversationKey, ConversationRecords, History, ItemPage, ItemPageOutcome, ItemQuery,
    NewItem, StoredItem, Turn, UNTIL_DELETED_SECONDS,
};
pub use dead_letters::DeadLetter;
pub use deliveries::{DeliveryRecords, Guard};
pub use due::{DUE_SHARDS, Due, DueIndex, LONGEST_DUE_MS};
pub use error::StoreError;
pub use files::{Deletion, DueFile, FileQuery, FileRecords, FileWriter};
pub use idempotency::{
    ClaimOutcome, ClaimRequest, CreateOutcome, Creation, CreationRecords, IdempotencyRecords, KeyClaim, Lease,
    NewCreation, PartReader, Record, RecordKey, RecordState, StoredAnswer,
};
pub use key_checks::KeyCheckRecord;
pub use last_uses::LastUses;
pub use meters::{
    AdmissionAttempt, AdmitOutcome, CountAttempt, Meters, RunAttempt, SWEEP_INTERVAL_MS, SettleOutcome, WindowChange,
};
pub use project_content::{ErasedPage, ProjectContent, ScanPosition};
pub use project_work::{ProjectWork, WorkKey, WorkKind, WorkRecords};
pub use projects::ProjectRecords;
pub use queues::{MAX_DELAY, Queue, QueueUrls, Queues};
pub use responses::{
    CancelOutcome, CommitOutcome, Erasure, EventReader, JobPage, JobRecords, KeyCompletion, NewResponse, RequeueReason,
    ResponseBody, ResponseEnd, ResponseRecord, ResponseRecords, StoredReservation, StoredResponse,
};
pub use slots::{SlotRecords, TakeOutcome};
pub use stored::StoredCounters;
pub use table::Table;
pub use uploads::{AddedPart, PartWriter, UploadRecords};
pub use usage_counters::UsageCounters;
pub use vector_stores::{
    Chunk, ChunkKey, ChunkRecords, DueStore, Found, IngestEnd, ListQuery, NewChunk, StoreChange, StoreFileRecords,
    VectorStoreRecords,
};
pub use webhook_endpoints::EndpointRecords;

use bodies::Bodies;

/// The stores of one deployment. Cheap to clone, and so is every type that it makes.
#[derive(Clone, Debug)]
pub struct Stores {
    pub table: Table,
    pub bucket: Bucket,
    pub queues: Queues,
}

impl Stores {
    /// Service accounts and their API keys.
    #[must_use]
    pub fn api_keys(&self) -> ApiKeys {
        ApiKeys(self.table.clone())
    }

    /// The secret of the checks of keys.
    #[must_use]
    pub fn key_checks(&self) -> KeyCheckRecord {
        KeyCheckRecord(self.table.clone())
    }

    /// Admin keys.
    #[must_use]
    pub fn admin_keys(&self) -> AdminKeyRecords {
        AdminKeyRecords(self.table.clone())
    }

    /// When keys were last used.
    #[must_use]
    pub fn last_uses(&self) -> LastUses {
        LastUses(self.table.clone())
    }

    #[must_use]
    pub fn audit(&self) -> AuditRecords {
        AuditRecords(self.table.clone())
    }

    #[must_use]
    pub fn projects(&self) -> ProjectRecords {
        ProjectRecords(self.table.clone())
    }

    #[must_use]
    pub fn project_work(&self) -> WorkRecords {
        WorkRecords(self.table.clone())
    }

    #[must_use]
    pub fn project_content(&self) -> ProjectContent {
        ProjectContent { table: self.table.clone(), bucket: self.bucket.clone() }
    }

    #[must_use]
    pub fn meters(&self) -> Meters {
        Meters(self.table.clone())
    }

    /// How much projects store.
    #[must_use]
    pub fn stored(&self) -> StoredCounters {
        StoredCounters(self.table.clone())
    }

    #[must_use]
    pub fn usage_counters(&self) -> UsageCounters {
        UsageCounters(self.table.clone())
    }

    #[must_use]
    pub fn idempotency(&self) -> IdempotencyRecords {
        IdempotencyRecords { table: self.table.clone(), bucket: self.bucket.clone() }
    }

    /// The objects that idempotency keys made.
    #[must_use]
    pub fn creations(&self) -> CreationRecords {
        CreationRecords { table: self.table.clone() }
    }

    #[must_use]
    pub fn cache(&self) -> CacheEntries {
        CacheEntries { table: self.table.clone(), bodies: self.bodies() }
    }

    #[must_use]
    pub fn breakers(&self) -> BreakerRecords {
        BreakerRecords(self.table.clone())
    }

    #[must_use]
    pub fn slots(&self) -> SlotRecords {
        SlotRecords(self.table.clone())
    }

    #[must_use]
    pub fn responses(&self) -> ResponseRecords {
        ResponseRecords { table: self.table.clone(), bodies: self.bodies(), idempotency: self.idempotency() }
    }

    #[must_use]
    pub fn jobs(&self) -> JobRecords {
        JobRecords(self.table.clone())
    }

    #[must_use]
    pub fn conversations(&self) -> ConversationRecords {
        ConversationRecords { table: self.table.clone(), bodies: self.bodies() }
    }

    #[must_use]
    pub fn files(&self) -> FileRecords {
        FileRecords { table: self.table.clone(), bucket: self.bucket.clone() }
    }

    #[must_use]
    pub fn uploads(&self) -> UploadRecords {
        UploadRecords { table: self.table.clone(), bucket: self.bucket.clone(), files: self.files() }
    }

    #[must_use]
    pub fn batches(&self) -> BatchRecords {
        BatchRecords(self.table.clone())
    }

    /// The parts of batches.
    #[must_use]
    pub fn batch_parts(&self) -> BatchParts {
        BatchParts(self.table.clone())
    }

    /// What batches have in the bucket while they run.
    #[must_use]
    pub fn batch_results(&self) -> BatchResults {
        BatchResults(self.bucket.clone())
    }

    #[must_use]
    pub fn vector_stores(&self) -> VectorStoreRecords {
        VectorStoreRecords(self.table.clone())
    }

    /// The files of vector stores.
    #[must_use]
    pub fn store_files(&self) -> StoreFileRecords {
        StoreFileRecords(self.table.clone())
    }

    /// The chunks of files in vector stores.
    #[must_use]
    pub fn chunks(&self) -> ChunkRecords {
        ChunkRecords(self.table.clone())
    }

    #[must_use]
    pub fn webhook_endpoints(&self) -> EndpointRecords {
        EndpointRecords(self.table.clone())
    }

    #[must_use]
    pub fn deliveries(&self) -> DeliveryRecords {
        DeliveryRecords(self.table.clone())
    }

    #[must_use]
    pub fn due(&self) -> DueIndex {
        DueIndex(self.table.clone())
    }

    fn bodies(&self) -> Bodies {
        Bodies(self.bucket.clone())
    }
}
