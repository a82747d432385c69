//! The state that all parts of one run share.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::rngs::StdRng;
use shared::model::clock::Clock;

use crate::faults::{Fault, Odds};
use crate::item_writes::ItemWrites;
use crate::meter_writes::MeterWrites;
use crate::observations::Observations;
use crate::scenario::Scenario;
use crate::seed::Seed;
use crate::trace::Trace;

/// A kind of call at which faults strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Site {
    /// A call of the table, the bucket or a queue.
    Store,
    Provider,
    Receiver,
    /// A batch of messages, or the timer of the sweeper.
    Platform,
}

impl Site {
    const ALL: [Self; 4] = [Self::Store, Self::Provider, Self::Receiver, Self::Platform];

    fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Provider => "provider",
            Self::Receiver => "receiver",
            Self::Platform => "platform",
        }
    }
}

/// One call of a run: its site, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FaultPoint(pub Site, pub u64);

impl fmt::Display for FaultPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.0.name(), self.1)
    }
}

impl FromStr for FaultPoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || format!("`{text}` is no place of a fault, expected one like store#17");
        let (name, number) = text.split_once('#').ok_or_else(invalid)?;
        let site = Site::ALL.into_iter().find(|site| site.name() == name).ok_or_else(invalid)?;
        Ok(Self(site, number.parse().map_err(|_| invalid())?))
    }
}

/// A run: its seed, and the parts that are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Case {
    pub seed: u64,
    /// Operations that are not run.
    pub without_operations: BTreeSet<usize>,
    /// Faults that do not strike.
    pub without_faults: BTreeSet<FaultPoint>,
}

impl Case {
    /// The whole run of a seed.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }
}

/// A call at a site, before it is made.
pub(crate) struct SiteCall {
    pub(crate) point: FaultPoint,
    /// The generator for everything that is drawn for this call.
    pub(crate) rng: StdRng,
    can_fail: bool,
}

impl SiteCall {
    /// Draws the fault of the call: `None` if the call goes well.
    pub(crate) fn draw<C, E>(&mut self, odds: &Odds<C, E>, call: &C) -> Option<&'static Fault<C, E>> {
        if self.can_fail { odds.draw(call, &mut self.rng) } else { None }
    }
}

pub(crate) struct Sim {
    pub(crate) seed: Seed,
    pub(crate) clock: Clock,
    pub(crate) trace: Trace,
    pub(crate) scenario: Scenario,
    pub(crate) meter_writes: MeterWrites,
    pub(crate) item_writes: ItemWrites,
    without: BTreeSet<FaultPoint>,
    faults_are_on: AtomicBool,
    observed: Mutex<Observations>,
    calls: Mutex<BTreeMap<Site, u64>>,
    faults: Mutex<Vec<(FaultPoint, String)>>,
}

impl Sim {
    #[must_use]
    pub(crate) fn new(case: &Case, clock: Clock, keeps_trace: bool) -> Arc<Self> {
        let seed = Seed::new(case.seed);
        Arc::new(Self {
            seed,
            trace: Trace::new(clock.clone(), keeps_trace),
            clock,
            scenario: Scenario::draw(seed),
            meter_writes: MeterWrites::default(),
            item_writes: ItemWrites::default(),
            without: case.without_faults.clone(),
            faults_are_on: AtomicBool::new(false),
            observed: Mutex::default(),
            calls: Mutex::default(),
            faults: Mutex::default(),
        })
    }

    /// Gives a call at a site its number and its generator.
    pub(crate) fn begin_call(&self, site: Site) -> SiteCall {
        let mut calls = lock(&self.calls);
        let count = calls.entry(site).or_default();
        let point = FaultPoint(site, *count);
        *count += 1;
        let can_fail = self.faults_are_on.load(Ordering::SeqCst) && !self.without.contains(&point);
        SiteCall { point, rng: self.seed.rng(site.name(), point.1), can_fail }
    }

    /// Records a fault that strikes.
    pub(crate) fn record_fault(&self, point: FaultPoint, text: fmt::Arguments<'_>) {
        self.trace.note(format_args!("FAULT {point}: {text}"));
        lock(&self.faults).push((point, text.to_string()));
    }

    /// Returns the faults so far.
    pub(crate) fn faults(&self) -> Vec<(FaultPoint, String)> {
        lock(&self.faults).clone()
    }

    /// Lets faults strike from now on.
    pub(crate) fn begin_faults(&self) {
        self.faults_are_on.store(true, Ordering::SeqCst);
        self.trace.note(format_args!("the faults begin"));
    }

    /// Lets no fault strike from now on.
    pub(crate) fn end_faults(&self) {
        self.faults_are_on.store(false, Ordering::SeqCst);
        self.trace.note(format_args!("the faults are over"));
    }

    /// Locks the observations. The guard must not be held across an await: all tasks run on one thread.
    pub(crate) fn observed(&self) -> MutexGuard<'_, Observations> {
        lock(&self.observed)
    }
}

/// Locks a mutex, also one whose owner panicked: no value here is ever half written.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_the_fault_points_that_it_prints() {
        for site in Site::ALL {
            let point = FaultPoint(site, 17);
            assert_eq!(point.to_string().parse::<FaultPoint>(), Ok(point));
        }
        for invalid in ["", "store", "store#", "#1", "shop#1", "store#x", "store#1#2", "store#-1"] {
            assert!(invalid.parse::<FaultPoint>().is_err(), "{invalid}");
        }
    }
}
