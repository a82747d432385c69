//! The exact cache: the same request of the same project gets the same answer again.

use bytes::Bytes;

use super::error::Error;
use super::gateway::Gateway;
use crate::data::CacheEntry;
use crate::model::clock::Timestamp;
use crate::model::id::Fingerprint;
use crate::model::project::Project;

/// What the request's `Cache-Control` header asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheControl {
    /// Do not answer from the cache.
    pub no_cache: bool,
    /// Do not put the answer into the cache.
    pub no_store: bool,
    /// Do not answer with what is older than this many seconds.
    pub max_age: Option<u64>,
}

impl CacheControl {
    /// Reads the header; directives that a request to weir gives no meaning are passed over.
    ///
    /// ```
    /// # use shared::app::CacheControl;
    /// assert_eq!(CacheControl::parse("no-store, max-age=60"), CacheControl { no_store: true, max_age: Some(60), ..Default::default() });
    /// ```
    #[must_use]
    pub fn parse(header: &str) -> Self {
        let mut control = Self::default();
        for directive in header.split(',').map(|directive| directive.trim().to_ascii_lowercase()) {
            match directive.split_once('=') {
                None if directive == "no-cache" => control.no_cache = true,
                None if directive == "no-store" => control.no_store = true,
                Some(("max-age", seconds)) => control.max_age = seconds.trim_matches('"').parse().ok(),
                _ => {}
            }
        }
        control
    }
}

/// What the cache did, for `x-weir-cache`.
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
    /// `None` if the project has no cache.
    pub(super) fn new(
        project: &Project,
        control: CacheControl,
        fingerprint: impl FnOnce() -> Fingerprint,
    ) -> Option<Self> {
        let ttl_seconds = project.policy.cache_ttl_seconds.filter(|&ttl| ttl > 0)?;
        Some(Self { request: fingerprint(), control, ttl_seconds })
    }
}

impl Gateway {
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
        let fresh = |entry: &CacheEntry| {
            let age = entry.stored_at.until(now) / 1_000;
            plan.control.max_age.is_none_or(|max| age < max.max(1) && max > 0)
        };
        match self.stores.cached(project_id, &plan.request, now).await {
            Ok(Some(entry)) if fresh(&entry) => (CacheOutcome::Hit, Some(entry)),
            Ok(_) => (CacheOutcome::Miss, None),
            Err(error) => {
                tracing::warn!(error = %super::dispatch::ErrorChain(&error), "cache look-up failed");
                (CacheOutcome::Miss, None)
            }
        }
    }

    /// Stores a complete, successful answer where the project and the request allow it.
    pub(super) async fn remember(
        &self,
        project_id: &str,
        plan: Option<&CachePlan>,
        content_type: &str,
        body: Bytes,
    ) -> Result<(), Error> {
        let Some(plan) = plan.filter(|plan| !plan.control.no_store) else { return Ok(()) };
        let now: Timestamp = self.clock.now();
        let expires_at = now.seconds() + plan.ttl_seconds;
        let entry = CacheEntry { content_type: content_type.to_owned(), body, stored_at: now, expires_at };
        Ok(self.stores.put_cached(project_id, &plan.request, entry).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_directives_that_a_request_can_give() {
        let control = CacheControl::parse("No-Cache , foo=1, max-age=\"5\"");
        assert_eq!(control, CacheControl { no_cache: true, no_store: false, max_age: Some(5) });
        assert_eq!(CacheControl::parse(""), CacheControl::default());
    }
}
