//! How often each fault of a table strikes in one run.

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::Fault;

/// A table of faults, and of how many calls each of them strikes.
pub(crate) struct Odds<C: 'static, E: 'static> {
    faults: &'static [Fault<C, E>],
    /// For each fault, the calls of `out_of` that it strikes.
    strikes: Vec<u32>,
    out_of: u32,
}

impl<C, E> Odds<C, E> {
    /// Draws for each fault whether the run has it, and whether it strikes at its rate or up to four times as often.
    #[must_use]
    pub(crate) fn draw_each(faults: &'static [Fault<C, E>], only_harmless: bool, rng: &mut StdRng) -> Self {
        let strikes = faults.iter().map(|fault| {
            let (is_on, times) = (rng.random_bool(0.5), rng.random_range(1..=4));
            if is_on && (fault.harmless || !only_harmless) { fault.rate * times } else { 0 }
        });
        Self { faults, strikes: strikes.collect(), out_of: 1_000 }
    }

    /// Lets `per_mille` of 1,000 calls meet some fault of the table, each fault by its share.
    #[must_use]
    pub(crate) fn share(faults: &'static [Fault<C, E>], only_harmless: bool, per_mille: u32) -> Self {
        let strikes = faults.iter().map(|fault| {
            let is_on = fault.harmless || !only_harmless;
            if is_on { fault.rate * per_mille } else { 0 }
        });
        let shares: u32 = faults.iter().map(|fault| fault.rate).sum();
        Self { faults, strikes: strikes.collect(), out_of: 1_000 * shares }
    }

    /// Draws the fault of a call: `None` if the call goes well.
    pub(crate) fn draw(&self, call: &C, rng: &mut StdRng) -> Option<&'static Fault<C, E>> {
        let mut drawn = rng.random_range(0..self.out_of);
        for (fault, strikes) in self.faults.iter().zip(&self.strikes).filter(|(fault, _)| (fault.fits)(call)) {
            if drawn < *strikes {
                return Some(fault);
            }
            drawn -= strikes;
        }
        None
    }
}
