//! The memory for contents of files in a process: many calls at once would not fit into that of `weir serve`.

use std::convert::Infallible;
use std::sync::Arc;

use quick_cache::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::file::MAX_INPUT_BYTES;

/// The bytes of all files that the calls of a process have in memory at the same time.
const MAX_BYTES: u64 = 2 * MAX_INPUT_BYTES;

/// The bytes of the files that the calls of one project have: no project takes the memory of all others.
const MAX_PROJECT_BYTES: u64 = MAX_INPUT_BYTES;

/// Projects whose share is remembered. If one is forgotten while it is used, its calls have two shares; the bound of all holds.
const MOST_PROJECTS: usize = 4_096;

/// Shares the memory among the calls of all projects.
#[derive(Clone)]
pub(super) struct FileMemory {
    all: Arc<Semaphore>,
    of_projects: Arc<Cache<String, Arc<Semaphore>>>,
}

/// The part of the memory that the files of one call have, until it is dropped.
pub(in crate::app) struct Room(
    #[expect(dead_code, reason = "it gives its permits back when it is dropped")] Option<[OwnedSemaphorePermit; 2]>,
);

impl FileMemory {
    pub(super) fn new() -> Self {
        Self { all: semaphore(MAX_BYTES), of_projects: Arc::new(Cache::new(MOST_PROJECTS)) }
    }

    /// Waits until there is room for so many bytes, at most [`MAX_INPUT_BYTES`].
    pub(super) async fn room(&self, project_id: &str, bytes: u64) -> Room {
        let permits = permits(bytes);
        if permits == 0 {
            return Room(None);
        }
        // A call that waits for its own project keeps nobody else waiting. The semaphores are never closed.
        let Ok(own) = self.of_project(project_id).acquire_many_owned(permits).await else { return Room(None) };
        Room(Arc::clone(&self.all).acquire_many_owned(permits).await.ok().map(|held| [own, held]))
    }

    /// Room for so many bytes. `None`: other calls have it.
    pub(super) fn try_room(&self, project_id: &str, bytes: u64) -> Option<Room> {
        let permits = permits(bytes);
        if permits == 0 {
            return Some(Room(None));
        }
        let own = self.of_project(project_id).try_acquire_many_owned(permits).ok()?;
        Arc::clone(&self.all).try_acquire_many_owned(permits).ok().map(|held| Room(Some([own, held])))
    }

    fn of_project(&self, project_id: &str) -> Arc<Semaphore> {
        let made =
            self.of_projects.get_or_insert_with(project_id, || Ok::<_, Infallible>(semaphore(MAX_PROJECT_BYTES)));
        made.unwrap_or_else(|never| match never {})
    }
}

fn semaphore(bytes: u64) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(usize::try_from(bytes).unwrap_or(usize::MAX)))
}

/// One for each byte.
fn permits(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_project_waits_for_itself_and_all_wait_for_the_process() {
        let memory = FileMemory::new();
        let first = memory.room("a", MAX_INPUT_BYTES).await;
        assert!(memory.try_room("a", 1).is_none());
        let mut second = Box::pin(memory.room("a", MAX_INPUT_BYTES));
        assert!(second.as_mut().now_or_never().is_none(), "it waits for the first");
        let other = memory.try_room("b", MAX_INPUT_BYTES).expect("a project that waits takes nothing");
        assert!(memory.try_room("c", 1).is_none(), "the process has no more");
        assert!(memory.try_room("c", 0).is_some());
        drop(other);
        assert!(memory.try_room("c", 1).is_some());
        drop(first);
        second.await;
    }
}
