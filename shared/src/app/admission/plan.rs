//! What to do when a shard did not admit a call: decided from all shards, without a table and without a clock.

use super::{MeterLimits, Refusal};
use crate::data::{MAX_HOLDS, MAX_SHARDS, Move, Shard};
use crate::model::clock::Timestamp;
use crate::model::money::MicroUsd;

/// A call that asks to be admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Demand {
    pub(super) amount: MicroUsd,
    pub(super) tokens: u64,
    pub(super) now: Timestamp,
}

/// The next step of an admission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    /// This shard has room.
    Try {
        shard: u8,
        window_ends: Timestamp,
    },
    /// Move money, or fill the meter for the project's limits; then try `shard`.
    Refill {
        moves: Vec<Move>,
        shard: u8,
    },
    /// The table knows newer limits than the caller: read the project again.
    ReadAgain,
    Refuse(Refusal),
}

/// Decides from the shards as they are (`None` where one does not exist). `month_ends` is when the budget starts anew.
pub(super) fn plan(shards: &[Option<Shard>], terms: &MeterLimits, demand: &Demand, month_ends: Timestamp) -> Plan {
    let revision = i64::try_from(terms.revision).unwrap_or(i64::MAX);
    let existing = || shards.iter().flatten();
    if existing().any(|shard| shard.revision.abs() > revision) {
        return Plan::ReadAgain;
    }
    let wanted = shards.iter().take(usize::from(terms.shards));
    let complete = wanted.clone().all(Option::is_some) && existing().all(|shard| shard.revision.abs() == revision);
    let over = existing().any(|shard| shard.revision < 0);
    let left = left(shards, terms);
    if !complete || (over && left >= 0) {
        return Plan::Refill { moves: fill(shards, terms, left), shard: 0 };
    }
    if terms.limits.budget.is_some() && (over || left < demand.amount.signed()) {
        return Plan::Refuse(Refusal::budget(terms, left, demand.amount, demand.now, month_ends));
    }
    let in_use = (0..terms.shards).filter_map(|n| Some((n, shards.get(usize::from(n))?.as_ref()?)));
    let mut candidates: Vec<_> = in_use.filter(|(n, shard)| has_rate_room(shard, terms, *n, demand)).collect();
    if candidates.is_empty() {
        return Plan::Refuse(Refusal::rate(shards, terms, demand));
    }
    candidates.retain(|(_, shard)| shard.holds.len() < MAX_HOLDS);
    let Some(&(first, _)) = candidates.first() else {
        return Plan::Refuse(Refusal::open(shards, terms));
    };
    let affordable = |shard: &Shard| terms.limits.budget.is_none() || shard.avail >= demand.amount.signed();
    match candidates.iter().find(|(_, shard)| affordable(shard)) {
        Some(&(shard, state)) => Plan::Try { shard, window_ends: state.window.ends },
        None => Plan::Refill { moves: gather(shards, first), shard: first },
    }
}

/// What of the budget is neither spent nor held, over all shards, under the limits of `terms`.
fn left(shards: &[Option<Shard>], terms: &MeterLimits) -> i64 {
    let avail: i64 = shards.iter().flatten().map(|shard| shard.avail).sum();
    let before = shards.first().and_then(|shard| shard.as_ref()?.limit).unwrap_or_default();
    avail + terms.limits.budget.unwrap_or_default().signed() - before.signed()
}

fn has_rate_room(shard: &Shard, terms: &MeterLimits, n: u8, demand: &Demand) -> bool {
    if shard.window.ends <= demand.now {
        return true;
    }
    let requests = terms.share_of_requests(n).is_none_or(|max| shard.window.requests < max);
    let tokens = terms.share_of_tokens(n).is_none_or(|max| shard.window.tokens + demand.tokens.min(max) <= max);
    requests && tokens
}

/// Fills the shards for the revision of `terms`: what is left is spread evenly over the shards in use.
///
/// If more was spent and held than the new limit allows, every shard is marked as over (a negative revision), so that
/// none admits until settlements have brought the sum below the limit.
fn fill(shards: &[Option<Shard>], terms: &MeterLimits, left: i64) -> Vec<Move> {
    let revision = i64::try_from(terms.revision).unwrap_or(i64::MAX);
    let over = terms.limits.budget.is_some() && left < 0;
    let used = i64::from(terms.shards);
    let mut moves = Vec::new();
    for n in 0..MAX_SHARDS {
        let shard = shards.get(usize::from(n)).and_then(Option::as_ref);
        if shard.is_none() && n >= terms.shards {
            continue;
        }
        let avail = shard.map_or(0, |shard| shard.avail);
        let target = match n {
            _ if n >= terms.shards => 0,
            0 => left / used + left % used,
            _ => left / used,
        };
        moves.push(Move {
            shard: n,
            seen: shard.map(|shard| shard.revision),
            revision: if over { -revision } else { revision },
            delta: target - avail,
            // Admissions that came in between took from `avail`; it must still not end below zero.
            at_least: (terms.limits.budget.is_some() && !over && shard.is_some()).then_some(avail - target),
            limit: if n == 0 { terms.limits.budget } else { None },
        });
    }
    moves
}

/// Brings what is left in the other shards to one.
fn gather(shards: &[Option<Shard>], to: u8) -> Vec<Move> {
    let existing = || (0..MAX_SHARDS).zip(shards).filter_map(|(n, shard)| Some((n, shard.as_ref()?)));
    let others: i64 = existing().filter(|(n, _)| *n != to).map(|(_, shard)| shard.avail).sum();
    let changed = existing().filter(|(n, shard)| *n == to || shard.avail != 0);
    let step = |(n, shard): (u8, &Shard)| Move {
        shard: n,
        seen: Some(shard.revision),
        revision: shard.revision,
        delta: if n == to { others } else { -shard.avail },
        at_least: (n != to).then_some(shard.avail),
        limit: shard.limit,
    };
    changed.map(step).collect()
}
