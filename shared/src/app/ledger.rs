//! Settling calls: each reservation is settled once, and its usage is counted. No other module decides a settlement.

use std::sync::Arc;

use super::admission::Admission;
use super::telemetry::{self, TelemetryEvent};
use crate::data::{Meters, SettleOutcome, StoreError, Stores, UsageCounters};
use crate::model::clock::Clock;
use crate::model::error_chain::ErrorChain;
use crate::model::meter::{MeterKey, PlacedReservations, Reservation, RunName, Scope};
use crate::model::money::MicroUsd;
use crate::model::tokens::Charge;
use crate::model::usage::{Operation, UsageCount, UsageKey};

/// Where a call is counted.
pub(super) struct Account<'a> {
    pub(super) project_id: &'a str,
    pub(super) api_key_id: &'a str,
    pub(super) run: Option<&'a RunName>,
    pub(super) model: &'a str,
    pub(super) operation: Operation,
    /// The calls that were settled as one.
    pub(super) requests: u64,
}

/// Settles reservations and counts usage.
pub(super) struct Ledger {
    admission: Arc<Admission>,
    meters: Meters,
    counters: UsageCounters,
    clock: Clock,
}

impl Ledger {
    pub(super) fn new(stores: &Stores, clock: Clock, admission: Arc<Admission>) -> Self {
        Self { admission, meters: stores.meters(), counters: stores.usage_counters(), clock }
    }

    /// Settles and counts in one round trip: for a call that only this process settles while it lives. If the sweeper took
    /// the call for dead, the reservation is settled once and the counter counts twice.
    pub(super) async fn settle(&self, account: &Account<'_>, placed: &PlacedReservations, charge: Charge) {
        let (settled, counted) = tokio::join!(
            self.admission.settle(placed, charge.cost, charge.tokens()),
            self.count(account, placed.project.meter.shard, charge)
        );
        if let Err(error) = settled.0.and(settled.1) {
            tracing::error!(error = %ErrorChain(&error), "reservation not settled, the sweeper will");
        }
        if let Err(error) = counted {
            tracing::error!(error = %ErrorChain(&error), "usage not counted");
        }
    }

    /// Settles, then counts if it was not settled before: for a call that another process may settle at the same time. A
    /// settlement whose answer was lost looks like another's and is not counted.
    ///
    /// # Errors
    /// If the table fails; repeat it.
    pub(super) async fn settle_once(
        &self,
        account: &Account<'_>,
        placed: &PlacedReservations,
        charge: Charge,
    ) -> Result<(), StoreError> {
        let (outcome, inner) = self.admission.settle(placed, charge.cost, charge.tokens()).await;
        // A call that used nothing is given back and counts nowhere.
        if outcome? == SettleOutcome::Settled && charge != Charge::default() {
            self.count_settled(account, placed.project.meter.shard, charge).await?;
        }
        // After the count: a repetition finds the project's level settled and does not count.
        inner
    }

    /// Gives a reservation back: the call used nothing.
    pub(super) async fn release(&self, placed: &PlacedReservations) {
        let (settled, inner) = self.admission.settle(placed, MicroUsd(0), 0).await;
        if let Err(error) = settled.and(inner) {
            tracing::error!(error = %ErrorChain(&error), "reservation not released, the sweeper will settle it");
        }
    }

    /// Settles the reservation of a dead call at its full amount: its usage is unknown, and the provider may have run it
    /// to the end.
    ///
    /// # Errors
    /// If the table fails; repeat it.
    pub(super) async fn settle_expired(
        &self,
        meter: &MeterKey,
        reservation: &Reservation,
        operation: Operation,
    ) -> Result<SettleOutcome, StoreError> {
        let (model, cost) = (&reservation.model, reservation.amount);
        let outcome = self.meters.settle(meter, reservation, cost, 0).await?;
        // The other levels hold the same call, and their own leases end.
        if outcome == SettleOutcome::Settled && meter.scope == Scope::Project {
            tracing::warn!(
                project.id = meter.project_id,
                model,
                charged_micro_usd = cost.0,
                "reservation of a dead call settled in full"
            );
            let account = Account {
                project_id: &meter.project_id,
                api_key_id: "unknown",
                run: None,
                model,
                operation,
                requests: 1,
            };
            self.count_settled(&account, meter.shard, Charge { cost, ..Charge::default() }).await?;
        }
        Ok(outcome)
    }

    /// Counts what was settled outside of the request that made the call.
    async fn count_settled(&self, account: &Account<'_>, shard: u8, charge: Charge) -> Result<(), StoreError> {
        let Charge { usage, cost, .. } = charge;
        telemetry::record(&TelemetryEvent::Settled { model: account.model.to_owned(), usage, cost });
        self.count(account, shard, charge).await
    }

    async fn count(&self, account: &Account<'_>, shard: u8, charge: Charge) -> Result<(), StoreError> {
        if charge.excess > MicroUsd(0) {
            let (project_id, model, excess) = (account.project_id, account.model, charge.excess);
            tracing::warn!(
                project.id = project_id,
                model,
                excess_micro_usd = excess.0,
                "a provider reported more than the call could use; the excess is not charged"
            );
            telemetry::record(&TelemetryEvent::ExcessReported { model: model.to_owned(), excess });
        }
        let now = self.clock.now();
        let key = UsageKey {
            project_id: account.project_id.to_owned(),
            hour: now.hour(),
            operation: account.operation,
            model: account.model.to_owned(),
            api_key_id: account.api_key_id.to_owned(),
            run: account.run.map_or_else(String::new, |run| run.as_str().to_owned()),
            shard,
        };
        let count = UsageCount { requests: account.requests, tokens: charge.usage, cost: charge.cost };
        self.counters.add(&key, &count, now).await
    }
}
