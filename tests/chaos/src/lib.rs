//! The promises under seeded faults: the real routers and workers on the real embedded stores, on a simulated clock, while
//! stores, queues, providers, receivers, processes and clients fail by rng.
//!
//! A seed decides everything. What fails is a file in `faults`, what clients do one in `load`, what must hold one in
//! `invariants`.

mod client;
mod connector;
mod deployment;
mod dice;
mod faults;
mod invariants;
mod ledger;
mod load;
mod panics;
mod platform;
mod process;
mod provider;
mod receivers;
mod run;
mod seeds;
mod shrink;
mod sim;
mod trace;
mod weather;

pub use ledger::Violation;
pub use run::{Outcome, play};
pub use seeds::{Broken, Seeds, play_all};
pub use shrink::shrink;
pub use sim::{Case, Place, Site};
