//! Why a call was not admitted: the limit, the rest, and when to try again.

use std::fmt;
use std::time::Duration;

use super::rates::Used;
use super::{Demand, Level, MAX_RESERVATIONS, MeterLimits, RateStatus, Shard};
use crate::model::clock::Timestamp;
use crate::model::money::MicroUsd;

/// A refusal by a limit of one level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub level: Level,
    pub limit: Limit,
    /// When the same call may be admitted; `None`: never under this limit.
    pub retry_after: Option<Duration>,
    pub rates: RateStatus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    Requests {
        counted: Counted,
        limit: u64,
        used: u64,
    },
    Tokens {
        limit: u64,
        used: u64,
        requested: u64,
    },
    Budget {
        limit: MicroUsd,
        left: MicroUsd,
        requested: MicroUsd,
    },
    /// The run's time is over.
    Ended,
}

/// Which requests a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Those that begin in a minute.
    PerMinute,
    /// Those whose callers wait at the same time.
    Concurrent,
    /// Those that follow a stream or another request.
    Following,
    /// Deliveries of webhooks at the same time.
    Delivering,
    /// Those that have begun and not ended, and jobs: a shard of the meter has room for so many reservations.
    Open,
}

/// When to come back if too many calls run at the same time: some of them end within seconds.
const CONCURRENT_WAIT: Duration = Duration::from_secs(2);

/// When to come back if too much is open: calls end within seconds, jobs within minutes.
const OPEN_WAIT: Duration = Duration::from_secs(30);

impl Refusal {
    pub(super) fn budget(
        limits: &MeterLimits,
        left: i64,
        requested: MicroUsd,
        now: Timestamp,
        month_ends: Timestamp,
    ) -> Self {
        let left = MicroUsd(u64::try_from(left).unwrap_or(0));
        let limit = limits.limits.budget.unwrap_or_default();
        let wait = (requested <= limit).then(|| Duration::from_millis(now.until(month_ends)));
        Self::new(limits.level, Limit::Budget { limit, left, requested }, wait)
    }

    /// Why a run's meter refused a call that may cost `requested`.
    #[must_use]
    pub fn of_run(shard: &Shard, requested: MicroUsd, now: Timestamp) -> Self {
        let new = |limit, wait| Self::new(Level::Run, limit, wait);
        if shard.ends_at.is_some_and(|ends_at| ends_at <= now) {
            return new(Limit::Ended, None);
        }
        if shard.reservations.len() >= MAX_RESERVATIONS {
            let used = shard.reservations.len() as u64;
            let limit = Limit::Requests { counted: Counted::Open, limit: MAX_RESERVATIONS as u64, used };
            return new(limit, Some(OPEN_WAIT));
        }
        let left = MicroUsd(u64::try_from(shard.avail).unwrap_or(0));
        new(Limit::Budget { limit: shard.limit.unwrap_or_default(), left, requested }, None)
    }

    /// Why the first call of a run, which may cost `requested`, does not begin it.
    #[must_use]
    pub fn first_of_run(limit: MicroUsd, requested: MicroUsd) -> Self {
        Self::new(Level::Run, Limit::Budget { limit, left: limit, requested }, None)
    }

    fn new(level: Level, limit: Limit, retry_after: Option<Duration>) -> Self {
        Self { level, limit, retry_after, rates: RateStatus::default() }
    }

    /// No shard has room in its rate window.
    pub(super) fn rate(shards: &[Option<Shard>], limits: &MeterLimits, demand: &Demand) -> Self {
        let Used { requests, tokens, reset_ms: wait } = Used::of(shards, demand.now);
        let begun = |limit| Limit::Requests { counted: Counted::PerMinute, limit, used: requests };
        let limit = match (limits.limits.requests_per_minute, limits.limits.tokens_per_minute) {
            (Some(limit), _) if requests >= limit => begun(limit),
            (_, Some(limit)) => Limit::Tokens { limit, used: tokens, requested: demand.tokens },
            (limit, None) => begun(limit.unwrap_or(0)),
        };
        let rates = RateStatus::of(limits, requests, tokens, wait);
        Self { rates, ..Self::new(limits.level, limit, Some(Duration::from_millis(wait.max(1)))) }
    }

    /// As many calls of the level are open as may be at the same time.
    pub(super) fn concurrent(shards: &[Option<Shard>], limits: &MeterLimits) -> Self {
        let used = shards.iter().flatten().map(|shard| shard.open_requests).sum();
        let limit = limits.concurrent_requests().unwrap_or_default();
        let limit = Limit::Requests { counted: Counted::Concurrent, limit, used };
        Self::new(limits.level, limit, Some(CONCURRENT_WAIT))
    }

    /// As many requests of a project follow streams as may at the same time.
    #[must_use]
    pub fn following(limit: u64) -> Self {
        let limit = Limit::Requests { counted: Counted::Following, limit, used: limit };
        Self::new(Level::Project, limit, Some(CONCURRENT_WAIT))
    }

    /// As many deliveries of a project go on as may at the same time.
    #[must_use]
    pub fn delivering(limit: u64) -> Self {
        let limit = Limit::Requests { counted: Counted::Delivering, limit, used: limit };
        Self::new(Level::Project, limit, Some(CONCURRENT_WAIT))
    }

    /// No shard has room for another reservation.
    pub(super) fn open(shards: &[Option<Shard>], limits: &MeterLimits) -> Self {
        let in_use = shards.iter().take(usize::from(limits.shards)).flatten();
        let used = in_use.map(|shard| shard.reservations.len() as u64).sum();
        let limit =
            Limit::Requests { counted: Counted::Open, limit: MAX_RESERVATIONS as u64 * u64::from(limits.shards), used };
        Self::new(limits.level, limit, Some(OPEN_WAIT))
    }

    /// The call alone is larger than the limit.
    #[must_use]
    pub fn too_large(level: Level, limit: u64, requested: u64) -> Self {
        Self::new(level, Limit::Tokens { limit, used: 0, requested }, None)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owner = self.level.name();
        match self.limit {
            Limit::Requests { counted, limit, used } => write_requests(f, owner, counted, limit, used)?,
            Limit::Tokens { limit, requested, .. } if self.retry_after.is_none() => write!(
                f,
                "Request too large for the {owner} on tokens per minute: limit {limit}, requested {requested}. \
                 Shorten the input or set a lower max_completion_tokens."
            )?,
            Limit::Tokens { limit, used, requested } => write!(
                f,
                "Rate limit of the {owner} reached on tokens per minute: limit {limit}, used {used}, requested {requested}."
            )?,
            Limit::Ended => write!(f, "The time of the {owner} is over. Name another run.")?,
            Limit::Budget { limit, left, requested } => return write_budget(f, self.level, limit, left, requested),
        }
        match self.retry_after {
            Some(wait) => write!(f, " Try again in {} s.", wait.as_millis().div_ceil(1_000)),
            None => Ok(()),
        }
    }
}

fn write_requests(f: &mut fmt::Formatter<'_>, owner: &str, counted: Counted, limit: u64, used: u64) -> fmt::Result {
    match counted {
        Counted::Open => write!(
            f,
            "Too many calls and jobs of the {owner} are open: limit {limit}, open {used}, requested 1. Let some of \
             them end, or cancel background responses that nobody needs."
        ),
        Counted::Concurrent => write!(
            f,
            "Too many calls of the {owner} run at the same time: limit {limit}, running {used}, requested 1. Send fewer \
             at once, or have an administrator raise limits.concurrent_requests."
        ),
        Counted::Following => write!(
            f,
            "Too many requests of the {owner} follow responses or other requests at the same time: limit {limit}, \
             following {used}, requested 1. Close some of them, or have an administrator raise \
             limits.concurrent_requests."
        ),
        Counted::Delivering => write!(
            f,
            "Too many webhooks of the {owner} are sent at the same time: limit {limit}, being sent {used}, requested 1."
        ),
        Counted::PerMinute => write!(
            f,
            "Rate limit of the {owner} reached on requests per minute: limit {limit}, used {used}, requested 1."
        ),
    }
}

/// A budget does not say when to try again: the message says what makes room.
fn write_budget(
    f: &mut fmt::Formatter<'_>,
    level: Level,
    limit: MicroUsd,
    left: MicroUsd,
    requested: MicroUsd,
) -> fmt::Result {
    match level {
        Level::Run => write!(
            f,
            "The run's budget of ${limit} does not cover this call: ${left} is left, the call may cost up to \
             ${requested}. Set a lower max_completion_tokens, or begin another run."
        ),
        level => write!(
            f,
            "The {}'s budget of ${limit} for this month does not cover this call: ${left} is left, the call may cost up \
             to ${requested}. Raise the budget, set a lower max_completion_tokens, or wait for the first of the month \
             (UTC).",
            level.name()
        ),
    }
}
