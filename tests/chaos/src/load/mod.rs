//! What clients do. A new kind of load is a file here and a line in [`KINDS`].

mod background;
mod cancel;
pub(crate) mod chat;
mod delete;
mod embed;
mod endpoints;
mod follow;
mod foreground;
mod limits;
pub(crate) mod prompt;
pub(crate) mod responses;
mod revoke;
mod snoop;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::client::Client;
use crate::deployment::TENANTS;
use crate::dice::Dice;

/// One operation of a client.
#[async_trait]
pub(crate) trait Load: fmt::Debug + Send + Sync {
    async fn run(&self, client: &mut Client);
}

type Draw = fn(&mut StdRng) -> Box<dyn Load>;

/// How often each kind is drawn.
const KINDS: &[(u32, Draw)] = &[
    (22, chat::draw),
    (4, embed::draw),
    (14, foreground::draw),
    (22, background::draw),
    (10, follow::draw),
    (8, cancel::draw),
    (4, delete::draw),
    (4, limits::draw),
    (2, revoke::draw),
    (2, endpoints::draw),
    (4, snoop::draw),
];

/// An operation and when it begins.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) number: usize,
    pub(crate) after: Duration,
    pub(crate) load: Box<dyn Load>,
}

/// How long operations begin.
const BEGIN_MS: u64 = 100_000;

/// The operations of a run.
#[must_use]
pub(crate) fn plan(dice: Dice) -> Vec<Planned> {
    let count = dice.at("operations", 0).random_range(15..=45);
    (0..count).map(|number| planned(dice, number)).collect()
}

fn planned(dice: Dice, number: usize) -> Planned {
    let mut rng = dice.at("operation", number as u64);
    let after = Duration::from_millis(rng.random_range(0..BEGIN_MS));
    let total = KINDS.iter().map(|(weight, _)| weight).sum();
    let mut drawn = rng.random_range(0..total);
    let hit = |(weight, _): &&(u32, Draw)| {
        let hit = drawn < *weight;
        drawn = drawn.saturating_sub(*weight);
        hit
    };
    let kind = KINDS.iter().find(hit).map_or(chat::draw as Draw, |(_, draw)| *draw);
    Planned { number, after, load: kind(&mut rng) }
}

fn tenant(rng: &mut StdRng) -> usize {
    rng.random_range(0..TENANTS)
}

/// Most clients wait, some hang up.
fn patience(rng: &mut StdRng) -> Option<Duration> {
    rng.random_bool(0.25).then(|| Duration::from_millis(rng.random_range(10..6_000)))
}
