//! Vector stores: files cut into chunks, which are found by their meaning and by their words.

mod attributes;
mod file;
mod filter;
mod lexical;

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;
use super::object::Object;
use super::retention::DAY_SECONDS;

pub use attributes::{AttributeValue, Attributes};
pub use file::{ChunkingStrategy, FileProblem, FileStatus, ProblemCode, StoreFile, StoreFileKey};
pub use filter::{Comparison, Filter};
pub use lexical::{Query, lexical_vector};

/// Begins the ids of vector stores.
pub const ID_PREFIX: &str = "vs_";

/// The numbers of each vector in the table's index. `template.yaml` and the embedded table have the same.
pub const DIMENSIONS: usize = 1_024;

/// The most files that one request attaches: OpenAI's limit for a new store.
pub const MAX_ATTACHED: usize = 500;

/// The key of a vector store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VectorStoreKey {
    pub project_id: String,
    /// Ids of later stores sort after those of earlier ones.
    pub store_id: String,
}

/// The work of the worker of vector stores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestWork {
    #[serde(flatten)]
    pub key: VectorStoreKey,
    /// The file to work on; `None`: the whole store is to be emptied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_id: Option<String>,
}

/// A vector store.
#[derive(Debug, Clone)]
pub struct VectorStore {
    pub key: VectorStoreKey,
    pub name: String,
    pub description: Option<String>,
    pub metadata: Object,
    pub created_at: Timestamp,
    /// The last change or search, to the hour.
    pub last_active_at: Timestamp,
    /// Days after the last activity on which the store expires; `None`: it does not.
    pub expires_after_days: Option<u64>,
    /// The model that embeds its chunks and its queries. All vectors of a store must be of one model.
    pub embedding_model: String,
    pub counts: FileCounts,
    /// Of the chunks of its files.
    pub usage_bytes: u64,
    /// Its files are being detached, because it has expired. Nothing revives it.
    pub has_expired: bool,
}

/// The files of a store by their status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct FileCounts {
    pub in_progress: u64,
    pub completed: u64,
    pub failed: u64,
    pub cancelled: u64,
    pub total: u64,
}

impl VectorStore {
    /// When the store expires; `None`: it does not.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_after_days.map(|days| self.last_active_at.plus_ms(days * DAY_SECONDS * 1_000))
    }

    /// The status at a time.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> StoreStatus {
        if self.has_expired || self.expires_at().is_some_and(|expires_at| expires_at <= now) {
            StoreStatus::Expired
        } else if self.counts.in_progress > 0 {
            StoreStatus::InProgress
        } else {
            StoreStatus::Completed
        }
    }
}

/// Whether a store can be searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreStatus {
    /// It cannot be searched any more, and its files are not in it.
    Expired,
    /// Some of its files are not searched yet.
    InProgress,
    Completed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_the_store_or_one_of_its_files() {
        let key = VectorStoreKey { project_id: "proj_1".into(), store_id: "vs_1".into() };
        let json = |file_id| serde_json::to_string(&IngestWork { key: key.clone(), file_id }).unwrap();
        assert_eq!(json(None), r#"{"project_id":"proj_1","store_id":"vs_1"}"#);
        assert_eq!(json(Some("file-1".into())), r#"{"project_id":"proj_1","store_id":"vs_1","file_id":"file-1"}"#);
    }
}
