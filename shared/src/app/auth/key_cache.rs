//! What a process remembers of API keys. It only saves reads.

use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;

use crate::model::clock::Timestamp;
use crate::model::id::Fingerprint;
use crate::model::project::Caller;

/// Lifetime of a cache entry. A revoked key works for this long in a process that has cached it.
///
/// This state in the process is a deliberate exception: it saves one round trip in almost every request.
const MAX_AGE_MS: u64 = 30_000;

const CAPACITY: usize = 10_000;
/// Keys that are remembered as absent.
const ABSENT_CAPACITY: usize = 1_000;

/// Callers by the hash of their key, each with the time at which it was read from the table, and keys that were not there.
pub(super) struct KeyCache {
    callers: Cache<Fingerprint, (Timestamp, Caller)>,
    absent: Cache<Fingerprint, Timestamp>,
    /// Grows with each call of `forget_project`.
    generation: AtomicU64,
}

impl KeyCache {
    pub(super) fn new() -> Self {
        Self { callers: Cache::new(CAPACITY), absent: Cache::new(ABSENT_CAPACITY), generation: AtomicU64::new(0) }
    }

    pub(super) fn get(&self, hash: &Fingerprint, now: Timestamp) -> Option<Caller> {
        let (read_at, caller) = self.callers.get(hash)?;
        // In either direction: a clock that is set back must not make a revoked key work for longer.
        (read_at.apart(now) < MAX_AGE_MS).then_some(caller)
    }

    /// Whether the table did not have the key. No key comes back, because its text is drawn by chance.
    pub(super) fn is_absent(&self, hash: &Fingerprint, now: Timestamp) -> bool {
        self.absent.get(hash).is_some_and(|read_at| read_at.apart(now) < MAX_AGE_MS)
    }

    pub(super) fn insert_absent(&self, hash: Fingerprint, read_at: Timestamp) {
        self.absent.insert(hash, read_at);
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Adds a caller that was read while the cache had `generation`.
    ///
    /// If a project was forgotten since then, the caller may be outdated, and it does not stay in the cache. It is
    /// inserted first and checked afterwards: a check before the insertion could miss a change between the two.
    pub(super) fn insert(&self, hash: Fingerprint, read_at: Timestamp, caller: Caller, generation: u64) {
        self.callers.insert(hash.clone(), (read_at, caller));
        if self.generation() != generation {
            self.callers.remove(&hash);
        }
    }

    pub(super) fn forget_project(&self, project_id: &str) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.callers.retain(|_, (_, caller)| caller.project.id != project_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::key_rights::KeyRights;
    use crate::model::project::{KeyLimits, Limits, Policy, Project};

    const READ_AT: Timestamp = Timestamp(1_767_225_600_000);

    fn caller() -> Caller {
        let project = Project {
            id: "proj_1".into(),
            name: "Team".into(),
            created_at: 7,
            archived_at: None,
            purge: None,
            limits: Limits::default(),
            revision: 1,
            policy: Policy::default(),
        };
        let key = KeyLimits { hash: hash(), limits: Limits::default(), revision: 1 };
        Caller { project, api_key_id: "key_1".into(), key, rights: KeyRights::default() }
    }

    fn hash() -> Fingerprint {
        Fingerprint::of([b"key".as_slice()])
    }

    #[test]
    fn a_cached_key_expires_after_30_seconds() {
        let cache = KeyCache::new();
        cache.insert(hash(), READ_AT, caller(), cache.generation());
        assert_eq!(cache.get(&hash(), READ_AT.plus_ms(29_999)), Some(caller()));
        assert_eq!(cache.get(&hash(), READ_AT.plus_ms(30_000)), None);
        assert_eq!(cache.get(&hash(), Timestamp(READ_AT.0 - 30_000)), None, "the clock was set back");
    }

    #[test]
    fn an_absent_key_is_looked_for_again_after_30_seconds() {
        let cache = KeyCache::new();
        cache.insert_absent(hash(), READ_AT);
        assert!(cache.is_absent(&hash(), READ_AT.plus_ms(29_999)));
        assert!(!cache.is_absent(&hash(), READ_AT.plus_ms(30_000)));
        for n in 0..5_000_u32 {
            cache.insert_absent(Fingerprint::of([n.to_le_bytes().as_slice()]), READ_AT);
        }
        assert!(cache.absent.len() <= ABSENT_CAPACITY);
    }

    #[test]
    fn forgets_the_keys_of_one_project() {
        let cache = KeyCache::new();
        cache.insert(hash(), READ_AT, caller(), cache.generation());
        cache.forget_project("proj_2");
        assert_eq!(cache.get(&hash(), READ_AT), Some(caller()));
        cache.forget_project("proj_1");
        assert_eq!(cache.get(&hash(), READ_AT), None);
    }

    #[test]
    fn does_not_cache_a_caller_that_was_read_before_its_project_changed() {
        let cache = KeyCache::new();
        let generation = cache.generation();
        cache.forget_project("proj_1");
        cache.insert(hash(), READ_AT, caller(), generation);
        assert_eq!(cache.get(&hash(), READ_AT), None);
    }
}
