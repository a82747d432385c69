//! Admission: one conditional write reserves the worst case of a call before a provider is called.
//!
//! Admission refuses; it never shrinks a reservation. Every rare case (a new month, changed limits, an empty shard, the
//! end of a budget) goes through one mechanism: read all shards, decide with a pure function (`model::meter::plan`), act,
//! try again.

mod hints;
mod request;

use super::error::Error;
use crate::data::{AdmissionAttempt, AdmitOutcome, Meters, ProjectRecords, StoreError, Stores};
use crate::data::{SettleOutcome, WindowChange};
use crate::model::backoff::pause;
use crate::model::clock::{Clock, Timestamp};
use crate::model::meter::{
    Demand, MAX_SHARDS, MeterKey, MeterLimits, PlacedReservation, Plan, RateStatus, Refusal, Shard, Window, plan,
};
use crate::model::money::MicroUsd;
use crate::model::project::Project;
use hints::Hints;
pub(super) use request::{AdmissionRequest, Admitted};

/// A minute, the length of a rate window.
const WINDOW_MS: u64 = 60_000;

/// Times that an admission retries after another instance changed the meter first.
const MAX_TRIES: u32 = 12;

/// Reserves the worst case of a call before it is made, and settles it once.
pub(super) struct Admission {
    meters: Meters,
    projects: ProjectRecords,
    hints: Hints,
    clock: Clock,
}

impl Admission {
    pub(super) fn new(stores: &Stores, clock: Clock) -> Self {
        Self { meters: stores.meters(), projects: stores.projects(), hints: Hints::new(), clock }
    }

    /// Admits a call: reserves its worst case and counts it against the rates, or refuses.
    ///
    /// # Errors
    /// `Refused` by a limit; `Unpriced` or `Invalid` if no budget can pay for the call; `Contended` if other instances
    /// changed the meter first too often; `NotFound` if the project is gone.
    pub(super) async fn admit(&self, request: &AdmissionRequest<'_>) -> Result<Admitted, Error> {
        let mut limits = MeterLimits::of(request.project);
        if let Some(limit) = limits.project.tokens_per_minute.filter(|&limit| request.tokens > limit) {
            return Err(Error::Refused(Refusal::too_large(limit, request.tokens).into()));
        }
        let now = self.clock.now();
        let demand = Demand { amount: request.amount, tokens: request.tokens, now };
        let mut meter = MeterKey { project_id: request.project.id.clone(), period: now.month(), shard: 0 };
        meter.shard = self.hints.home(&meter, &limits);
        let mut window_ends = self.hints.window_ends(&meter);
        for tried in 0..MAX_TRIES {
            // Checked against the limits in force: the remembered project may not have had a budget yet.
            if limits.project.budget.is_some() {
                request.accountable.clone()?;
            }
            let attempt = request.attempt(&limits, &meter, window_ends, now);
            match self.meters.admit(&meter, &attempt).await? {
                AdmitOutcome::Admitted(window) => {
                    let window = Window { ends: window_ends, ..window };
                    return Ok(self.to_admitted(meter, attempt, window, &limits, now));
                }
                // Only the hint about the rate window was wrong: try again with the window that the table has.
                AdmitOutcome::Refused(shard)
                    if limits.has_rates() && is_misjudged(&attempt, shard.window.ends, now) =>
                {
                    window_ends = shard.window.ends;
                }
                AdmitOutcome::Refused(_) | AdmitOutcome::NoShard => {
                    (limits, window_ends) = self.reconsider(request, limits, &demand, &mut meter).await?;
                    pause(tried).await;
                }
            }
        }
        Err(Error::Contended("the project's meter"))
    }

    /// Reads all shards, decides, acts. Returns the limits and the window to try next.
    async fn reconsider(
        &self,
        request: &AdmissionRequest<'_>,
        mut limits: MeterLimits,
        demand: &Demand,
        meter: &mut MeterKey,
    ) -> Result<(MeterLimits, Timestamp), Error> {
        let shards = self.meters.shards(&meter.project_id, &meter.period).await?;
        if shards.iter().all(Option::is_none) {
            // Without a shard nothing in the table shows that the remembered project is old: once a month it is read again.
            limits = MeterLimits::of(&self.load_project(&request.project.id).await?);
        }
        match plan(&shards, &limits, demand, demand.now.next_month()) {
            Plan::Try { shard, window_ends } => {
                self.hints.move_home(meter, shard);
                Ok((limits, window_ends))
            }
            Plan::Refill { changes, shard } => {
                let changed = self.meters.change_shards(&meter.project_id, &meter.period, &changes, demand.now).await?;
                // Another instance changed the shards first, perhaps for newer limits.
                if !changed.is_written() {
                    limits = MeterLimits::of(&self.load_project(&meter.project_id).await?);
                }
                self.hints.move_home(meter, shard);
                Ok((limits, window_of(&shards, shard).unwrap_or_default()))
            }
            Plan::ReadAgain => {
                let project = self.load_project(&request.project.id).await?;
                Ok((MeterLimits::of(&project), self.hints.window_ends(meter)))
            }
            Plan::Refuse(refusal) => Err(Error::Refused(refusal.into())),
        }
    }

    fn to_admitted(
        &self,
        meter: MeterKey,
        attempt: AdmissionAttempt,
        window: Window,
        limits: &MeterLimits,
        now: Timestamp,
    ) -> Admitted {
        let ends = match attempt.window {
            WindowChange::Open { ends } => ends,
            WindowChange::Count | WindowChange::Ignore => window.ends,
        };
        self.hints.remember_window(&meter, ends);
        let tokens = if limits.has_rates() { attempt.tokens } else { 0 };
        Admitted {
            rates: RateStatus::of_shard(limits, &Window { ends, ..window }, now),
            budgeted: attempt.budgeted,
            placed: PlacedReservation { meter, reservation: attempt.reservation, tokens, window_ends: ends },
        }
    }

    /// Settles a reservation at its true cost. Safe to repeat: the outcome says whether it was settled before.
    ///
    /// # Errors
    /// If the table fails; the sweeper then settles the reservation in full when its lease has ended.
    pub(super) async fn settle(
        &self,
        placed: &PlacedReservation,
        cost: MicroUsd,
        tokens: u64,
    ) -> Result<SettleOutcome, StoreError> {
        let same_window = self.clock.now() < placed.window_ends;
        let unused = if same_window && placed.tokens > 0 { difference(placed.tokens, tokens) } else { 0 };
        self.meters.settle(&placed.meter, &placed.reservation, cost, unused).await
    }

    /// Brings changed limits into force at once: fills this month's meter, if there is one, for the new revision.
    ///
    /// The meter refuses instances that remember the old limits; they read the project again.
    ///
    /// # Errors
    /// `Contended` if other instances changed the meter first too often.
    pub(super) async fn apply_limits(&self, project: &Project) -> Result<(), Error> {
        let limits = MeterLimits::of(project);
        let now = self.clock.now();
        let nothing = Demand { amount: MicroUsd(0), tokens: 0, now };
        let period = now.month();
        for tried in 0..MAX_TRIES {
            let shards = self.meters.shards(&project.id, &period).await?;
            if shards.iter().all(Option::is_none) {
                return Ok(());
            }
            let Plan::Refill { changes, .. } = plan(&shards, &limits, &nothing, now.next_month()) else {
                return Ok(());
            };
            if self.meters.change_shards(&project.id, &period, &changes, now).await?.is_written() {
                return Ok(());
            }
            pause(tried).await;
        }
        Err(Error::Contended("the project's meter"))
    }

    /// Learns the rate windows of a project's meter while the project's key is read, so that the first admission succeeds
    /// with its first write.
    pub(super) async fn prefetch(&self, project_id: &str) {
        let period = self.clock.now().month();
        // A missing hint costs one more round trip later, nothing else.
        let shards = self.meters.shards(project_id, &period).await.unwrap_or_default();
        for (shard, state) in (0..MAX_SHARDS).zip(shards) {
            let meter = MeterKey { project_id: project_id.to_owned(), period: period.clone(), shard };
            if let Some(state) = state {
                self.hints.remember_window(&meter, state.window.ends);
            }
        }
    }

    async fn load_project(&self, id: &str) -> Result<Project, Error> {
        self.projects.get(id).await?.ok_or_else(|| Error::not_found("project", id))
    }
}

fn window_of(shards: &[Option<Shard>], shard: u8) -> Option<Timestamp> {
    Some(shards.get(usize::from(shard))?.as_ref()?.window.ends)
}

/// `counted - used`, below zero if more was used.
fn difference(counted: u64, used: u64) -> i64 {
    i64::try_from(counted).unwrap_or(i64::MAX).saturating_sub(i64::try_from(used).unwrap_or(i64::MAX))
}

/// Whether the attempt took an open window for ended, or an ended one for open.
fn is_misjudged(attempt: &AdmissionAttempt, window_ends: Timestamp, now: Timestamp) -> bool {
    match attempt.window {
        WindowChange::Ignore => false,
        WindowChange::Count => window_ends <= now,
        WindowChange::Open { .. } => window_ends > now,
    }
}
