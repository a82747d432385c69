//! Plays a short range of seeds, and checks the simulation itself.

mod simulation;

use chaos::{SeedRange, play_all};

#[test]
fn the_promises_hold_for_the_first_seeds() {
    let broken = play_all(&SeedRange(1..=24), threads(), true, |_, _, _| {}).unwrap();
    let broken: Vec<_> = broken.into_iter().map(|(seed, outcome)| (seed, outcome.violation)).collect();
    assert_eq!(broken, [], "play them again with: cargo run --release -p chaos -- --seed N --trace");
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
