//! The memory of a worker's process: the requests of the responses that it makes at the same time have a bound together.
//!
//! A request takes several times its bytes while it is read and sent. Ten of the largest would not fit into a function.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::dialects::openai_responses::MAX_CONTEXT_BYTES;

/// The bytes of all requests at the same time: those of the largest context. So a large request runs alone.
const MAX_BYTES: usize = MAX_CONTEXT_BYTES;

/// Shares the memory of a process among the requests of its responses.
#[derive(Clone)]
pub(in crate::app) struct RequestMemory(Arc<Semaphore>);

/// The part of the memory that one request has, until it is dropped.
pub(super) struct Share(
    #[expect(dead_code, reason = "it gives its permits back when it is dropped")] OwnedSemaphorePermit,
);

impl RequestMemory {
    pub(in crate::app) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MAX_BYTES)))
    }

    /// A share for a request of `bytes`. `None`: other requests have the memory.
    pub(super) fn share(&self, bytes: usize) -> Option<Share> {
        let permits = u32::try_from(bytes.min(MAX_BYTES)).unwrap_or(u32::MAX);
        Arc::clone(&self.0).try_acquire_many_owned(permits).ok().map(Share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_requests_share_the_memory_and_a_large_one_has_it_alone() {
        let memory = RequestMemory::new();
        let small: Vec<_> = (0..10).map(|_| memory.share(MAX_BYTES / 20).unwrap()).collect();
        assert!(memory.share(MAX_BYTES * 2).is_none(), "a large one waits until it is alone");
        drop(small);
        let large = memory.share(MAX_BYTES * 2).unwrap();
        assert!(memory.share(1).is_none());
        drop(large);
        assert!(memory.share(1).is_some());
    }
}
