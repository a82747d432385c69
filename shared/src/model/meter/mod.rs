//! Meters: the money that a project, an API key or a run may still spend, its reservations and its rate windows.
//!
//! A call is reserved on each level that has limits: its project, its key and its run. Each level has a meter of its own.
//! A meter has one or more shards. Everything that is decided about a meter is decided here, from its shards and without
//! a store: `data` keeps the shards, and `app` carries the decisions out.

mod decision;
mod limits;
mod plan;
mod rates;
mod refusal;
mod run;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use super::clock::Timestamp;
use super::id;
use super::id::Fingerprint;
use super::money::MicroUsd;
pub use decision::{Decision, Standing, decide, decide_run};
pub use limits::MeterLimits;
pub use plan::{Demand, Plan, ShardChange, plan};
pub use rates::{Rate, RateStatus};
pub use refusal::{Counted, Limit, Refusal};
pub use run::{Run, RunName};

/// The most shards of a meter.
pub const MAX_SHARDS: u8 = 16;

/// The most reservations of a shard: an item has 400 KB at most, and every admission is billed by its size.
pub const MAX_RESERVATIONS: usize = 4_000;

/// The levels on which a call is reserved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Level {
    #[default]
    Project,
    ApiKey,
    Run,
}

impl Level {
    /// Its name in JSON.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::ApiKey => "api_key",
            Self::Run => "run",
        }
    }

    /// Its owner in a sentence: `The project's budget ...`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::ApiKey => "API key",
            Self::Run => "run",
        }
    }
}

/// The part of a project that a meter is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All of it.
    #[default]
    Project,
    /// One API key, by its hash.
    ApiKey(String),
    /// One run, by the hash of its name.
    Run(String),
}

/// Identifies a shard of a meter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MeterKey {
    pub project_id: String,
    pub scope: Scope,
    /// Calendar month in UTC, `2026-11`; [`RUN_PERIOD`] for a run.
    pub period: String,
    pub shard: u8,
}

/// The period of a run's meter: a run has one from its first call to its end.
pub const RUN_PERIOD: &str = "RUN";

impl MeterKey {
    /// The first shard of a project's meter.
    #[must_use]
    pub fn of_project(project_id: &str, period: String) -> Self {
        Self { project_id: project_id.to_owned(), scope: Scope::Project, period, shard: 0 }
    }

    /// Another shard of the same meter.
    #[must_use]
    pub fn with_shard(&self, shard: u8) -> Self {
        Self { shard, ..self.clone() }
    }
}

/// Who needs a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReservedFor {
    /// A call whose caller waits. A limit says how many of them are open at the same time.
    Request,
    /// A background response. Many may wait for a worker.
    Job,
}

/// Identifies a reservation within its shard: the end of its lease as 8 hexadecimal digits of Unix seconds, a letter for
/// [`ReservedFor`], then 8 random characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReservationId(String);

impl ReservationId {
    #[must_use]
    pub fn new(lease_until: Timestamp, reserved_for: ReservedFor) -> Self {
        let letter = match reserved_for {
            ReservedFor::Request => 'r',
            ReservedFor::Job => 'j',
        };
        Self(format!("{:08x}{letter}{}", lease_until.0.div_ceil(1_000), id::random(8)))
    }

    /// An id that the table holds.
    pub(crate) fn from_stored(text: &str) -> Self {
        Self(text.to_owned())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn reserved_for(&self) -> ReservedFor {
        match self.0.as_bytes().get(8) {
            Some(b'r') => ReservedFor::Request,
            _ => ReservedFor::Job,
        }
    }

    /// When the sweeper may settle the reservation.
    #[must_use]
    pub fn lease_until(&self) -> Timestamp {
        let seconds = self.0.get(..8).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0);
        Timestamp(seconds * 1_000)
    }
}

/// Money held for a running call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    pub id: ReservationId,
    pub amount: MicroUsd,
    /// In a meter that was read: the [`short_name`].
    pub model: String,
}

/// A longer name of a model is cut in a meter: a shard must have room for [`MAX_RESERVATIONS`], whatever models are called.
const MAX_MODEL_NAME: usize = 40;

/// The name of a model as a meter keeps it. A long name is cut and gets a part of its hash, so that no two are equal.
#[must_use]
pub fn short_name(model: &str) -> Cow<'_, str> {
    if model.len() <= MAX_MODEL_NAME {
        return model.into();
    }
    let kept = model.floor_char_boundary(MAX_MODEL_NAME - 13);
    let hash = Fingerprint::of([model.as_bytes()]);
    format!("{}~{}", &model[..kept], &hash.as_str()[..12]).into()
}

/// A reservation with the shard that holds it: all that its settlement needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedReservation {
    pub meter: MeterKey,
    pub reservation: Reservation,
    /// Tokens counted into the rate window that ends at `window_ends`.
    pub tokens: u64,
    pub window_ends: Timestamp,
}

/// The reservations of one call: on its project, and on each other level that has limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedReservations {
    pub project: PlacedReservation,
    pub inner: Vec<PlacedReservation>,
}

impl PlacedReservations {
    /// All of them, the project's first.
    pub fn all(&self) -> impl Iterator<Item = &PlacedReservation> {
        std::iter::once(&self.project).chain(&self.inner)
    }
}

/// The rate window of a shard: a minute that begins with its first request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    pub ends: Timestamp,
    pub requests: u64,
    pub tokens: u64,
}

/// A minute, the length of a rate window.
pub const WINDOW_MS: u64 = 60_000;

/// Whether a rate window with this end is open. One that was set before the clock was set back is not; see decision 28.
#[must_use]
pub fn is_open(ends: Timestamp, now: Timestamp) -> bool {
    now.is_before(ends, WINDOW_MS)
}

/// One shard of a meter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shard {
    /// Revision of the limits; negative while a limit is exceeded that was lowered.
    pub revision: i64,
    /// Micro-dollars neither spent nor reserved; negative without a budget.
    pub avail: i64,
    pub spent: MicroUsd,
    /// Shard 0 only: the budget that filled all shards.
    pub limit: Option<MicroUsd>,
    /// When the run ends; `None` for other meters.
    pub ends_at: Option<Timestamp>,
    /// Ordered by the end of their leases, the earliest first.
    pub reservations: Vec<Reservation>,
    /// How many of the reservations are for requests.
    pub open_requests: u64,
    pub window: Window,
}

impl Shard {
    /// The sum of all reservations.
    #[must_use]
    pub fn held(&self) -> MicroUsd {
        self.reservations.iter().map(|reservation| reservation.amount).sum()
    }
}
