//! Limits as a meter applies them: how many shards, and which share each has.

use super::{Level, MAX_SHARDS};
use crate::model::project::{DEFAULT_CONCURRENT_REQUESTS, Limits};

/// The limits of one level and the number of shards its meter has for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeterLimits {
    pub level: Level,
    pub limits: Limits,
    /// The number of changes of the limits.
    pub revision: u64,
    pub shards: u8,
}

/// Shards of a project without limits.
const UNLIMITED_SHARDS: u64 = 8;
/// One shard serves about this many requests per minute.
const REQUESTS_PER_SHARD: u64 = 1_000;
/// A shard's share of the tokens per minute is at least this, so that one request does not exceed it.
const TOKENS_PER_SHARD: u64 = 1_000_000;
/// A shard's share of the calls that are open at the same time is at least this, so that few calls need a second try.
const OPEN_PER_SHARD: u64 = 25;
/// A shard's share of the budget is at least this many micro-dollars, so that small budgets need no gathering.
const BUDGET_PER_SHARD: u64 = 25_000_000;

impl MeterLimits {
    #[must_use]
    pub fn new(level: Level, limits: Limits, revision: u64) -> Self {
        let by_requests = limits.requests_per_minute.map_or(UNLIMITED_SHARDS, |max| max.div_ceil(REQUESTS_PER_SHARD));
        let by_tokens = limits.tokens_per_minute.map_or(u64::MAX, |max| max / TOKENS_PER_SHARD);
        let by_open = limits.concurrent_requests.map_or(u64::MAX, |max| max / OPEN_PER_SHARD);
        let by_budget = limits.budget.map_or(u64::MAX, |budget| budget.0 / BUDGET_PER_SHARD);
        let shards = by_requests.min(by_tokens).min(by_open).min(by_budget).clamp(1, u64::from(MAX_SHARDS));
        Self { level, limits, revision, shards: u8::try_from(shards).unwrap_or(1) }
    }

    /// Whether the meter keeps a rate window.
    #[must_use]
    pub fn has_rates(&self) -> bool {
        self.limits.requests_per_minute.is_some() || self.limits.tokens_per_minute.is_some()
    }

    /// Requests per minute of one shard; the shares add up to the limit.
    #[must_use]
    pub fn share_of_requests(&self, shard: u8) -> Option<u64> {
        self.limits.requests_per_minute.map(|max| self.share(max, shard))
    }

    /// Tokens per minute of one shard; the shares add up to the limit.
    #[must_use]
    pub fn share_of_tokens(&self, shard: u8) -> Option<u64> {
        self.limits.tokens_per_minute.map(|max| self.share(max, shard))
    }

    /// Calls that may be open at the same time, of all shards; `None`: no limit.
    #[must_use]
    pub fn concurrent_requests(&self) -> Option<u64> {
        let default = (self.level == Level::Project).then_some(DEFAULT_CONCURRENT_REQUESTS);
        self.limits.concurrent_requests.or(default)
    }

    /// Calls of one shard that may be open at the same time; the shares add up to the limit.
    #[must_use]
    pub fn share_of_concurrent_requests(&self, shard: u8) -> Option<u64> {
        self.concurrent_requests().map(|max| self.share(max, shard))
    }

    fn share(&self, max: u64, shard: u8) -> u64 {
        let shards = u64::from(self.shards);
        max / shards + u64::from(u64::from(shard) < max % shards)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::money::MicroUsd;

    fn limits_of(requests: Option<u64>, tokens: Option<u64>, dollars: Option<u64>) -> MeterLimits {
        let limits = Limits {
            requests_per_minute: requests,
            tokens_per_minute: tokens,
            concurrent_requests: None,
            budget: dollars.map(|dollars| MicroUsd(dollars * 1_000_000)),
        };
        MeterLimits::new(Level::Project, limits, 1)
    }

    #[test]
    fn small_limits_have_one_shard_and_large_ones_more() {
        assert_eq!(limits_of(Some(3), None, None).shards, 1);
        assert_eq!(limits_of(None, None, None).shards, 8);
        assert_eq!(limits_of(None, None, Some(10)).shards, 1);
        assert_eq!(limits_of(None, None, Some(75)).shards, 3);
        assert_eq!(limits_of(Some(10_000), None, None).shards, 10);
        assert_eq!(limits_of(Some(10_000), Some(90_000), None).shards, 1);
        assert_eq!(limits_of(Some(1_000_000), None, None).shards, MAX_SHARDS);
    }

    #[test]
    fn shares_add_up_to_the_limit() {
        let limits = limits_of(Some(10_001), Some(99_999_999), None);
        let shards = 0..limits.shards;
        assert_eq!(shards.clone().filter_map(|n| limits.share_of_requests(n)).sum::<u64>(), 10_001);
        assert_eq!(shards.clone().filter_map(|n| limits.share_of_tokens(n)).sum::<u64>(), 99_999_999);
        let open = shards.filter_map(|n| limits.share_of_concurrent_requests(n)).sum::<u64>();
        assert_eq!(open, DEFAULT_CONCURRENT_REQUESTS);
    }

    #[test]
    fn only_a_project_limits_open_calls_by_default() {
        let limits = Limits { concurrent_requests: Some(60), ..Limits::default() };
        assert_eq!(MeterLimits::new(Level::ApiKey, Limits::default(), 1).concurrent_requests(), None);
        assert_eq!(MeterLimits::new(Level::ApiKey, limits, 1).concurrent_requests(), Some(60));
        assert_eq!(MeterLimits::new(Level::Project, limits, 1).shards, 2);
    }
}
