//! The request of a call to the meter, and its admission.

use super::WINDOW_MS;
use crate::data::{AdmissionAttempt, WindowChange};
use crate::dialects::openai_chat::Body;
use crate::dialects::openai_chat::bound;
use crate::model::catalog::{Model, Unaccountable};
use crate::model::clock::Timestamp;
use crate::model::meter::{MeterKey, MeterLimits, PlacedReservation, RateStatus, Reservation, ReservationId};
use crate::model::money::MicroUsd;
use crate::model::project::Project;
use crate::model::tokens::Bound;

/// The money and the tokens that a call may need.
#[derive(Debug, Clone)]
pub(in crate::app) struct AdmissionRequest<'a> {
    pub(in crate::app) project: &'a Project,
    model: &'a str,
    /// The most that the call can cost; 0 if the model has no price.
    pub(super) amount: MicroUsd,
    /// The tokens that count against the rate until the call ends.
    pub(super) tokens: u64,
    /// When the sweeper may treat the call as dead.
    lease_until: Timestamp,
    /// Whether a budget can pay for the call.
    pub(super) accountable: Result<(), Unaccountable>,
}

impl<'a> AdmissionRequest<'a> {
    /// The request of a call that uses at most `bound` tokens of `model`.
    pub(in crate::app) fn new(
        project: &'a Project,
        model: &'a Model,
        body: &Body,
        bound: &Bound,
        lease_until: Timestamp,
    ) -> Self {
        Self {
            project,
            model: &model.name,
            amount: model.worst_case(bound),
            tokens: bound::expected_tokens(bound, body, &project.policy),
            lease_until,
            accountable: model.check_accountable(bound::billed_beside(body)),
        }
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
        let id = ReservationId::new(self.lease_until);
        AdmissionAttempt {
            revision: limits.revision,
            reservation: Reservation { id, amount: self.amount, model: self.model.to_owned() },
            budgeted: limits.project.budget.is_some(),
            // A shard's share can be smaller than the limit that the request was compared with.
            tokens: max_tokens.map_or(self.tokens, |max| self.tokens.min(max)),
            max_requests: limits.share_of_requests(meter.shard),
            max_tokens,
            window: match limits.has_rates() {
                false => WindowChange::Ignore,
                true if now < window_ends => WindowChange::Count,
                true => WindowChange::Open { ends: now.plus_ms(WINDOW_MS) },
            },
            now,
        }
    }
}

/// An admitted call.
#[derive(Debug, Clone)]
pub(in crate::app) struct Admitted {
    pub(in crate::app) placed: PlacedReservation,
    pub(in crate::app) rates: RateStatus,
    /// Whether a budget pays: then the provider is sent the limit that money is reserved for.
    pub(in crate::app) budgeted: bool,
}
