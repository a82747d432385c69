//! Chance by place: what happens at a place follows from the seed and the place alone, whatever else was asked.
//!
//! So a run without one of its faults has the others still, and a failing run can be made smaller.

use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// All chance of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dice(u64);

impl Dice {
    #[must_use]
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The chance at the place number `n` of a kind.
    #[must_use]
    pub(crate) fn at(self, kind: &str, n: u64) -> StdRng {
        StdRng::seed_from_u64(self.number(kind, n))
    }

    /// A number that belongs to a place.
    #[must_use]
    pub(crate) fn number(self, kind: &str, n: u64) -> u64 {
        let begun = mixed(self.0 ^ 0x9e37_79b9_7f4a_7c15);
        let named = kind.bytes().fold(begun, |state, byte| mixed(state ^ u64::from(byte)));
        mixed(named ^ n)
    }
}

/// The finalizer of `SplitMix64`.
fn mixed(state: u64) -> u64 {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}
