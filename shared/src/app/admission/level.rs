//! Admission on one level: a project or an API key. Runs have a simpler meter, see `run`.

use super::hints::Hints;
use super::request::window_change;
use super::{AdmissionRequest, MAX_TRIES};
use crate::app::error::Error;
use crate::data::{
    AdmissionAttempt, AdmitOutcome, ApiKeys, CountAttempt, Meters, ProjectRecords, Stores, WindowChange,
};
use crate::model::backoff::pause;
use crate::model::clock::{Clock, Timestamp};
use crate::model::id::Fingerprint;
use crate::model::meter::{
    Demand, Level, MAX_SHARDS, MeterKey, MeterLimits, PlacedReservation, Plan, RateStatus, Refusal, ReservedFor, Scope,
    Shard, Window, is_open, plan,
};
use crate::model::money::MicroUsd;
use crate::model::project::{KeyLimits, Project};

/// A level with its limits, as the caller knows them.
#[derive(Debug, Clone)]
pub(super) struct LimitedLevel {
    /// The first shard of the level's meter.
    pub(super) meter: MeterKey,
    pub(super) limits: MeterLimits,
}

impl LimitedLevel {
    pub(super) fn of_project(project: &Project, period: String) -> Self {
        Self { meter: MeterKey::of_project(&project.id, period), limits: limits_of(project) }
    }

    pub(super) fn of_key(project_id: &str, key: &KeyLimits, period: String) -> Self {
        let scope = Scope::ApiKey(key.hash.as_str().to_owned());
        let limits = MeterLimits::new(Level::ApiKey, key.limits, key.revision);
        Self { meter: MeterKey { scope, ..MeterKey::of_project(project_id, period) }, limits }
    }
}

/// An admission on one level.
pub(super) struct AdmittedLevel {
    pub(super) placed: PlacedReservation,
    pub(super) rates: RateStatus,
    pub(super) budgeted: bool,
}

/// Admits calls on levels whose limits an administrator sets.
pub(super) struct LevelAdmission {
    meters: Meters,
    projects: ProjectRecords,
    api_keys: ApiKeys,
    hints: Hints,
    clock: Clock,
}

impl LevelAdmission {
    pub(super) fn new(stores: &Stores, clock: Clock) -> Self {
        let (meters, projects, api_keys) = (stores.meters(), stores.projects(), stores.api_keys());
        Self { meters, projects, api_keys, hints: Hints::new(), clock }
    }

    /// Reserves the worst case of a call and counts it against the rates, or refuses.
    pub(super) async fn admit(
        &self,
        request: &AdmissionRequest<'_>,
        level: LimitedLevel,
    ) -> Result<AdmittedLevel, Error> {
        let LimitedLevel { mut meter, mut limits } = level;
        if let Some(limit) = limits.limits.tokens_per_minute.filter(|&limit| request.tokens > limit) {
            return Err(Error::Refused(Refusal::too_large(limits.level, limit, request.tokens).into()));
        }
        let now = self.clock.now();
        meter.shard = self.hints.home(&meter, &limits);
        let mut window_ends = self.hints.window_ends(&meter);
        for tried in 0..MAX_TRIES {
            // Checked against the limits in force: the remembered level may not have had a budget yet.
            if limits.limits.budget.is_some() {
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
                    if limits.has_rates() && is_misjudged(attempt.window, shard.window.ends, now) =>
                {
                    window_ends = shard.window.ends;
                }
                AdmitOutcome::Refused(_) | AdmitOutcome::NoShard => {
                    (limits, window_ends) = self.reconsider(&request.demand(now), limits, &mut meter).await?;
                    pause(tried).await;
                }
            }
        }
        Err(Error::Contended("the meter of the call's limits"))
    }

    /// Counts a request that calls no model against the requests per minute, or refuses it.
    pub(super) async fn count(&self, level: LimitedLevel) -> Result<(), Error> {
        let LimitedLevel { mut meter, mut limits } = level;
        let now = self.clock.now();
        let demand = Demand { amount: MicroUsd(0), tokens: 0, reserved_for: None, now };
        meter.shard = self.hints.home(&meter, &limits);
        let mut window_ends = self.hints.window_ends(&meter);
        for tried in 0..MAX_TRIES {
            if limits.limits.requests_per_minute.is_none() {
                return Ok(());
            }
            let (revision, max_requests) = (limits.revision, limits.share_of_requests(meter.shard));
            let window = window_change(&limits, window_ends, now);
            match self.meters.count(&meter, &CountAttempt { revision, max_requests, window, now }).await? {
                AdmitOutcome::Admitted(counted) => {
                    self.hints.remember_window(&meter, counted.ends);
                    return Ok(());
                }
                AdmitOutcome::Refused(shard) if is_misjudged(window, shard.window.ends, now) => {
                    window_ends = shard.window.ends;
                }
                AdmitOutcome::Refused(_) | AdmitOutcome::NoShard => {
                    (limits, window_ends) = self.reconsider(&demand, limits, &mut meter).await?;
                    pause(tried).await;
                }
            }
        }
        Err(Error::Contended("the meter of the request's limits"))
    }

    /// Reads all shards, decides, acts. Returns the limits and the window to try next.
    async fn reconsider(
        &self,
        demand: &Demand,
        mut limits: MeterLimits,
        meter: &mut MeterKey,
    ) -> Result<(MeterLimits, Timestamp), Error> {
        let shards = self.meters.shards(meter).await?;
        if shards.iter().all(Option::is_none) {
            // Without a shard nothing in the table shows that the remembered limits are old: once a month they are read again.
            limits = self.load_limits(meter).await?;
        }
        match plan(&shards, &limits, demand, demand.now.next_month()) {
            Plan::Try { shard, window_ends } => {
                self.hints.move_home(meter, shard);
                Ok((limits, window_ends))
            }
            Plan::Refill { changes, shard } => {
                // Another instance changed the shards first, perhaps for newer limits.
                if !self.meters.change_shards(meter, &changes, demand.now).await?.is_written() {
                    limits = self.load_limits(meter).await?;
                }
                self.hints.move_home(meter, shard);
                Ok((limits, window_of(&shards, shard).unwrap_or_default()))
            }
            Plan::ReadAgain => Ok((self.load_limits(meter).await?, self.hints.window_ends(meter))),
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
    ) -> AdmittedLevel {
        let ends = match attempt.window {
            WindowChange::Open { ends } => ends,
            WindowChange::Count | WindowChange::Ignore => window.ends,
        };
        self.hints.remember_window(&meter, ends);
        let tokens = if limits.has_rates() { attempt.tokens } else { 0 };
        AdmittedLevel {
            rates: RateStatus::of_shard(limits, &Window { ends, ..window }, now),
            budgeted: attempt.budgeted,
            placed: PlacedReservation { meter, reservation: attempt.reservation, tokens, window_ends: ends },
        }
    }

    /// Brings changed limits into force at once: fills this month's meter, if there is one, for the new revision.
    ///
    /// The meter refuses instances that remember the old limits; they read them again.
    pub(super) async fn apply(&self, level: &LimitedLevel) -> Result<(), Error> {
        let now = self.clock.now();
        let nothing = Demand { amount: MicroUsd(0), tokens: 0, reserved_for: Some(ReservedFor::Job), now };
        for tried in 0..MAX_TRIES {
            let shards = self.meters.shards(&level.meter).await?;
            if shards.iter().all(Option::is_none) {
                return Ok(());
            }
            let Plan::Refill { changes, .. } = plan(&shards, &level.limits, &nothing, now.next_month()) else {
                return Ok(());
            };
            if self.meters.change_shards(&level.meter, &changes, now).await?.is_written() {
                return Ok(());
            }
            pause(tried).await;
        }
        Err(Error::Contended("the meter of the changed limits"))
    }

    /// Learns the rate windows of a meter, so that the first admission succeeds with its first write.
    pub(super) async fn prefetch(&self, meter: &MeterKey) {
        // A missing hint costs one more round trip later, nothing else.
        let shards = self.meters.shards(meter).await.unwrap_or_default();
        for (shard, state) in (0..MAX_SHARDS).zip(shards) {
            if let Some(state) = state {
                self.hints.remember_window(&meter.with_shard(shard), state.window.ends);
            }
        }
    }

    /// Learns the rate window of a meter's first shard, which is the only one where limits are small.
    pub(super) async fn prefetch_first(&self, meter: &MeterKey) {
        if let Ok(Some(state)) = self.meters.shard(meter).await {
            self.hints.remember_window(meter, state.window.ends);
        }
    }

    pub(super) async fn load_limits(&self, meter: &MeterKey) -> Result<MeterLimits, Error> {
        if let Scope::ApiKey(hash) = &meter.scope {
            let key = self.api_keys.by_hash(&Fingerprint::from_hex(hash.clone())).await?;
            let key = key.ok_or_else(|| Error::not_found("API key", "of this call"))?;
            return Ok(MeterLimits::new(Level::ApiKey, key.limits, key.revision));
        }
        let project = self.projects.get(&meter.project_id).await?;
        project.as_ref().map(limits_of).ok_or_else(|| Error::not_found("project", &meter.project_id))
    }
}

fn limits_of(project: &Project) -> MeterLimits {
    MeterLimits::new(Level::Project, project.limits, project.revision)
}

fn window_of(shards: &[Option<Shard>], shard: u8) -> Option<Timestamp> {
    Some(shards.get(usize::from(shard))?.as_ref()?.window.ends)
}

/// Whether the attempt took an open window for ended, or an ended one for open.
fn is_misjudged(window: WindowChange, window_ends: Timestamp, now: Timestamp) -> bool {
    match window {
        WindowChange::Ignore => false,
        WindowChange::Count => !is_open(window_ends, now),
        WindowChange::Open { .. } => is_open(window_ends, now),
    }
}
