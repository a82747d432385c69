//! A hostile tenant: a project whose clients do all that they can to keep the service from the others. Its keys are valid,
//! its project has ordinary limits, and one of its keys has a budget that pays for nothing.

mod attacks;
mod prompts;

use std::time::Duration;

use rand::RngExt as _;

use super::{Draw, Planned, background, chat};
use crate::deployment::TENANTS;
use crate::seed::Seed;
pub(crate) use attacks::Attack;
pub(crate) use prompts::{MODEL, Provoked, provoked};

/// The number of the hostile tenant in trace contexts. The one before it belongs to guests.
pub(crate) const NUMBER: usize = TENANTS + 1;

/// One run in this many has a hostile tenant.
const HOSTILE_IN: u32 = 4;
/// The attacks of one run.
const ATTACKS: usize = 4;
/// Attacks begin early, so that many operations of the others begin while they go on.
const BEGIN_MS: u64 = 50_000;

/// Whether a run has a hostile tenant.
pub(crate) fn is_in(seed: Seed) -> bool {
    seed.rng("hostile", 0).random_ratio(1, HOSTILE_IN)
}

/// The operations of other tenants that begin within this time after each attack.
const BYSTANDERS: [Draw; 3] = [chat::draw, background::draw, background::draw];
const BYSTANDERS_MS: u64 = 15_000;

/// Draws the attacks of a run, each another one, and operations of other tenants that begin while they go on. Their numbers
/// begin with `first`.
pub(super) fn draw(seed: Seed, first: usize) -> Vec<Planned> {
    if !is_in(seed) {
        return Vec::new();
    }
    let mut rng = seed.rng("hostile", 1);
    let mut left = Attack::ALL.to_vec();
    let mut planned = Vec::new();
    for _ in 0..ATTACKS {
        let attack = left.swap_remove(rng.random_range(0..left.len()));
        let after = Duration::from_millis(rng.random_range(0..BEGIN_MS));
        planned.push(Planned { number: first + planned.len(), after, operation: Box::new(attack) });
        for draw in BYSTANDERS {
            let after = after + Duration::from_millis(rng.random_range(1_000..BYSTANDERS_MS));
            planned.push(Planned { number: first + planned.len(), after, operation: draw(&mut rng) });
        }
    }
    planned
}
