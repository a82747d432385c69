//! The files of a vector store.

use serde::{Deserialize, Serialize};

use super::VectorStoreKey;
use super::attributes::Attributes;
use crate::model::clock::Timestamp;
use crate::model::file::FileKey;
use crate::model::invalid::Invalid;

/// The key of a file in a vector store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StoreFileKey {
    pub store: VectorStoreKey,
    pub file_id: String,
}

impl StoreFileKey {
    /// The file itself.
    #[must_use]
    pub fn file(&self) -> FileKey {
        FileKey { project_id: self.store.project_id.clone(), file_id: self.file_id.clone() }
    }
}

/// A file that is in a vector store, or on its way into it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoreFile {
    pub key: StoreFileKey,
    pub filename: String,
    pub created_at: Timestamp,
    /// When the file itself expires, in Unix seconds.
    pub expires_at: Option<u64>,
    pub status: FileStatus,
    pub problem: Option<FileProblem>,
    pub attributes: Attributes,
    pub chunking: ChunkingStrategy,
    /// Of the texts of its chunks that are searched.
    pub usage_bytes: u64,
    /// The generation of chunks that is searched; `None`: none yet. Each ingestion makes a generation.
    pub live: Option<u32>,
    /// How many chunks that generation has.
    pub chunks: u32,
    /// The newest generation. One that is not live is being made, or was given up.
    pub generation: u32,
    /// When that generation was begun.
    pub begun_at: Timestamp,
    /// The key that pays for embedding its chunks.
    pub api_key_id: String,
    /// Of the worker that took it up last.
    pub fence: u64,
    pub due_at: Option<Timestamp>,
    /// When it was detached. It is not in the store any more, and its chunks are being deleted.
    pub detached_at: Option<Timestamp>,
    pub traceparent: Option<String>,
}

impl StoreFile {
    /// Whether it is not in the store any more.
    #[must_use]
    pub fn is_detached(&self) -> bool {
        self.detached_at.is_some()
    }
}

/// How far a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileStatus {
    InProgress,
    Completed,
    Failed,
    Cancelled,
}

impl FileStatus {
    pub const ALL: [Self; 4] = [Self::InProgress, Self::Completed, Self::Failed, Self::Cancelled];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// Why a file cannot be searched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileProblem {
    pub code: ProblemCode,
    pub message: String,
}

/// OpenAI's codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// The deployment could not do it. Attach the file again later.
    ServerError,
    /// No text can be read from files of this type.
    UnsupportedFile,
    /// The file is broken, empty or too large.
    InvalidFile,
}

/// How a text is cut into chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkingStrategy {
    pub max_chunk_size_tokens: u32,
    pub chunk_overlap_tokens: u32,
}

impl Default for ChunkingStrategy {
    /// OpenAI's.
    fn default() -> Self {
        Self { max_chunk_size_tokens: 800, chunk_overlap_tokens: 400 }
    }
}

impl ChunkingStrategy {
    /// Checks the strategy that a client sends as the member `param`.
    ///
    /// # Errors
    /// If a number is out of its range.
    pub fn check(self, param: &str) -> Result<Self, Invalid> {
        let Self { max_chunk_size_tokens: size, chunk_overlap_tokens: overlap } = self;
        let wrong = |name: &str, message: String| Err(Invalid::field(format!("{param}.static.{name}"), message));
        if !(100..=4_096).contains(&size) {
            return wrong("max_chunk_size_tokens", format!("`max_chunk_size_tokens` is {size}, expected 100 to 4096."));
        }
        if overlap > size / 2 {
            let message = format!(
                "`chunk_overlap_tokens` is {overlap}, expected at most half of `max_chunk_size_tokens`, {}.",
                size / 2
            );
            return wrong("chunk_overlap_tokens", message);
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strategy_is_checked_against_openais_limits() {
        let check = |size, overlap| {
            let strategy = ChunkingStrategy { max_chunk_size_tokens: size, chunk_overlap_tokens: overlap };
            strategy.check("chunking_strategy").map_err(|error| error.param.unwrap())
        };
        for (size, overlap) in [(100, 0), (100, 50), (800, 400), (4_096, 2_048)] {
            assert!(check(size, overlap).is_ok(), "{size} {overlap}");
        }
        for (size, overlap, param) in [
            (99, 0, "chunking_strategy.static.max_chunk_size_tokens"),
            (4_097, 0, "chunking_strategy.static.max_chunk_size_tokens"),
            (101, 51, "chunking_strategy.static.chunk_overlap_tokens"),
        ] {
            assert_eq!(check(size, overlap), Err(param.to_owned()));
        }
    }
}
