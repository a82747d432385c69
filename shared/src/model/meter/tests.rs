//! Properties of the plan: money is neither made nor lost, and nothing is refused that the whole budget could pay.

use proptest::prelude::*;

use super::*;
use crate::model::clock::Timestamp;
use crate::model::money::MicroUsd;
use crate::model::project::Limits;

const NOW: Timestamp = Timestamp(1_000_000);
const MONTH_ENDS: Timestamp = Timestamp(9_000_000);

fn limits(budget: Option<u64>, requests: Option<u64>, shards: u8) -> MeterLimits {
    let limits = Limits { requests_per_minute: requests, budget: budget.map(MicroUsd), ..Limits::default() };
    MeterLimits { level: Level::Project, limits, revision: 7, shards }
}

fn demand(amount: u64) -> Demand {
    Demand { amount: MicroUsd(amount), tokens: 10, reserved_for: Some(ReservedFor::Request), now: NOW }
}

fn shard(revision: i64, avail: i64, limit: Option<u64>) -> Shard {
    Shard {
        revision,
        avail,
        spent: MicroUsd(0),
        limit: limit.map(MicroUsd),
        ends_at: None,
        reservations: Vec::new(),
        open_requests: 0,
        window: Window { ends: NOW.plus_ms(1_000), requests: 0, tokens: 0 },
    }
}

/// A meter of a revision, filled for a budget.
fn meter(revision: i64, avails: &[i64], limit: Option<u64>) -> Vec<Option<Shard>> {
    let mut shards: Vec<_> =
        avails.iter().enumerate().map(|(n, &avail)| Some(shard(revision, avail, limit.filter(|_| n == 0)))).collect();
    shards.resize(usize::from(MAX_SHARDS), None);
    shards
}

#[test]
fn the_names_of_models_are_short_and_differ() {
    let long = ["x".repeat(200), format!("{}y", "x".repeat(199)), "é".repeat(100)];
    let short: std::collections::BTreeSet<_> = long.iter().map(|name| short_name(name)).collect();
    assert!(short.len() == 3 && short.iter().all(|name| name.len() <= 40), "{short:?}");
    assert_eq!(short_name("gpt-5-mini"), "gpt-5-mini");
}

/// Carries changes out as the table would. `None` if a condition does not hold.
fn apply(shards: &mut [Option<Shard>], changes: &[ShardChange]) -> Option<()> {
    for step in changes {
        let place = &mut shards[usize::from(step.shard)];
        let mut after = match (place.clone(), step.seen) {
            (None, None) => shard(step.revision, 0, None),
            (Some(before), Some(seen)) if before.revision == seen => before,
            _ => return None,
        };
        if step.at_least.is_some_and(|least| after.avail < least) {
            return None;
        }
        after.revision = step.revision;
        after.avail += step.delta;
        after.limit = step.limit;
        *place = Some(after);
    }
    Some(())
}

fn total(shards: &[Option<Shard>]) -> i64 {
    shards.iter().flatten().map(|shard| shard.avail).sum()
}

proptest! {
    #[test]
    fn a_new_meter_holds_exactly_the_budget(budget in 0..1_000_000_u64, count in 1..=MAX_SHARDS) {
        let mut shards = meter(0, &[], None);
        let Plan::Refill { changes, .. } = plan(&shards, &limits(Some(budget), None, count), &demand(1), MONTH_ENDS) else {
            panic!("a meter that does not exist is filled")
        };
        prop_assert!(apply(&mut shards, &changes).is_some());
        prop_assert_eq!(total(&shards), i64::try_from(budget).unwrap());
        prop_assert!(shards.iter().flatten().all(|shard| shard.avail >= 0 && shard.revision == 7));
        prop_assert_eq!(shards.iter().flatten().count(), usize::from(count));
    }

    #[test]
    fn changed_limits_change_what_is_left_by_their_difference_and_never_leave_room_that_is_not_there(
        avails in prop::collection::vec(-500..2_000_i64, 1..8),
        before in prop::option::of(0..10_000_u64),
        after in prop::option::of(0..10_000_u64),
        count in 1..=MAX_SHARDS,
    ) {
        let mut shards = meter(6, &avails, before);
        let old = total(&shards) - i64::try_from(before.unwrap_or(0)).unwrap();
        let limits = limits(after, None, count);
        let Plan::Refill { changes, .. } = plan(&shards, &limits, &demand(1), MONTH_ENDS) else {
            panic!("a meter of an old revision is filled")
        };
        prop_assert!(apply(&mut shards, &changes).is_some());
        let left = old + i64::try_from(after.unwrap_or(0)).unwrap();
        prop_assert_eq!(total(&shards), left);
        if after.is_some() && left < 0 {
            prop_assert!(shards.iter().flatten().all(|shard| shard.revision == -7), "nobody is admitted while over");
        } else if after.is_some() {
            prop_assert!(shards.iter().flatten().all(|shard| shard.avail >= 0 && shard.revision == 7));
        }
    }

    #[test]
    fn whatever_the_whole_budget_can_pay_is_admitted_after_at_most_one_move(
        avails in prop::collection::vec(0..1_000_i64, 1..8),
        amount in 0..5_000_u64,
    ) {
        let mut shards = meter(7, &avails, Some(10_000));
        let limits = limits(Some(10_000), None, u8::try_from(avails.len()).unwrap());
        let before = total(&shards);
        let mut planned = plan(&shards, &limits, &demand(amount), MONTH_ENDS);
        if let Plan::Refill { changes, .. } = &planned {
            prop_assert!(apply(&mut shards, changes).is_some());
            prop_assert_eq!(total(&shards), before, "moving neither makes nor loses money");
            planned = plan(&shards, &limits, &demand(amount), MONTH_ENDS);
        }
        match planned {
            Plan::Try { shard, .. } => {
                prop_assert!(shards[usize::from(shard)].as_ref().unwrap().avail >= i64::try_from(amount).unwrap());
            }
            Plan::Refuse(refusal) => {
                prop_assert!(before < i64::try_from(amount).unwrap());
                let left = MicroUsd(u64::try_from(before).unwrap());
                let budget = Limit::Budget { limit: MicroUsd(10_000), left, requested: MicroUsd(amount) };
                prop_assert_eq!(refusal.limit, budget);
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }
}

#[test]
fn money_is_brought_together_only_while_it_is_there() {
    let seen = meter(7, &[60, 60], Some(120));
    let Plan::Refill { changes, shard: to } = plan(&seen, &limits(Some(120), None, 2), &demand(100), MONTH_ENDS) else {
        panic!("two shards pay together")
    };
    let mut taken = seen.clone();
    // Another call was admitted since.
    taken[usize::from(1 - to)].as_mut().unwrap().avail = 59;
    assert_eq!(apply(&mut taken, &changes), None);
}

#[test]
fn somebody_who_is_behind_reads_again() {
    let shards = meter(8, &[5], None);
    assert_eq!(plan(&shards, &limits(None, None, 1), &demand(1), MONTH_ENDS), Plan::ReadAgain);
}

#[test]
fn a_project_that_is_over_its_lowered_limit_is_healed_by_settlements_and_not_before() {
    let limits = limits(Some(100), None, 2);
    let over = meter(-7, &[-50, 20], Some(100));
    assert!(matches!(plan(&over, &limits, &demand(1), MONTH_ENDS), Plan::Refuse(_)));
    let mut healed = meter(-7, &[-50, 60], Some(100));
    let Plan::Refill { changes, .. } = plan(&healed, &limits, &demand(1), MONTH_ENDS) else {
        panic!("it is filled again")
    };
    apply(&mut healed, &changes).unwrap();
    assert_eq!((total(&healed), healed[0].as_ref().unwrap().revision), (10, 7));
}

#[test]
fn a_full_rate_window_sends_the_call_to_another_shard_and_then_away() {
    let limits = limits(None, Some(4), 2);
    let mut shards = meter(7, &[0, 0], None);
    shards[0].as_mut().unwrap().window.requests = 2;
    assert!(matches!(plan(&shards, &limits, &demand(0), MONTH_ENDS), Plan::Try { shard: 1, .. }));
    shards[1].as_mut().unwrap().window.requests = 2;
    let Plan::Refuse(refusal) = plan(&shards, &limits, &demand(0), MONTH_ENDS) else { panic!("both are full") };
    assert_eq!(refusal.limit, Limit::Requests { counted: Counted::PerMinute, limit: 4, used: 4 });
    assert_eq!(refusal.retry_after.unwrap().as_millis(), 1_000);
}

#[test]
fn as_many_requests_as_may_be_open_send_the_next_to_another_shard_and_then_away_but_not_a_job() {
    let mut limits = limits(None, None, 2);
    limits.limits.concurrent_requests = Some(5);
    let mut shards = meter(7, &[0, 0], None);
    shards[0].as_mut().unwrap().open_requests = 3;
    assert!(matches!(plan(&shards, &limits, &demand(0), MONTH_ENDS), Plan::Try { shard: 1, .. }));
    shards[1].as_mut().unwrap().open_requests = 2;
    let Plan::Refuse(refusal) = plan(&shards, &limits, &demand(0), MONTH_ENDS) else { panic!("both are full") };
    assert_eq!(refusal.limit, Limit::Requests { counted: Counted::Concurrent, limit: 5, used: 5 });
    assert_eq!(refusal.retry_after.unwrap().as_millis(), 2_000);
    let job = Demand { reserved_for: Some(ReservedFor::Job), ..demand(0) };
    assert!(matches!(plan(&shards, &limits, &job, MONTH_ENDS), Plan::Try { shard: 0, .. }));
}

#[test]
fn a_request_that_only_counts_needs_no_money_and_has_its_place_in_the_window() {
    let mut limits = limits(Some(100), Some(4), 2);
    let only_counts = Demand { reserved_for: None, ..demand(0) };
    // More is spent than the lowered limit allows.
    let mut over = meter(-7, &[-50, 20], Some(100));
    assert!(matches!(plan(&over, &limits, &only_counts, MONTH_ENDS), Plan::Try { shard: 0, .. }));
    for shard in over.iter_mut().flatten() {
        shard.window.requests = 2;
    }
    limits.limits.budget = Some(MicroUsd(100));
    let Plan::Refuse(refusal) = plan(&over, &limits, &only_counts, MONTH_ENDS) else { panic!("the window is full") };
    assert_eq!(refusal.limit, Limit::Requests { counted: Counted::PerMinute, limit: 4, used: 4 });
}

/// Fills a shard with all the holds that it can carry.
fn crowd(shard: &mut Option<Shard>) {
    let hold =
        || Reservation { id: ReservationId::new(NOW, ReservedFor::Job), amount: MicroUsd(0), model: "m".to_owned() };
    shard.as_mut().unwrap().reservations = (0..MAX_RESERVATIONS).map(|_| hold()).collect();
}

#[test]
fn a_shard_full_of_holds_has_no_room_and_its_money_goes_to_one_that_has() {
    let limits = limits(Some(200), None, 2);
    let mut shards = meter(7, &[100, 100], Some(200));
    crowd(&mut shards[0]);
    assert!(matches!(plan(&shards, &limits, &demand(80), MONTH_ENDS), Plan::Try { shard: 1, .. }));
    let Plan::Refill { changes, shard: 1 } = plan(&shards, &limits, &demand(150), MONTH_ENDS) else {
        panic!("the money is brought to the shard with room")
    };
    apply(&mut shards, &changes).unwrap();
    assert!(matches!(plan(&shards, &limits, &demand(150), MONTH_ENDS), Plan::Try { shard: 1, .. }));
}

#[test]
fn where_every_shard_is_full_of_holds_the_call_is_sent_away_and_told_so() {
    let limits = limits(None, Some(1_000), 2);
    let mut shards = meter(7, &[0, 0], None);
    crowd(&mut shards[0]);
    // The other has no room in its rate window.
    shards[1].as_mut().unwrap().window.requests = 500;
    for full in [4_000, 8_000] {
        let Plan::Refuse(refusal) = plan(&shards, &limits, &demand(0), MONTH_ENDS) else { panic!("there is no room") };
        assert_eq!(refusal.limit, Limit::Requests { counted: Counted::Open, limit: 8_000, used: full });
        let message = refusal.to_string();
        assert!(message.contains("cancel background responses") && message.ends_with("again in 30 s."), "{message}");
        crowd(&mut shards[1]);
        shards[1].as_mut().unwrap().window.requests = 0;
    }
}
