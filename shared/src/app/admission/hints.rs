//! What a process remembers of meters, to try first where it will most likely succeed. Never decides anything.

use quick_cache::sync::Cache;
use rand::RngExt as _;

use super::MeterLimits;
use crate::data::MeterKey;
use crate::model::clock::Timestamp;
use crate::model::rng;

/// Hints about recently used meters.
pub(crate) struct Hints {
    /// When the rate window of a shard ends.
    windows: Cache<MeterKey, Timestamp>,
    /// The shard of a meter (its key with shard 0) to begin with.
    homes: Cache<MeterKey, u8>,
}

const REMEMBERED: usize = 4_096;

impl Hints {
    pub(crate) fn new() -> Self {
        Self { windows: Cache::new(REMEMBERED), homes: Cache::new(REMEMBERED) }
    }

    /// The shard to try first: where the last search ended, else any.
    pub(super) fn home(&self, meter: &MeterKey, terms: &MeterLimits) -> u8 {
        match self.homes.get(&of_meter(meter)) {
            Some(home) if home < terms.shards => home,
            _ => rng::rng().random_range(0..terms.shards),
        }
    }

    pub(super) fn set_home(&self, meter: &MeterKey) {
        self.homes.insert(of_meter(meter), meter.shard);
    }

    /// When the window of a shard ends, as far as is known; else long ago.
    pub(super) fn window_ends(&self, meter: &MeterKey) -> Timestamp {
        self.windows.get(meter).unwrap_or_default()
    }

    pub(super) fn saw(&self, meter: &MeterKey, window_ends: Timestamp) {
        self.windows.insert(meter.clone(), window_ends);
    }
}

fn of_meter(meter: &MeterKey) -> MeterKey {
    MeterKey { shard: 0, ..meter.clone() }
}
