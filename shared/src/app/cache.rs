//! The exact cache: the same request of the same project gets the same answer again.

use bytes::Bytes;

use crate::data::{CacheEntries, CacheEntry, StoreError};
use crate::dialects::ContentType;
use crate::model::clock::Clock;
use crate::model::error_chain::ErrorChain;
use crate::model::id::Fingerprint;
use crate::model::project::Project;

/// The wishes of a request's `Cache-Control` header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheControl {
    /// Do not answer from the cache.
    pub no_cache: bool,
    /// Do not put the answer into the cache.
    pub no_store: bool,
    /// Do not answer with an entry that is older than this many seconds.
    pub max_age: Option<u64>,
}

/// How the cache was used, for `x-weir-cache`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CacheOutcome {
    Hit,
    Miss,
    /// The project has no cache, or the request did not want it.
    #[default]
    Off,
}

impl CacheOutcome {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Off => "off",
        }
    }
}

/// How one request uses the cache.
#[derive(Debug, Clone)]
pub(super) struct CachePlan {
    request: Fingerprint,
    control: CacheControl,
    ttl_seconds: u64,
}

impl CachePlan {
    /// `None` if the project has no cache, or keeps nothing.
    pub(super) fn new(
        project: &Project,
        control: CacheControl,
        fingerprint: impl FnOnce() -> Fingerprint,
    ) -> Option<Self> {
        let ttl_seconds = project.policy.cache_ttl_seconds?.min(project.policy.kept_seconds());
        if ttl_seconds == 0 {
            return None;
        }
        Some(Self { request: fingerprint(), control, ttl_seconds })
    }
}

/// Answers requests that were answered before.
pub(super) struct ResponseCache {
    entries: CacheEntries,
    clock: Clock,
}

impl ResponseCache {
    pub(super) fn new(entries: CacheEntries, clock: Clock) -> Self {
        Self { entries, clock }
    }

    /// Looks a request up. A cache that fails is a miss: the provider can still answer.
    pub(super) async fn look_up(
        &self,
        project_id: &str,
        plan: Option<&CachePlan>,
    ) -> (CacheOutcome, Option<CacheEntry>) {
        let Some(plan) = plan.filter(|plan| !plan.control.no_cache) else {
            return (CacheOutcome::Off, None);
        };
        let now = self.clock.now();
        let is_fresh = |entry: &CacheEntry| {
            let age = entry.stored_at.until(now) / 1_000;
            plan.control.max_age.is_none_or(|max| age < max.max(1) && max > 0)
        };
        match self.entries.get(project_id, &plan.request, now).await {
            Ok(Some(entry)) if is_fresh(&entry) => (CacheOutcome::Hit, Some(entry)),
            Ok(_) => (CacheOutcome::Miss, None),
            Err(error) => {
                tracing::warn!(error = %ErrorChain(&error), "cache look-up failed");
                (CacheOutcome::Miss, None)
            }
        }
    }

    /// Stores a complete, successful answer where the project and the request allow it. A failure costs a hit later,
    /// nothing else.
    pub(super) async fn store(
        &self,
        project_id: &str,
        plan: Option<&CachePlan>,
        content_type: ContentType,
        body: Bytes,
    ) {
        let Some(plan) = plan.filter(|plan| !plan.control.no_store) else { return };
        if let Err(error) = self.put(project_id, plan, content_type, body).await {
            tracing::warn!(error = %ErrorChain(&error), "answer not cached");
        }
    }

    async fn put(
        &self,
        project_id: &str,
        plan: &CachePlan,
        content_type: ContentType,
        body: Bytes,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let expires_at = now.seconds() + plan.ttl_seconds;
        let entry = CacheEntry { content_type: content_type.name().to_owned(), body, stored_at: now, expires_at };
        self.entries.put(project_id, &plan.request, entry).await
    }
}
