//! The next step after a shard refused a call. Decided from all shards, without a table and without a clock.

use super::{MAX_RESERVATIONS, MAX_SHARDS, MeterLimits, Refusal, ReservedFor, Shard, is_open};
use crate::model::clock::Timestamp;
use crate::model::money::MicroUsd;

/// A call that asks to be admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    pub amount: MicroUsd,
    pub tokens: u64,
    /// `None`: the request calls no model. It counts against the requests per minute and reserves nothing.
    pub reserved_for: Option<ReservedFor>,
    pub now: Timestamp,
}

/// The next step of an admission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// This shard has room.
    Try {
        shard: u8,
        window_ends: Timestamp,
    },
    /// Move money, or fill the meter for the project's limits; then try `shard`.
    Refill {
        changes: Vec<ShardChange>,
        shard: u8,
    },
    /// The table knows newer limits than the caller: read the project again.
    ReadAgain,
    Refuse(Refusal),
}

/// A change of one shard in a transaction over several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardChange {
    pub shard: u8,
    /// The revision that the caller read; `None`: the shard does not exist yet.
    pub seen: Option<i64>,
    pub revision: i64,
    /// Added to `avail`.
    pub delta: i64,
    /// The whole transaction is refused if `avail` is less than this.
    pub at_least: Option<i64>,
    /// Shard 0 only.
    pub limit: Option<MicroUsd>,
}

/// Decides from the shards as they are (`None` where one does not exist). `month_ends` is when the next budget begins.
#[must_use]
pub fn plan(shards: &[Option<Shard>], limits: &MeterLimits, demand: &Demand, month_ends: Timestamp) -> Plan {
    let revision = i64::try_from(limits.revision).unwrap_or(i64::MAX);
    let existing = || shards.iter().flatten();
    if existing().any(|shard| shard.revision.abs() > revision) {
        return Plan::ReadAgain;
    }
    let wanted = shards.iter().take(usize::from(limits.shards));
    let complete = wanted.clone().all(Option::is_some) && existing().all(|shard| shard.revision.abs() == revision);
    let over = existing().any(|shard| shard.revision < 0);
    let left = budget_left(shards, limits);
    if !complete || (over && left >= 0) {
        return Plan::Refill { changes: fill(shards, limits, left), shard: 0 };
    }
    let reserves = demand.reserved_for.is_some();
    if reserves && limits.limits.budget.is_some() && (over || left < demand.amount.signed()) {
        return Plan::Refuse(Refusal::budget(limits, left, demand.amount, demand.now, month_ends));
    }
    let in_use = (0..limits.shards).filter_map(|n| Some((n, shards.get(usize::from(n))?.as_ref()?)));
    let mut candidates: Vec<_> = in_use.filter(|(n, shard)| has_rate_room(shard, limits, *n, demand)).collect();
    if candidates.is_empty() {
        return Plan::Refuse(Refusal::rate(shards, limits, demand));
    }
    if demand.reserved_for == Some(ReservedFor::Request) {
        candidates.retain(|&(n, shard)| has_room_for_request(shard, limits, n));
        if candidates.is_empty() {
            return Plan::Refuse(Refusal::concurrent(shards, limits));
        }
    }
    candidates.retain(|(_, shard)| !reserves || shard.reservations.len() < MAX_RESERVATIONS);
    let Some(&(first, _)) = candidates.first() else {
        return Plan::Refuse(Refusal::open(shards, limits));
    };
    let affordable =
        |shard: &Shard| !reserves || limits.limits.budget.is_none() || shard.avail >= demand.amount.signed();
    match candidates.iter().find(|(_, shard)| affordable(shard)) {
        Some(&(shard, state)) => Plan::Try { shard, window_ends: state.window.ends },
        None => Plan::Refill { changes: gather(shards, first), shard: first },
    }
}

/// The part of the budget that is neither spent nor reserved, over all shards, under these limits.
pub(super) fn budget_left(shards: &[Option<Shard>], limits: &MeterLimits) -> i64 {
    let avail: i64 = shards.iter().flatten().map(|shard| shard.avail).sum();
    let before = shards.first().and_then(|shard| shard.as_ref()?.limit).unwrap_or_default();
    avail + limits.limits.budget.unwrap_or_default().signed() - before.signed()
}

fn has_rate_room(shard: &Shard, limits: &MeterLimits, n: u8, demand: &Demand) -> bool {
    if !is_open(shard.window.ends, demand.now) {
        return true;
    }
    let requests = limits.share_of_requests(n).is_none_or(|max| shard.window.requests < max);
    let tokens = limits.share_of_tokens(n).is_none_or(|max| shard.window.tokens + demand.tokens.min(max) <= max);
    requests && tokens
}

fn has_room_for_request(shard: &Shard, limits: &MeterLimits, n: u8) -> bool {
    limits.share_of_concurrent_requests(n).is_none_or(|max| shard.open_requests < max)
}

/// Fills the shards for the revision of `limits`: the rest of the budget is spread evenly over the shards in use.
///
/// If more is spent and reserved than the new limit allows, every shard is marked as over (a negative revision). No shard
/// admits until settlements have brought the sum below the limit.
fn fill(shards: &[Option<Shard>], limits: &MeterLimits, left: i64) -> Vec<ShardChange> {
    let revision = i64::try_from(limits.revision).unwrap_or(i64::MAX);
    let over = limits.limits.budget.is_some() && left < 0;
    let used = i64::from(limits.shards);
    let mut changes = Vec::new();
    for n in 0..MAX_SHARDS {
        let shard = shards.get(usize::from(n)).and_then(Option::as_ref);
        if shard.is_none() && n >= limits.shards {
            continue;
        }
        let avail = shard.map_or(0, |shard| shard.avail);
        let target = match n {
            _ if n >= limits.shards => 0,
            0 => left / used + left % used,
            _ => left / used,
        };
        changes.push(ShardChange {
            shard: n,
            seen: shard.map(|shard| shard.revision),
            revision: if over { -revision } else { revision },
            delta: target - avail,
            // Admissions that came in between took from `avail`; it must still not end below zero.
            at_least: (limits.limits.budget.is_some() && !over && shard.is_some()).then_some(avail - target),
            limit: if n == 0 { limits.limits.budget } else { None },
        });
    }
    changes
}

/// Moves the money of the other shards into one.
fn gather(shards: &[Option<Shard>], to: u8) -> Vec<ShardChange> {
    let existing = || (0..MAX_SHARDS).zip(shards).filter_map(|(n, shard)| Some((n, shard.as_ref()?)));
    let others: i64 = existing().filter(|(n, _)| *n != to).map(|(_, shard)| shard.avail).sum();
    let changed = existing().filter(|(n, shard)| *n == to || shard.avail != 0);
    let step = |(n, shard): (u8, &Shard)| ShardChange {
        shard: n,
        seen: Some(shard.revision),
        revision: shard.revision,
        delta: if n == to { others } else { -shard.avail },
        at_least: (n != to).then_some(shard.avail),
        limit: shard.limit,
    };
    changed.map(step).collect()
}
