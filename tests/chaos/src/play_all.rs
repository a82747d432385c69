//! Plays many seeds in parallel, on several threads.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::run::{Outcome, play};
use crate::sim::{Case, lock};

/// A range of seeds with its first and last one, like `1..200`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedRange(pub RangeInclusive<u64>);

impl FromStr for SeedRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || format!("`{text}` is no range of seeds, expected one like 1..200");
        let (first, last) = text.split_once("..").ok_or_else(invalid)?;
        let number = |text: &str| text.trim_start_matches('=').parse::<u64>().map_err(|_| invalid());
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(invalid());
        }
        Ok(Self(first..=last))
    }
}

/// A seed that breaks an invariant, and its outcome.
pub type Broken = (u64, Outcome);

/// The seeds that are being played, and when each was started.
type Playing = Mutex<BTreeMap<u64, Instant>>;

/// The time after which a run is reported, because it may never end.
const LONG: Duration = Duration::from_secs(120);

/// Reports each seed that takes long, once, until the sender of `done` is dropped.
fn watch(playing: &Playing, done: &Receiver<()>) {
    while done.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
        lock(playing).retain(|seed, since| {
            let is_long = since.elapsed() >= LONG;
            if is_long {
                eprintln!("seed {seed} has been running for {} s", LONG.as_secs());
            }
            !is_long
        });
    }
}

/// Plays all seeds on `threads` threads and returns those that break an invariant, in order. Without `goes_on`, stops
/// after the first such seed. Calls `progress` after each seed, with the number of seeds so far, the seed and its
/// outcome.
///
/// # Errors
/// If a runtime cannot be created.
pub fn play_all(
    seeds: &SeedRange,
    threads: usize,
    goes_on: bool,
    progress: impl Fn(u64, u64, &Outcome) + Sync,
) -> std::io::Result<Vec<Broken>> {
    let next = AtomicU64::new(*seeds.0.start());
    let (played, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let (broken, playing) = (Mutex::new(Vec::new()), Playing::default());
    let work = || -> std::io::Result<()> {
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed > *seeds.0.end() || stop.load(Ordering::SeqCst) {
                return Ok(());
            }
            lock(&playing).insert(seed, Instant::now());
            let outcome = play(&Case::of_seed(seed), false)?;
            lock(&playing).remove(&seed);
            progress(played.fetch_add(1, Ordering::SeqCst) + 1, seed, &outcome);
            if outcome.violation.is_some() {
                lock(&broken).push((seed, outcome));
                stop.fetch_or(!goes_on, Ordering::SeqCst);
            }
        }
    };
    std::thread::scope(|scope| {
        let (working, done) = mpsc::channel();
        let playing = &playing;
        scope.spawn(move || watch(playing, &done));
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let played = threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(played) => played,
            Err(panicked) => std::panic::resume_unwind(panicked),
        });
        drop(working);
        played
    })?;
    let mut broken = broken.into_inner().unwrap_or_else(PoisonError::into_inner);
    broken.sort_by_key(|(seed, _)| *seed);
    Ok(broken)
}
