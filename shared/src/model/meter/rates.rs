//! The state of a project's rate limits, for `x-ratelimit-*`.

use std::time::Duration;

use super::{MeterLimits, Shard, Window, is_open};
use crate::model::clock::Timestamp;

/// The state of the rate limits after a call. `None` where there is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateStatus {
    pub requests: Option<Rate>,
    pub tokens: Option<Rate>,
}

/// One limit per minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub limit: u64,
    pub remaining: u64,
    /// Until the window ends.
    pub reset: Duration,
}

/// The use of a level in its open windows.
pub(super) struct Used {
    pub(super) requests: u64,
    pub(super) tokens: u64,
    /// Until the first window ends.
    pub(super) reset_ms: u64,
}

impl Used {
    /// The sum of all shards.
    pub(super) fn of(shards: &[Option<Shard>], now: Timestamp) -> Self {
        let open = || shards.iter().flatten().map(|shard| shard.window).filter(|window| is_open(window.ends, now));
        let (requests, tokens) = open().fold((0, 0), |(r, t), window| (r + window.requests, t + window.tokens));
        Self { requests, tokens, reset_ms: open().map(|window| now.until(window.ends)).min().unwrap_or(0) }
    }
}

impl RateStatus {
    pub(super) fn of(limits: &MeterLimits, requests: u64, tokens: u64, reset_ms: u64) -> Self {
        let rate = |limit: u64, used: u64| Rate {
            limit,
            remaining: limit.saturating_sub(used),
            reset: Duration::from_millis(reset_ms),
        };
        Self {
            requests: limits.limits.requests_per_minute.map(|limit| rate(limit, requests)),
            tokens: limits.limits.tokens_per_minute.map(|limit| rate(limit, tokens)),
        }
    }

    /// The sum of all shards.
    pub(super) fn of_all(limits: &MeterLimits, shards: &[Option<Shard>], now: Timestamp) -> Self {
        let Used { requests, tokens, reset_ms } = Used::of(shards, now);
        Self::of(limits, requests, tokens, reset_ms)
    }

    /// Of each limit the one that leaves less.
    #[must_use]
    pub fn tighter(self, other: Self) -> Self {
        let tighter = |one: Option<Rate>, other: Option<Rate>| match (one, other) {
            (Some(one), Some(other)) if other.remaining < one.remaining => Some(other),
            (one, other) => one.or(other),
        };
        Self { requests: tighter(self.requests, other.requests), tokens: tighter(self.tokens, other.tokens) }
    }

    /// Estimated from one shard: the others are assumed to be as full as this one.
    #[must_use]
    pub fn of_shard(limits: &MeterLimits, window: &Window, now: Timestamp) -> Self {
        let shards = u64::from(limits.shards);
        Self::of(limits, window.requests * shards, window.tokens * shards, now.until(window.ends))
    }
}
