//! Hints that a process keeps about meters, so that an admission first tries where it will most likely succeed. They
//! decide nothing: each write has its condition.

use quick_cache::sync::Cache;
use rand::RngExt as _;

use crate::model::clock::Timestamp;
use crate::model::meter::{MeterKey, MeterLimits};
use crate::model::rng;

/// Hints about recently used meters.
pub(super) struct Hints {
    /// When the rate window of a shard ends.
    windows: Cache<MeterKey, Timestamp>,
    /// The shard of a meter (its key with shard 0) to begin with.
    homes: Cache<MeterKey, u8>,
}

const REMEMBERED: usize = 4_096;

impl Hints {
    pub(super) fn new() -> Self {
        Self { windows: Cache::new(REMEMBERED), homes: Cache::new(REMEMBERED) }
    }

    /// The shard to try first: the one where the last search ended, else any.
    pub(super) fn home(&self, meter: &MeterKey, limits: &MeterLimits) -> u8 {
        match self.homes.get(&of_meter(meter)) {
            Some(home) if home < limits.shards => home,
            _ => rng::rng().random_range(0..limits.shards),
        }
    }

    /// Turns `meter` to another shard, and remembers that shard as the one to begin with.
    pub(super) fn move_home(&self, meter: &mut MeterKey, shard: u8) {
        meter.shard = shard;
        self.homes.insert(of_meter(meter), shard);
    }

    /// When the window of a shard ends; an unknown window counts as ended.
    pub(super) fn window_ends(&self, meter: &MeterKey) -> Timestamp {
        self.windows.get(meter).unwrap_or_default()
    }

    pub(super) fn remember_window(&self, meter: &MeterKey, window_ends: Timestamp) {
        self.windows.insert(meter.clone(), window_ends);
    }
}

fn of_meter(meter: &MeterKey) -> MeterKey {
    MeterKey { shard: 0, ..meter.clone() }
}
