//! The due index: every item with work left to do has a `due_at` and lies in one of a few partitions.
//!
//! No other schedule exists. An entry only names an item; the sweeper reads the item to decide on the work.

use sha2::{Digest as _, Sha256};

use super::conversations::ConversationKey;
use super::error::StoreError;
use super::item::{Item, Reader, number, text};
use super::keys::{
    BATCHES_PREFIX, CONVERSATION_PREFIX, DELIVERY_PREFIX, FILES_PREFIX, PROJECT_PREFIX, RESPONSE_ERASURE,
    RESPONSE_PREFIX, UPLOADS_PREFIX, VECTOR_STORE_PREFIX, VECTOR_STORES_PREFIX, WORK_PREFIX, meter_parts,
};
use super::project_work::{WorkKey, WorkKind};
use super::table::Table;
use crate::model::batch::BatchKey;
use crate::model::clock::Timestamp;
use crate::model::file::FileKey;
use crate::model::message::{DeliveryKey, ResponseKey};
use crate::model::meter::MeterKey;
use crate::model::upload::UploadKey;
use crate::model::vector_store::{StoreFileKey, VectorStoreKey};

/// Partitions of the due index: several, because one takes a limited number of writes per second.
pub const DUE_SHARDS: u8 = 4;

/// The entries of a shard that one sweep handles. The next sweep continues after them.
const MAX_ENTRIES: i32 = 1_000;

/// The furthest that an entry is ahead when it is written: deliveries wait for a day and some hours.
pub const LONGEST_DUE_MS: u64 = 36 * 3_600_000;

/// An entry that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// The lease of a reservation may have ended.
    Meter(MeterKey),
    /// A response waits for a worker, or its worker may have died, or work after its end was not done.
    Response(ResponseKey),
    /// A deletion of a response may have left something.
    Erasure(ResponseKey),
    /// A deletion of a conversation did not end.
    Conversation(ConversationKey),
    /// A file was not completed, has expired, or its deletion did not end.
    File(FileKey),
    /// An upload has expired, or something may be left of one that ended.
    Upload(UploadKey),
    /// The next step of a batch.
    Batch(BatchKey),
    /// A vector store was deleted, or may have expired.
    VectorStore(VectorStoreKey),
    /// A file of a vector store is to be ingested, or chunks of it to be deleted.
    StoreFile(StoreFileKey),
    /// The next attempt of a delivery.
    Delivery(DeliveryKey),
    /// The next step of work on a whole project.
    Project(WorkKey),
}

/// The index of all items with work left to do.
#[derive(Clone, Debug)]
pub struct DueIndex(pub(super) Table);

impl DueIndex {
    /// Reads the entries of one shard that are due by `now`: those due longest, as many as one sweep can handle. Entries further
    /// ahead than weir sets them are due too: the clock was set back.
    ///
    /// The index follows the table with a delay of moments.
    pub async fn due(&self, due_shard: u8, now: Timestamp) -> Result<Vec<Due>, StoreError> {
        let past = self.query(due_shard, "due_shard = :shard AND due_at <= :time", now);
        let too_far = self.query(due_shard, "due_shard = :shard AND due_at > :time", now.latest_end(LONGEST_DUE_MS));
        let (mut due, too_far) = tokio::try_join!(past, too_far)?;
        due.extend(too_far);
        Ok(due)
    }

    async fn query(&self, due_shard: u8, condition: &str, time: Timestamp) -> Result<Vec<Due>, StoreError> {
        let page = self
            .0
            .client()
            .query()
            .table_name(self.0.name())
            .index_name("due")
            .key_condition_expression(condition)
            .expression_attribute_values(":shard", text(due_shard.to_string()))
            .expression_attribute_values(":time", number(time.0))
            .limit(MAX_ENTRIES)
            .send();
        let answer = Box::pin(page).await.map_err(StoreError::table("query the due index"))?;
        Ok(answer.items.unwrap_or_default().iter().filter_map(read_due).collect())
    }
}

/// Returns the shard of the index that an item belongs to, computed from its name.
pub(super) fn due_shard(name: &str) -> String {
    (Sha256::digest(name.as_bytes())[0] % DUE_SHARDS).to_string()
}

/// Reads an entry from its item's key. Returns `None` for a kind of item that this version does not know.
fn read_due(item: &Item) -> Option<Due> {
    let reader = Reader(item);
    let (pk, sk) = (reader.maybe_text("pk")?, reader.maybe_text("sk")?);
    if let Some(rest) = pk.strip_prefix(RESPONSE_PREFIX) {
        let (project_id, response_id) = rest.split_once('#')?;
        let key = ResponseKey { project_id: project_id.to_owned(), response_id: response_id.to_owned() };
        return Some(if sk == RESPONSE_ERASURE { Due::Erasure(key) } else { Due::Response(key) });
    }
    if let Some(rest) = pk.strip_prefix(CONVERSATION_PREFIX) {
        let (project_id, conversation_id) = rest.split_once('#')?;
        let (project_id, conversation_id) = (project_id.to_owned(), conversation_id.to_owned());
        return Some(Due::Conversation(ConversationKey { project_id, conversation_id }));
    }
    if let Some(project_id) = pk.strip_prefix(FILES_PREFIX) {
        return Some(Due::File(FileKey { project_id: project_id.to_owned(), file_id: sk }));
    }
    if let Some(project_id) = pk.strip_prefix(UPLOADS_PREFIX) {
        return Some(Due::Upload(UploadKey { project_id: project_id.to_owned(), upload_id: sk }));
    }
    if let Some(project_id) = pk.strip_prefix(BATCHES_PREFIX) {
        return Some(Due::Batch(BatchKey { project_id: project_id.to_owned(), batch_id: sk }));
    }
    if let Some(project_id) = pk.strip_prefix(VECTOR_STORES_PREFIX) {
        return Some(Due::VectorStore(VectorStoreKey { project_id: project_id.to_owned(), store_id: sk }));
    }
    if let Some(rest) = pk.strip_prefix(VECTOR_STORE_PREFIX) {
        let (project_id, store_id) = rest.split_once('#')?;
        let store = VectorStoreKey { project_id: project_id.to_owned(), store_id: store_id.to_owned() };
        return Some(Due::StoreFile(StoreFileKey { store, file_id: sk }));
    }
    if let Some(rest) = pk.strip_prefix(DELIVERY_PREFIX) {
        let (project_id, endpoint_id) = rest.split_once('#')?;
        let (project_id, endpoint_id) = (project_id.to_owned(), endpoint_id.to_owned());
        return Some(Due::Delivery(DeliveryKey { project_id, endpoint_id, delivery_id: sk }));
    }
    if let Some(project_id) = pk.strip_prefix(PROJECT_PREFIX) {
        let kind = WorkKind::parse(sk.strip_prefix(WORK_PREFIX)?)?;
        return Some(Due::Project(WorkKey { project_id: project_id.to_owned(), kind }));
    }
    meter_parts(&pk, &sk).map(Due::Meter)
}
