//! The sweep: reservations of dead calls are settled, responses and deliveries that are due go on.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{join_all, ready};

use super::{Eraser, ProjectWorker, Recovery, StoreSweeper};
use crate::app::error::Error;
use crate::app::generation::LOST_AFTER_MS;
use crate::app::ledger::Ledger;
use crate::app::models::Models;
use crate::app::telemetry::{self, TelemetryEvent};
use crate::app::webhooks::Deliverer;
use crate::app::worker_queues::WorkerQueues;
use crate::data::{BatchRecords, DUE_SHARDS, Due, DueIndex, LONGEST_DUE_MS, Meters, SWEEP_INTERVAL_MS, SettleOutcome};
use crate::model::batch::BatchKey;
use crate::model::catalog::ModelKind;
use crate::model::clock::{Clock, Timestamp};
use crate::model::error_chain::ErrorChain;
use crate::model::meter::{MeterKey, Reservation, Scope, short_name};
use crate::model::money::MicroUsd;
use crate::model::usage::Operation;

/// Items of one shard of the index that are handled at once: most of a sweep waits for the stores. Not more, because some
/// items read whole requests, and the function has little memory.
const AT_ONCE: usize = 4;

/// The result of a sweep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweepReport {
    pub reservations_settled: u64,
    pub charged: MicroUsd,
}

impl SweepReport {
    fn and(self, other: Self) -> Self {
        Self {
            reservations_settled: self.reservations_settled + other.reservations_settled,
            charged: self.charged + other.charged,
        }
    }
}

/// Does all work that is due.
pub struct Sweeper {
    pub(in crate::app) due: DueIndex,
    pub(in crate::app) meters: Meters,
    pub(in crate::app) ledger: Arc<Ledger>,
    pub(in crate::app) models: Arc<Models>,
    pub(in crate::app) recovery: Recovery,
    pub(in crate::app) eraser: Eraser,
    pub(in crate::app) project_worker: ProjectWorker,
    pub(in crate::app) deliverer: Arc<Deliverer>,
    pub(in crate::app) batches: BatchRecords,
    pub(in crate::app) vector_stores: StoreSweeper,
    pub(in crate::app) queues: WorkerQueues,
    pub(in crate::app) clock: Clock,
}

impl Sweeper {
    /// Does the work that is due: settles every reservation whose lease has ended, wakes workers for responses and
    /// deliveries, ends and finalizes responses that no process works on any more, ends deletions, deletes
    /// files that expired and what is left of uploads, goes on with work on projects.
    ///
    /// Any number of sweeps may run at once. The shards of the index are swept in parallel: a full shard keeps no other
    /// shard waiting.
    ///
    /// # Errors
    /// If the table failed; the next sweep goes on.
    pub async fn sweep(&self) -> Result<SweepReport, Error> {
        let mut report = SweepReport::default();
        if let Err(error) = self.models.current().await {
            // Only the operation under which a dead call is counted depends on the models.
            tracing::warn!(error = %ErrorChain(&error), "sweeping without models");
        }
        // Each shard to its end: a shard that cannot be read must not break off the others.
        for shard in join_all((0..DUE_SHARDS).map(|due_shard| self.sweep_shard(due_shard))).await {
            report = report.and(shard?);
        }
        telemetry::record(&TelemetryEvent::Swept { reservations_settled: report.reservations_settled });
        Ok(report)
    }

    async fn sweep_shard(&self, due_shard: u8) -> Result<SweepReport, Error> {
        let now = self.clock.now();
        let due = self.due.due(due_shard, now).await?;
        let swept = futures_util::stream::iter(due).map(|due| Box::pin(self.sweep_item(due, now)));
        Ok(swept.buffer_unordered(AT_ONCE).fold(SweepReport::default(), |sum, one| ready(sum.and(one))).await)
    }

    async fn sweep_item(&self, due: Due, now: Timestamp) -> SweepReport {
        let mut report = SweepReport::default();
        let done = match &due {
            Due::Meter(meter) => self.sweep_meter(meter, now, &mut report).await,
            Due::Response(key) => self.recovery.recover(key, now).await,
            Due::Erasure(key) => self.eraser.erase_response(key, now).await,
            Due::Conversation(key) => self.eraser.erase_conversation(key, now).await,
            Due::File(key) => self.eraser.erase_file(key, now).await,
            Due::Upload(key) => self.eraser.erase_upload(key, now).await,
            Due::Batch(key) => self.wake_batch(key, now).await,
            Due::VectorStore(key) => self.vector_stores.wake_for_store(key, now).await,
            Due::StoreFile(key) => self.vector_stores.wake_for_file(key, now).await,
            Due::Delivery(delivery) => self.deliverer.resume(delivery, now).await,
            Due::Project(work) => self.project_worker.go_on(work, now).await,
        };
        // One item that cannot be read must not keep the others waiting.
        if let Err(error) = done {
            tracing::error!(due = ?due, error = %ErrorChain(&error), "not swept");
        }
        report
    }

    /// Wakes a worker for a batch that has work left. Any number of sweepers may do so at once.
    async fn wake_batch(&self, key: &BatchKey, now: Timestamp) -> Result<(), Error> {
        let Some(batch) = self.batches.get(key).await? else { return Ok(()) };
        // The index lags behind the table by moments.
        if batch.due_at.is_none_or(|due_at| now.is_before(due_at, LONGEST_DUE_MS)) {
            return Ok(());
        }
        if self.batches.postpone(&batch, now.plus_ms(LOST_AFTER_MS)).await?.is_written() {
            self.queues.wake_for_batch(&batch, None, Duration::ZERO).await;
        }
        Ok(())
    }

    async fn sweep_meter(&self, meter: &MeterKey, now: Timestamp, report: &mut SweepReport) -> Result<(), Error> {
        let Some(shard) = self.meters.shard(meter).await? else { return Ok(()) };
        let models = self.models.known();
        let (expired, running): (Vec<Reservation>, Vec<Reservation>) =
            shard.reservations.into_iter().partition(|reservation| reservation.id.lease_until() <= now);
        for mut reservation in expired {
            let mut models = models.catalog.models().iter();
            // The model may have been removed from the catalog since.
            let model = models.find(|model| short_name(&model.name) == reservation.model);
            let operation = Operation::of(model.map_or(ModelKind::Chat, |model| model.kind));
            if let Some(model) = model {
                reservation.model.clone_from(&model.name);
            }
            let outcome = self.ledger.settle_expired(meter, &reservation, operation).await?;
            // The other levels of a call hold the same money.
            if outcome == SettleOutcome::Settled && meter.scope == Scope::Project {
                report.reservations_settled += 1;
                report.charged += reservation.amount;
            }
        }
        let next = running.iter().map(|reservation| reservation.id.lease_until()).min();
        let next = next.map(|next| next.min(now.plus_ms(SWEEP_INTERVAL_MS)));
        Ok(self.meters.set_due(meter, next).await?)
    }
}
