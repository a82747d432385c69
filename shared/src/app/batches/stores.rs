//! The stores that the workers of batches read and write.

use crate::data::{ApiKeys, BatchParts, BatchRecords, BatchResults, FileRecords, ProjectRecords, Stores};

/// Those of all workers of a process. Clones share their clients.
#[derive(Clone)]
pub(in crate::app) struct BatchStores {
    pub(super) batches: BatchRecords,
    pub(super) parts: BatchParts,
    pub(super) results: BatchResults,
    pub(super) files: FileRecords,
    pub(super) projects: ProjectRecords,
    pub(super) api_keys: ApiKeys,
}

impl BatchStores {
    pub(in crate::app) fn new(stores: &Stores) -> Self {
        Self {
            batches: stores.batches(),
            parts: stores.batch_parts(),
            results: stores.batch_results(),
            files: stores.files(),
            projects: stores.projects(),
            api_keys: stores.api_keys(),
        }
    }
}
