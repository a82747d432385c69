//! Settling calls: each reservation is settled once, and its usage is counted. No other module decides a settlement.

use std::sync::Arc;

use super::admission::{Admission, Admitted};
use super::telemetry::{self, TelemetryEvent};
use crate::data::{MeterKey, UsageCounters};
use crate::data::{Meters, Reservation, SettleOutcome, StoreError, Stores};
use crate::model::clock::Clock;
use crate::model::error_chain::ErrorChain;
use crate::model::money::MicroUsd;
use crate::model::tokens::Usage;
use crate::model::usage::UsageKey;
use crate::model::usage::{Operation, UsageCount};

/// Where a call is counted.
pub(super) struct Account<'a> {
    pub(super) project_id: &'a str,
    pub(super) api_key_id: &'a str,
    pub(super) model: &'a str,
    pub(super) operation: Operation,
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
    pub(super) async fn settle(&self, account: &Account<'_>, admitted: &Admitted, usage: &Usage, cost: MicroUsd) {
        let (settled, counted) = tokio::join!(
            self.admission.settle(admitted, cost, usage.input + usage.output),
            self.count(account, admitted.meter.shard, usage, cost)
        );
        if let Err(error) = settled {
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
        admitted: &Admitted,
        usage: &Usage,
        cost: MicroUsd,
    ) -> Result<(), StoreError> {
        // A call that used nothing is given back and counts nowhere.
        if *usage == Usage::default() && cost == MicroUsd(0) {
            return self.admission.settle(admitted, cost, 0).await.map(drop);
        }
        let outcome = self.admission.settle(admitted, cost, usage.input + usage.output).await?;
        if outcome == SettleOutcome::Settled {
            telemetry::record(&TelemetryEvent::Settled { model: account.model.to_owned(), usage: *usage, cost });
            self.count(account, admitted.meter.shard, usage, cost).await?;
        }
        Ok(())
    }

    /// Gives a reservation back: the call used nothing.
    pub(super) async fn release(&self, admitted: &Admitted) {
        if let Err(error) = self.admission.settle(admitted, MicroUsd(0), 0).await {
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
        let (model, cost, usage) = (&reservation.model, reservation.amount, Usage::default());
        let outcome = self.meters.settle(meter, reservation, cost, 0).await?;
        if outcome == SettleOutcome::Settled {
            telemetry::record(&TelemetryEvent::Settled { model: model.clone(), usage, cost });
            tracing::warn!(
                project.id = meter.project_id,
                model,
                charged_micro_usd = cost.0,
                "reservation of a dead call settled in full"
            );
            let account = Account { project_id: &meter.project_id, api_key_id: "unknown", model, operation };
            self.count(&account, meter.shard, &usage, cost).await?;
        }
        Ok(outcome)
    }

    async fn count(&self, account: &Account<'_>, shard: u8, usage: &Usage, cost: MicroUsd) -> Result<(), StoreError> {
        let now = self.clock.now();
        let key = UsageKey {
            project_id: account.project_id.to_owned(),
            hour: now.hour(),
            operation: account.operation,
            model: account.model.to_owned(),
            api_key_id: account.api_key_id.to_owned(),
            shard,
        };
        let count = UsageCount { requests: 1, tokens: *usage, cost };
        self.counters.add(&key, &count, now).await
    }
}
