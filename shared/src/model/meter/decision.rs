//! The decision about a call from the shards alone, for quotes: nothing is written.

use super::{Demand, Level, MAX_RESERVATIONS, MeterLimits, Plan, RateStatus, Refusal, Run, Shard, ShardChange};
use super::{plan, plan::budget_left};
use crate::model::clock::Timestamp;
use crate::model::money::MicroUsd;

/// Whether a call would be admitted on one level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    Admit,
    /// The table knows newer limits than the caller: read them again.
    ReadAgain,
    Refuse(Refusal),
}

/// A fill for new limits, then one shard that gathers the money of the others, then the shard that admits.
const LONGEST: usize = 3;

/// Decides from the shards as they are (`None` where one does not exist). `month_ends` is when the next budget begins.
#[must_use]
pub fn decide(shards: &[Option<Shard>], limits: &MeterLimits, demand: &Demand, month_ends: Timestamp) -> Decision {
    if let Some(limit) = limits.limits.tokens_per_minute.filter(|&limit| demand.tokens > limit) {
        return Decision::Refuse(Refusal::too_large(limits.level, limit, demand.tokens));
    }
    let mut shards = shards.to_vec();
    for _ in 0..LONGEST {
        match plan(&shards, limits, demand, month_ends) {
            Plan::Try { .. } => return Decision::Admit,
            Plan::ReadAgain => return Decision::ReadAgain,
            Plan::Refuse(refusal) => return Decision::Refuse(refusal),
            Plan::Refill { changes, .. } => changes.iter().for_each(|change| change.carry_out(&mut shards)),
        }
    }
    Decision::Admit
}

impl ShardChange {
    /// Changes a shard as the table does, without its conditions.
    fn carry_out(&self, shards: &mut [Option<Shard>]) {
        let Some(place) = shards.get_mut(usize::from(self.shard)) else { return };
        let shard = place.get_or_insert_with(Shard::default);
        shard.revision = self.revision;
        shard.avail += self.delta;
        shard.limit = self.limit;
    }
}

/// Why the run would refuse a call that may cost `amount`; `None`: it would admit the call. `shard` is its meter, if it has
/// begun.
#[must_use]
pub fn decide_run(shard: Option<&Shard>, run: &Run, amount: MicroUsd, now: Timestamp) -> Option<Refusal> {
    let Some(shard) = shard else {
        return run.budget.filter(|&budget| amount > budget).map(|budget| Refusal::first_of_run(budget, amount));
    };
    let has_ended = shard.ends_at.is_some_and(|ends_at| ends_at <= now);
    let has_room = shard.reservations.len() < MAX_RESERVATIONS && shard.avail >= amount.signed();
    (has_ended || !has_room).then(|| Refusal::of_run(shard, amount, now))
}

/// Where one level stands: its limits, and what is left of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub level: Level,
    pub budget: Option<MicroUsd>,
    /// Of the budget, neither spent nor reserved.
    pub left: Option<MicroUsd>,
    pub rates: RateStatus,
    /// Calls that may be open at the same time, and those that are.
    pub concurrent_requests: Option<(u64, u64)>,
}

impl Standing {
    /// Where a level with limits stands.
    #[must_use]
    pub fn of_level(shards: &[Option<Shard>], limits: &MeterLimits, now: Timestamp) -> Self {
        let open = shards.iter().flatten().map(|shard| shard.open_requests).sum();
        let left = || MicroUsd(u64::try_from(budget_left(shards, limits)).unwrap_or(0));
        Self {
            level: limits.level,
            budget: limits.limits.budget,
            left: limits.limits.budget.map(|_| left()),
            rates: RateStatus::of_all(limits, shards, now),
            concurrent_requests: limits.concurrent_requests().map(|limit| (limit, open)),
        }
    }

    /// Where a run stands.
    #[must_use]
    pub fn of_run(shard: Option<&Shard>, run: &Run) -> Self {
        let budget = shard.map_or(run.budget, |shard| shard.limit);
        let left = shard.map_or(budget, |shard| Some(MicroUsd(u64::try_from(shard.avail).unwrap_or(0))));
        let left = budget.and(left);
        Self { level: Level::Run, budget, left, rates: RateStatus::default(), concurrent_requests: None }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::meter::{MAX_SHARDS, ReservedFor};
    use crate::model::project::Limits;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn demand(amount: u64) -> Demand {
        Demand { amount: MicroUsd(amount), tokens: 10, reserved_for: Some(ReservedFor::Request), now: NOW }
    }

    fn limits(budget: u64, revision: u64) -> MeterLimits {
        let limits = Limits { budget: Some(MicroUsd(budget)), ..Limits::default() };
        MeterLimits { level: Level::Project, limits, revision, shards: 4 }
    }

    fn meter(avails: &[i64], limit: u64) -> Vec<Option<Shard>> {
        let shard = |(n, &avail): (usize, &i64)| {
            let limit = (n == 0).then_some(MicroUsd(limit));
            Some(Shard { revision: 7, avail, limit, ..Shard::default() })
        };
        let mut shards: Vec<_> = avails.iter().enumerate().map(shard).collect();
        shards.resize(usize::from(MAX_SHARDS), None);
        shards
    }

    proptest! {
        #[test]
        fn a_call_is_admitted_if_the_whole_budget_can_pay_for_it(
            avails in prop::collection::vec(0..500_i64, 4),
            amount in 0..2_500_u64,
            spent in 0..100_u64,
            raised in 0..500_u64,
        ) {
            let total = u64::try_from(avails.iter().sum::<i64>()).unwrap();
            let shards = meter(&avails, total + spent);
            for (limits, left) in [(limits(total + spent, 7), total), (limits(total + spent + raised, 8), total + raised)] {
                let decided = decide(&shards, &limits, &demand(amount), NOW);
                prop_assert_eq!(decided == Decision::Admit, amount <= left, "{:?}", decided);
                prop_assert_eq!(Standing::of_level(&shards, &limits, NOW).left, Some(MicroUsd(left)));
            }
        }

        #[test]
        fn a_month_without_a_call_has_the_whole_budget(budget in 0..2_000_u64, amount in 0..2_500_u64) {
            let none = vec![None; usize::from(MAX_SHARDS)];
            prop_assert_eq!(decide(&none, &limits(budget, 7), &demand(amount), NOW) == Decision::Admit, amount <= budget);
        }
    }

    #[test]
    fn newer_limits_in_the_table_are_to_be_read_and_a_call_above_the_tokens_of_a_minute_is_refused() {
        assert_eq!(decide(&meter(&[5, 5, 5, 5], 20), &limits(20, 6), &demand(1), NOW), Decision::ReadAgain);
        let mut few = limits(20, 7);
        few.limits.tokens_per_minute = Some(9);
        let refused = Decision::Refuse(Refusal::too_large(Level::Project, 9, 10));
        assert_eq!(decide(&meter(&[5, 5, 5, 5], 20), &few, &demand(1), NOW), refused);
    }
}
