//! How often what goes wrong in one run: most runs have a few kinds of trouble, and much of those.

use rand::RngExt as _;
use shared::model::clock::Timestamp;
use shared::model::provider;

use crate::connector;
use crate::dice::Dice;
use crate::faults::{self, BatchFault, Odds, ProviderFault, ReceiverFault, TimerFault};

pub(crate) struct Weather {
    pub(crate) store: Odds<connector::Call, &'static dyn faults::StoreEffect>,
    pub(crate) provider: Odds<provider::Call, ProviderFault>,
    pub(crate) receiver: Odds<(), ReceiverFault>,
    pub(crate) batch: Odds<(), BatchFault>,
    pub(crate) timer: Odds<(), TimerFault>,
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
        let store = Odds::draw_each(faults::STORE, is_calm, &mut rng);
        let [providers, receivers, platform] = [&[0, 100, 300, 600][..], &[0, 200, 700], &[0, 100, 300]]
            .map(|per_mille| per_mille[rng.random_range(0..per_mille.len())]);
        Self {
            store,
            provider: Odds::share(faults::PROVIDER, is_calm, providers),
            receiver: Odds::share(faults::RECEIVER, is_calm, receivers),
            batch: Odds::share(faults::BATCH, is_calm, platform),
            timer: Odds::share(faults::TIMER, is_calm, platform),
            is_calm,
            has_dead_receiver: rng.random_ratio(1, 12),
            begins_at: BEGINNINGS[rng.random_range(0..BEGINNINGS.len())],
        }
    }
}

/// An afternoon, thrice, and a minute before a month ends.
const BEGINNINGS: [Timestamp; 4] =
    [Timestamp(kit::START_MS), Timestamp(kit::START_MS), Timestamp(kit::START_MS), Timestamp(1_796_083_140_000)];
