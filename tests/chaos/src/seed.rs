//! Random numbers that follow from the seed and from their purpose alone, whatever else was drawn before.
//!
//! So a run without one of its faults still has the others, and a failing run can be shrunk.

use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// The seed of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seed(u64);

impl Seed {
    #[must_use]
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the generator of the item number `n` of a kind.
    #[must_use]
    pub(crate) fn rng(self, kind: &str, n: u64) -> StdRng {
        StdRng::seed_from_u64(self.number(kind, n))
    }

    /// Returns a random number for the item number `n` of a kind.
    #[must_use]
    pub(crate) fn number(self, kind: &str, n: u64) -> u64 {
        let start = mix(self.0 ^ 0x9e37_79b9_7f4a_7c15);
        let named = kind.bytes().fold(start, |state, byte| mix(state ^ u64::from(byte)));
        mix(named ^ n)
    }
}

/// The finalizer of `SplitMix64`.
fn mix(state: u64) -> u64 {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}
