//! What everything in one run shares: its rng, its time, its trace, its weather, and what was seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::rngs::StdRng;
use shared::model::clock::Clock;

use crate::dice::Dice;
use crate::faults::{Fault, Odds};
use crate::ledger::Ledger;
use crate::trace::Trace;
use crate::weather::Weather;

/// Where a fault can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Site {
    /// A call of the table, the bucket or a queue.
    Store,
    Provider,
    Receiver,
    /// What the platform does with messages and timers.
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

/// One place of a run: the call number so and so at a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(pub Site, pub u64);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.0.name(), self.1)
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no place of a fault, expected one like store#17");
        let (name, number) = text.split_once('#').ok_or_else(wrong)?;
        let site = Site::ALL.into_iter().find(|site| site.name() == name).ok_or_else(wrong)?;
        Ok(Self(site, number.parse().map_err(|_| wrong())?))
    }
}

/// Which run, and what of it is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Case {
    pub seed: u64,
    /// Operations that are not made.
    pub without_operations: BTreeSet<usize>,
    /// Faults that do not happen.
    pub without_faults: BTreeSet<Place>,
}

impl Case {
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }
}

/// A call that has reached its place.
pub(crate) struct Arrival {
    pub(crate) place: Place,
    /// All that is drawn for this call.
    pub(crate) rng: StdRng,
    can_fail: bool,
}

impl Arrival {
    /// Draws the fault of the call: `None` if the call goes well.
    pub(crate) fn draw<C, E>(&mut self, odds: &Odds<C, E>, call: &C) -> Option<&'static Fault<C, E>> {
        if self.can_fail { odds.draw(call, &mut self.rng) } else { None }
    }
}

pub(crate) struct Sim {
    pub(crate) dice: Dice,
    pub(crate) clock: Clock,
    pub(crate) trace: Trace,
    pub(crate) weather: Weather,
    /// Writes to meters so far.
    pub(crate) meter_writes: AtomicU64,
    without: BTreeSet<Place>,
    is_over: AtomicBool,
    ledger: Mutex<Ledger>,
    counts: Mutex<BTreeMap<Site, u64>>,
    injected: Mutex<Vec<(Place, String)>>,
}

impl Sim {
    #[must_use]
    pub(crate) fn new(case: &Case, clock: Clock, keeps_trace: bool) -> Arc<Self> {
        let dice = Dice::new(case.seed);
        Arc::new(Self {
            dice,
            trace: Trace::new(clock.clone(), keeps_trace),
            clock,
            weather: Weather::draw(dice),
            meter_writes: AtomicU64::new(0),
            without: case.without_faults.clone(),
            is_over: AtomicBool::new(true),
            ledger: Mutex::default(),
            counts: Mutex::default(),
            injected: Mutex::default(),
        })
    }

    /// Counts a call at a site.
    pub(crate) fn arrive(&self, site: Site) -> Arrival {
        let mut counts = locked(&self.counts);
        let count = counts.entry(site).or_default();
        let place = Place(site, *count);
        *count += 1;
        let can_fail = !self.is_over.load(Ordering::SeqCst) && !self.without.contains(&place);
        Arrival { place, rng: self.dice.at(site.name(), place.1), can_fail }
    }

    /// A fault happens.
    pub(crate) fn inject(&self, place: Place, what: fmt::Arguments<'_>) {
        self.trace.note(format_args!("FAULT {place}: {what}"));
        locked(&self.injected).push((place, what.to_string()));
    }

    /// The faults so far.
    pub(crate) fn injected(&self) -> Vec<(Place, String)> {
        locked(&self.injected).clone()
    }

    /// From now on things fail.
    pub(crate) fn begin_faults(&self) {
        self.is_over.store(false, Ordering::SeqCst);
        self.trace.note(format_args!("the faults begin"));
    }

    /// From now on nothing fails any more.
    pub(crate) fn end_faults(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.trace.note(format_args!("the faults are over"));
    }

    /// What was seen so far. Not to be held across an await.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        locked(&self.ledger)
    }
}

/// A panic elsewhere leaves nothing half-written here.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        for site in Site::ALL {
            let place = Place(site, 17);
            assert_eq!(place.to_string().parse::<Place>(), Ok(place));
        }
        for wrong in ["", "store", "store#", "#1", "shop#1", "store#x", "store#1#2", "store#-1"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}
