//! How often what goes wrong in one run: most runs have a few kinds of trouble, and much of those.

use rand::RngExt as _;
use shared::model::clock::Timestamp;

use crate::dice::Dice;
use crate::faults;

pub(crate) struct Weather {
    /// Of a thousand calls, for each of [`faults::STORE`].
    pub(crate) store: Vec<u32>,
    /// Of a thousand calls.
    pub(crate) provider: u32,
    pub(crate) receiver: u32,
    pub(crate) platform: u32,
    /// Nothing of the stores fails and nobody dies: the books are exact.
    pub(crate) is_calm: bool,
    /// One of the receivers never answers, also not when the faults are over.
    pub(crate) has_dead_receiver: bool,
    pub(crate) begins_at: Timestamp,
}

/// Runs without trouble in the stores: one in this many.
const CALM: u32 = 6;

impl Weather {
    #[must_use]
    pub(crate) fn draw(dice: Dice) -> Self {
        let mut rng = dice.at("weather", 0);
        let is_calm = rng.random_ratio(1, CALM);
        let store = faults::STORE.iter().map(|fault| {
            let on = rng.random_bool(0.5);
            let times = rng.random_range(1..=4);
            if on && (fault.is_harmless() || !is_calm) { fault.rate() * times } else { 0 }
        });
        Self {
            store: store.collect(),
            provider: [0, 100, 300, 600][rng.random_range(0..4)],
            receiver: [0, 200, 700][rng.random_range(0..3)],
            platform: [0, 100, 300][rng.random_range(0..3)],
            is_calm,
            has_dead_receiver: rng.random_ratio(1, 12),
            begins_at: BEGINNINGS[rng.random_range(0..BEGINNINGS.len())],
        }
    }
}

/// An afternoon, thrice, and a minute before a month ends.
const BEGINNINGS: [Timestamp; 4] =
    [Timestamp(kit::START_MS), Timestamp(kit::START_MS), Timestamp(kit::START_MS), Timestamp(1_796_083_140_000)];
