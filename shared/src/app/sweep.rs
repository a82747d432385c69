//! The sweep: holds whose call died are settled, responses and deliveries that are due go on.

use futures_util::StreamExt as _;
use futures_util::future::{join_all, ready};

use super::dispatch::ErrorChain;
use super::error::Error;
use super::gateway::Gateway;
use super::telemetry::{TelemetryEvent, tell};
use crate::data::{DUE_SHARDS, Due, LOOKED_AT_MS, MeterKey, Operation, Reservation, Settled, UsageCount, UsageKey};
use crate::model::catalog::ModelKind;
use crate::model::clock::Timestamp;
use crate::model::money::MicroUsd;
use crate::model::tokens::Usage;

/// What is handled at once of each shard of the index: most of a sweep is waiting for the stores. Not more, because some
/// of it reads whole requests, and the function has little memory.
const AT_ONCE: usize = 4;

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweepReport {
    pub holds_settled: u64,
    pub charged: MicroUsd,
}

impl SweepReport {
    fn and(self, other: Self) -> Self {
        Self { holds_settled: self.holds_settled + other.holds_settled, charged: self.charged + other.charged }
    }
}

impl Gateway {
    /// Does what is due: settles every hold whose lease has ended, wakes workers for responses and deliveries, ends and
    /// follows up what nobody works on any more.
    ///
    /// A hold is settled at its full amount: what its call used is not known, and the provider may have run it to the
    /// end. Any number of sweeps may run at once. The shards of the index are swept side by side: what one is full of
    /// keeps nothing in another waiting.
    ///
    /// # Errors
    /// `Internal` if the table failed; the next sweep goes on.
    pub async fn sweep(&self) -> Result<SweepReport, Error> {
        let mut swept = SweepReport::default();
        // Each to its end: a shard that cannot be read must not break off the others.
        for shard in join_all((0..DUE_SHARDS).map(|due_shard| self.sweep_shard(due_shard))).await {
            swept = swept.and(shard?);
        }
        tell(&TelemetryEvent::SweepReport { holds: swept.holds_settled });
        Ok(swept)
    }

    async fn sweep_shard(&self, due_shard: u8) -> Result<SweepReport, Error> {
        let now = self.clock.now();
        let due = self.stores.table.due(due_shard, now).await?;
        let handled = futures_util::stream::iter(due).map(|due| Box::pin(self.sweep_one(due, now)));
        Ok(handled.buffer_unordered(AT_ONCE).fold(SweepReport::default(), |sum, one| ready(sum.and(one))).await)
    }

    async fn sweep_one(&self, due: Due, now: Timestamp) -> SweepReport {
        let mut swept = SweepReport::default();
        let done = match &due {
            Due::Meter(meter) => self.sweep_meter(meter, now, &mut swept).await,
            Due::Response(key) => self.sweep_response(key, now).await,
            Due::Delivery(delivery) => self.sweep_delivery(delivery, now).await,
        };
        // One item that cannot be read must not keep the others waiting.
        if let Err(error) = done {
            tracing::error!(due = ?due, error = %ErrorChain(&error), "not swept");
        }
        swept
    }

    async fn sweep_meter(&self, meter: &MeterKey, now: Timestamp, swept: &mut SweepReport) -> Result<(), Error> {
        let Some(shard) = self.stores.table.shard(meter).await? else { return Ok(()) };
        let (expired, running): (Vec<Reservation>, Vec<Reservation>) =
            shard.holds.into_iter().partition(|hold| hold.id.lease_until() <= now);
        for hold in &expired {
            if self.stores.table.settle(meter, hold, hold.amount, 0).await? == Settled::Now {
                swept.holds_settled += 1;
                swept.charged += hold.amount;
                let (model, usage) = (hold.model.clone(), Usage::default());
                tell(&TelemetryEvent::Booked { model, usage, cost: hold.amount });
                self.count_swept(meter, hold, now).await?;
            }
        }
        let next = running.iter().map(|hold| hold.id.lease_until()).min();
        let next = next.map(|next| next.min(now.plus_ms(LOOKED_AT_MS)));
        self.stores.table.set_meter_due(meter, next).await?;
        Ok(())
    }

    async fn count_swept(&self, meter: &MeterKey, hold: &Reservation, now: Timestamp) -> Result<(), Error> {
        tracing::warn!(
            project.id = meter.project_id,
            model = hold.model,
            charged_micro_usd = hold.amount.0,
            "hold of a dead call settled in full"
        );
        let operation = match self.catalog.model(&hold.model).map(|model| model.kind) {
            Some(ModelKind::Embedding) => Operation::Embeddings,
            Some(ModelKind::Moderation) => Operation::Moderations,
            Some(ModelKind::Chat) | None => Operation::Completions,
        };
        let key = UsageKey {
            project_id: meter.project_id.clone(),
            hour: now.hour(),
            operation,
            model: hold.model.clone(),
            api_key_id: "unknown".to_owned(),
            shard: meter.shard,
        };
        let count = UsageCount { requests: 1, tokens: Usage::default(), cost: hold.amount };
        Ok(self.stores.table.add_usage(&key, &count, now).await?)
    }
}
