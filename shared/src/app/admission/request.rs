//! The request of a call to the meter, and its admission.

use super::{MeterLimits, RateStatus, WINDOW_MS};
use crate::data::{AdmissionAttempt, MeterKey, Reservation, ReservationId, StoredReservation, WindowChange};
use crate::dialects::openai_chat::Body;
use crate::dialects::openai_chat::bound::{self, Unaccountable};
use crate::model::catalog::Model;
use crate::model::clock::Timestamp;
use crate::model::money::MicroUsd;
use crate::model::project::Project;
use crate::model::tokens::{Bound, Price};

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
            amount: model.price.map_or(MicroUsd(0), |price| price.worst_case(bound)),
            tokens: bound::expected_tokens(bound, body, &project.policy),
            lease_until,
            accountable: bound::check_accountable(body, model),
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

/// An admitted call: its reservation, and the shard that holds it.
#[derive(Debug, Clone)]
pub(in crate::app) struct Admitted {
    pub(in crate::app) meter: MeterKey,
    pub(in crate::app) reservation: Reservation,
    /// Tokens counted into the rate window, and when that window ends.
    pub(super) tokens: u64,
    pub(super) window_ends: Timestamp,
    pub(in crate::app) rates: RateStatus,
    /// Whether a budget pays: then the provider is sent the limit that money is reserved for.
    pub(in crate::app) budgeted: bool,
}

impl Admitted {
    /// The reservation as a response record keeps it, for the run with this fence. `price` is the one that it was
    /// made at.
    pub(in crate::app) fn to_stored(&self, fence: u64, bound: Bound, price: Option<Price>) -> StoredReservation {
        StoredReservation {
            fence,
            period: self.meter.period.clone(),
            shard: self.meter.shard,
            id: self.reservation.id.clone(),
            amount: self.reservation.amount,
            tokens: self.tokens,
            window_ends: self.window_ends,
            bound,
            price,
        }
    }

    /// A reservation that a record kept, to be settled.
    pub(in crate::app) fn from_stored(stored: &StoredReservation, project_id: &str, model: &str) -> Self {
        Self {
            meter: stored.meter(project_id),
            reservation: stored.reservation(model),
            tokens: stored.tokens,
            window_ends: stored.window_ends,
            rates: RateStatus::default(),
            // Only the start of a run reads this, and it is over.
            budgeted: true,
        }
    }
}
