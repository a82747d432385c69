//! The scenario of a run. Most runs have a few kinds of faults, and many of each.

use rand::RngExt as _;
use shared::model::clock::Timestamp;
use shared::model::provider;

use crate::connector;
use crate::faults::{self, BatchFault, Odds, ProviderFault, ReceiverFault, StoreEffect, TimerFault};
use crate::load::hostile;
use crate::seed::Seed;

pub(crate) struct Scenario {
    pub(crate) store: Odds<connector::Call, &'static dyn StoreEffect>,
    pub(crate) provider: Odds<provider::ProviderRequest, ProviderFault>,
    pub(crate) receiver: Odds<(), ReceiverFault>,
    pub(crate) batch: Odds<(), BatchFault>,
    pub(crate) timer: Odds<(), TimerFault>,
    /// Only harmless faults strike, so the books must be exact.
    pub(crate) only_harmless: bool,
    /// One of the receivers never answers, not even after the faults.
    pub(crate) has_dead_receiver: bool,
    pub(crate) starts_at: Timestamp,
}

/// One run in this many has only harmless faults.
const ONLY_HARMLESS_IN: u32 = 6;

impl Scenario {
    #[must_use]
    pub(crate) fn draw(seed: Seed) -> Self {
        let mut rng = seed.rng("scenario", 0);
        let only_harmless = rng.random_ratio(1, ONLY_HARMLESS_IN);
        // Half of the runs with a hostile tenant: then nothing but its attacks explains what happens to the others.
        let only_harmless = only_harmless || (hostile::is_in(seed) && seed.rng("hostile", 2).random_bool(0.5));
        let store = Odds::draw_each(faults::STORE, only_harmless, &mut rng);
        // Of 1,000 calls, those that meet some fault.
        let [providers, receivers, platform] = [&[0, 100, 300, 600][..], &[0, 200, 700], &[0, 100, 300]]
            .map(|per_mille| per_mille[rng.random_range(0..per_mille.len())]);
        Self {
            store,
            provider: Odds::share(faults::PROVIDER, only_harmless, providers),
            receiver: Odds::share(faults::RECEIVER, only_harmless, receivers),
            batch: Odds::share(faults::BATCH, only_harmless, platform),
            timer: Odds::share(faults::TIMER, only_harmless, platform),
            only_harmless,
            has_dead_receiver: rng.random_ratio(1, 12),
            starts_at: START_TIMES[rng.random_range(0..START_TIMES.len())],
        }
    }
}

/// An afternoon for three runs of four, and one minute before the end of a month for the others.
const START_TIMES: [Timestamp; 4] =
    [Timestamp(kit::START_MS), Timestamp(kit::START_MS), Timestamp(kit::START_MS), Timestamp(1_796_083_140_000)];
