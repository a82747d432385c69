//! Reads files for vector stores without a thread, so that a run is the same each time.

use std::time::Duration;

use async_trait::async_trait;
use shared::model::document::{DocumentReader, Passage};
use shared::model::vector_store::{ChunkingStrategy, FileProblem};

/// Takes a file as one passage.
pub(crate) struct WholeText;

#[async_trait]
impl DocumentReader for WholeText {
    async fn passages(
        &self,
        _: String,
        content: Vec<u8>,
        _: ChunkingStrategy,
        _: Duration,
    ) -> Result<Vec<Passage>, FileProblem> {
        let text = String::from_utf8_lossy(&content).into_owned();
        Ok(vec![Passage { start: 0, text, context: String::new() }])
    }
}
