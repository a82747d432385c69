//! A short range of seeds, the seeds that found something once, and what the simulation says of itself.

mod simulation;

use chaos::{Case, Seeds, play, play_all};

/// Seeds that broke a promise once, and what was wrong.
const REGRESSIONS: &[(u64, &str)] = &[];

#[test]
fn the_promises_hold_for_the_first_seeds() {
    let broken = play_all(&Seeds(1..=24), threads(), true, |_, _, _| {}).unwrap();
    let broken: Vec<_> = broken.into_iter().map(|(seed, outcome)| (seed, outcome.violation)).collect();
    assert_eq!(broken, [], "play them again with: cargo run --release -p chaos -- --seed N --trace");
}

#[test]
fn what_was_found_once_stays_found() {
    for (seed, what) in REGRESSIONS {
        assert_eq!(play(&Case::of_seed(*seed), false).unwrap().violation, None, "seed {seed}: {what}");
    }
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
