//! The request of a call to the meters of its levels, and its admission.

use crate::data::{AdmissionAttempt, RunAttempt, WindowChange};
use crate::dialects::openai_chat::{Body, accountable, bound};
use crate::model::catalog::{Model, Unaccountable};
use crate::model::clock::Timestamp;
use crate::model::meter::{
    Demand, MeterKey, MeterLimits, PlacedReservations, RateStatus, Reservation, ReservationId, ReservedFor, Run,
    WINDOW_MS, is_open,
};
use crate::model::money::MicroUsd;
use crate::model::project::{KeyLimits, Limits, Project};
use crate::model::tokens::Bound;

/// The levels on which a call is reserved.
#[derive(Debug, Clone, Copy)]
pub(in crate::app) struct Levels<'a> {
    pub(in crate::app) project: &'a Project,
    /// `None` if the key was revoked since its call was accepted.
    pub(in crate::app) key: Option<&'a KeyLimits>,
    pub(in crate::app) run: Option<&'a Run>,
}

impl<'a> Levels<'a> {
    /// The key, if it has limits of its own.
    pub(super) fn limited_key(&self) -> Option<&'a KeyLimits> {
        self.key.filter(|key| key.limits != Limits::default())
    }
}

/// The money and the tokens that a call may need.
#[derive(Debug, Clone)]
pub(in crate::app) struct AdmissionRequest<'a> {
    pub(super) levels: Levels<'a>,
    model: &'a str,
    /// The most that the call can cost; 0 if the model has no price.
    pub(super) amount: MicroUsd,
    /// The tokens that count against the rate until the call ends.
    pub(super) tokens: u64,
    /// When the sweeper may treat the call as dead.
    lease_until: Timestamp,
    reserved_for: ReservedFor,
    /// Whether a budget can pay for the call.
    pub(super) accountable: Result<(), Unaccountable>,
}

impl<'a> AdmissionRequest<'a> {
    /// The request of a call that uses at most `bound` tokens of `model`.
    pub(in crate::app) fn new(
        levels: Levels<'a>,
        model: &'a Model,
        body: &Body,
        bound: &Bound,
        lease_until: Timestamp,
        reserved_for: ReservedFor,
    ) -> Self {
        Self {
            levels,
            model: &model.name,
            amount: model.worst_case(bound),
            tokens: bound::expected_tokens(bound, body, &levels.project.policy),
            lease_until,
            reserved_for,
            accountable: accountable::check(body, model),
        }
    }

    /// The request of many calls of one model as one, which cost at most `amount` together. Their tokens do not count against the
    /// rates: nobody waits for them.
    pub(in crate::app) fn of_many(
        levels: Levels<'a>,
        model: &'a str,
        amount: MicroUsd,
        lease_until: Timestamp,
    ) -> Self {
        let reserved_for = ReservedFor::Job;
        Self { levels, model, amount, tokens: 0, lease_until, reserved_for, accountable: Ok(()) }
    }

    /// The tokens that count against the rates while the call runs.
    pub(in crate::app) fn counted_tokens(&self) -> u64 {
        self.tokens
    }

    pub(super) fn demand(&self, now: Timestamp) -> Demand {
        Demand { amount: self.amount, tokens: self.tokens, reserved_for: Some(self.reserved_for), now }
    }

    /// A reservation for one level.
    pub(super) fn reservation(&self) -> Reservation {
        let id = ReservationId::new(self.lease_until, self.reserved_for);
        Reservation { id, amount: self.amount, model: self.model.to_owned() }
    }

    /// One try at one shard.
    pub(super) fn attempt(
        &self,
        limits: &MeterLimits,
        meter: &MeterKey,
        window_ends: Timestamp,
        now: Timestamp,
    ) -> AdmissionAttempt {
        let max_tokens = limits.share_of_tokens(meter.shard);
        AdmissionAttempt {
            revision: limits.revision,
            reservation: self.reservation(),
            budgeted: limits.limits.budget.is_some(),
            // A shard's share can be smaller than the limit that the request was compared with.
            tokens: max_tokens.map_or(self.tokens, |max| self.tokens.min(max)),
            max_requests: limits.share_of_requests(meter.shard),
            max_tokens,
            max_open_requests: limits.share_of_concurrent_requests(meter.shard),
            window: window_change(limits, window_ends, now),
            now,
        }
    }

    /// One try at the meter of a run.
    pub(super) fn run_attempt(&self, run: &Run, now: Timestamp) -> RunAttempt {
        let lifetime_ms = u64::try_from(run.lifetime.as_millis()).unwrap_or(u64::MAX);
        RunAttempt {
            reservation: self.reservation(),
            budget: run.budget,
            ends_at: now.plus_ms(lifetime_ms),
            is_accountable: self.accountable.is_ok(),
            now,
        }
    }
}

/// What an attempt does to the rate window that ends at `window_ends`.
pub(super) fn window_change(limits: &MeterLimits, window_ends: Timestamp, now: Timestamp) -> WindowChange {
    match limits.has_rates() {
        false => WindowChange::Ignore,
        true if is_open(window_ends, now) => WindowChange::Count,
        true => WindowChange::Open { ends: now.plus_ms(WINDOW_MS) },
    }
}

/// An admitted call.
#[derive(Debug, Clone)]
pub(in crate::app) struct Admitted {
    pub(in crate::app) placed: PlacedReservations,
    pub(in crate::app) rates: RateStatus,
    /// Whether a budget may pay: then the provider is sent the limit that money is reserved for.
    pub(in crate::app) budgeted: bool,
}
