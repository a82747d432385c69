//! Admission: one conditional write on each level reserves the worst case of a call before a provider is called.
//!
//! The levels are the call's project, its API key and its run. A call is admitted if all of them admit it. Admission
//! refuses; it never shrinks a reservation. Every rare case (a new month, changed limits, an empty shard, the end of a
//! budget) goes through one mechanism: read all shards, decide with a pure function (`model::meter::plan`), act, try again.

mod hints;
mod level;
mod quote;
mod request;
mod run;

use futures_util::future::{OptionFuture, join_all};

use super::error::Error;
use crate::data::{Meters, SettleOutcome, StoreError, Stores};
use crate::model::clock::Clock;
use crate::model::error_chain::ErrorChain;
use crate::model::id::Fingerprint;
use crate::model::meter::{MeterKey, PlacedReservation, PlacedReservations, Scope, is_open};
use crate::model::money::MicroUsd;
use crate::model::project::{Caller, KeyLimits, Project};
use level::{AdmittedLevel, LevelAdmission, LimitedLevel};
pub use quote::LevelQuote;
pub(super) use request::{AdmissionRequest, Admitted, Levels};
use run::RunAdmission;

/// Times that an admission retries after another instance changed the meter first.
const MAX_TRIES: u32 = 12;

/// Reserves the worst case of a call before it is made, and settles it once.
pub(super) struct Admission {
    levels: LevelAdmission,
    runs: RunAdmission,
    meters: Meters,
    clock: Clock,
}

impl Admission {
    pub(super) fn new(stores: &Stores, clock: Clock) -> Self {
        let levels = LevelAdmission::new(stores, clock.clone());
        let runs = RunAdmission::new(stores.meters(), clock.clone());
        Self { levels, runs, meters: stores.meters(), clock }
    }

    /// Admits a call on all of its levels in one round trip, or refuses: then no level keeps a reservation.
    ///
    /// # Errors
    /// `Refused` by a limit of a level; `Unpriced` or `Invalid` if no budget can pay for the call; `Contended` if other
    /// instances changed a meter first too often; `NotFound` if the project or the key is gone.
    pub(super) async fn admit(&self, request: &AdmissionRequest<'_>) -> Result<Admitted, Error> {
        let Levels { project, run, .. } = request.levels;
        let period = self.clock.now().month();
        let key = request.levels.limited_key().map(|key| LimitedLevel::of_key(&project.id, key, period.clone()));
        let (project, key, run) = tokio::join!(
            self.levels.admit(request, LimitedLevel::of_project(project, period)),
            OptionFuture::from(key.map(|key| self.levels.admit(request, key))),
            OptionFuture::from(run.map(|run| self.runs.admit(request, run, &project.id))),
        );
        self.all_or_none(std::iter::once(project).chain(key).chain(run)).await
    }

    /// Counts a request that stores something and calls no model against the requests per minute of its project and its key.
    ///
    /// # Errors
    /// `Refused` by the limit of a level; `Contended`; `NotFound` if the project or the key is gone.
    pub(super) async fn count(&self, caller: &Caller) -> Result<(), Error> {
        let Caller { project, key, .. } = caller;
        let period = self.clock.now().month();
        let levels = Levels { project, key: Some(key), run: None };
        let key = levels.limited_key().map(|key| LimitedLevel::of_key(&project.id, key, period.clone()));
        let (project, key) = tokio::join!(
            self.levels.count(LimitedLevel::of_project(project, period)),
            OptionFuture::from(key.map(|key| self.levels.count(key))),
        );
        project.and(key.unwrap_or(Ok(())))
    }

    /// Joins the admissions of the levels, the project's first. If a level refused, the others are given back.
    async fn all_or_none(&self, levels: impl Iterator<Item = Result<AdmittedLevel, Error>>) -> Result<Admitted, Error> {
        let (mut admitted, mut refused) = (Vec::new(), None);
        for level in levels {
            match level {
                Ok(level) => admitted.push(level),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        if let Some(error) = refused {
            join_all(admitted.iter().map(|level| self.give_back(&level.placed))).await;
            return Err(error);
        }
        let budgeted = admitted.iter().any(|level| level.budgeted);
        let rates = admitted.iter().map(|level| level.rates).reduce(|one, other| one.tighter(other));
        let mut placed = admitted.into_iter().map(|level| level.placed);
        let project = placed.next().ok_or_else(|| Error::internal("admit the call")("it has no project"))?;
        let placed = PlacedReservations { project, inner: placed.collect() };
        Ok(Admitted { placed, rates: rates.unwrap_or_default(), budgeted })
    }

    async fn give_back(&self, placed: &PlacedReservation) {
        if let Err(error) = self.settle_one(placed, MicroUsd(0), 0).await {
            tracing::error!(error = %ErrorChain(&error), "reservation not given back, the sweeper will settle it");
        }
    }

    /// Settles the reservations of a call at its true cost, on all levels in one round trip. Safe to repeat: the outcome
    /// is that of the project's level, and says whether the call was settled before.
    ///
    /// # Errors
    /// If the table fails; the sweeper then settles the reservation in full when its lease has ended.
    pub(super) async fn settle(
        &self,
        placed: &PlacedReservations,
        cost: MicroUsd,
        tokens: u64,
    ) -> (Result<SettleOutcome, StoreError>, Result<(), StoreError>) {
        let inner = async {
            let settled = join_all(placed.inner.iter().map(|placed| self.settle_one(placed, cost, tokens))).await;
            settled.into_iter().try_for_each(|outcome| outcome.map(drop))
        };
        tokio::join!(self.settle_one(&placed.project, cost, tokens), inner)
    }

    async fn settle_one(
        &self,
        placed: &PlacedReservation,
        cost: MicroUsd,
        tokens: u64,
    ) -> Result<SettleOutcome, StoreError> {
        let same_window = is_open(placed.window_ends, self.clock.now());
        let unused = if same_window && placed.tokens > 0 { difference(placed.tokens, tokens) } else { 0 };
        self.meters.settle(&placed.meter, &placed.reservation, cost, unused).await
    }

    /// Brings changed limits of a project into force at once.
    ///
    /// # Errors
    /// `Contended` if other instances changed the meter first too often.
    pub(super) async fn apply_limits(&self, project: &Project) -> Result<(), Error> {
        self.levels.apply(&LimitedLevel::of_project(project, self.clock.now().month())).await
    }

    /// Brings changed limits of an API key into force at once.
    ///
    /// # Errors
    /// As [`Admission::apply_limits`].
    pub(super) async fn apply_key_limits(&self, project_id: &str, key: &KeyLimits) -> Result<(), Error> {
        self.levels.apply(&LimitedLevel::of_key(project_id, key, self.clock.now().month())).await
    }

    /// Learns the rate windows of a project and of a key while the key is read.
    pub(super) async fn prefetch(&self, project_id: &str, key: &Fingerprint) {
        let meter = MeterKey::of_project(project_id, self.clock.now().month());
        let key = MeterKey { scope: Scope::ApiKey(key.as_str().to_owned()), ..meter.clone() };
        tokio::join!(self.levels.prefetch(&meter), self.levels.prefetch_first(&key));
    }
}

/// `counted - used`, below zero if more was used.
fn difference(counted: u64, used: u64) -> i64 {
    i64::try_from(counted).unwrap_or(i64::MAX).saturating_sub(i64::try_from(used).unwrap_or(i64::MAX))
}
