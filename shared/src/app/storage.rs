//! How much each project stores, and that it is no more than it may.

use super::error::Error;
use crate::data::{StoredCounters, Stores};
use crate::model::clock::Clock;
use crate::model::project::Project;
use crate::model::storage::Stored;

/// Sums up what projects store, and refuses requests that would store too much.
#[derive(Clone)]
pub(super) struct Storage {
    counters: StoredCounters,
    clock: Clock,
}

impl Storage {
    pub(super) fn new(stores: &Stores, clock: Clock) -> Self {
        Self { counters: stores.stored(), clock }
    }

    /// What a project stores.
    pub(super) async fn of(&self, project_id: &str) -> Result<Stored, Error> {
        Ok(self.counters.sum(project_id, self.clock.now()).await?)
    }

    /// Checks that a project may store more. Requests that are checked at the same moment do not see each other: together they
    /// can pass the limit, by the bytes that they store.
    ///
    /// # Errors
    /// `StorageFull` if the project may not.
    pub(super) async fn require_room(&self, project: &Project, more: Stored) -> Result<(), Error> {
        let stored = self.of(&project.id).await?;
        Ok(project.storage_limits().check(&project.id, stored, more)?)
    }
}
