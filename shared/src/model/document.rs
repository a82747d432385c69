//! Documents: files that are cut into passages to be searched.

use std::time::Duration;

use async_trait::async_trait;

use super::vector_store::{ChunkingStrategy, FileProblem};

/// A part of a document's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// The place of its first byte in the text of the document.
    pub start: u64,
    pub text: String,
    /// The headings that it stands under, a line each. They are embedded with it.
    pub context: String,
}

/// Reads documents of all types that can be searched.
#[async_trait]
pub trait DocumentReader: Send + Sync {
    /// Cuts the text of a file into passages. Other work of the process goes on meanwhile.
    ///
    /// # Errors
    /// If the file has no text that can be read in this time.
    async fn passages(
        &self,
        filename: String,
        content: Vec<u8>,
        chunking: ChunkingStrategy,
        time: Duration,
    ) -> Result<Vec<Passage>, FileProblem>;
}
