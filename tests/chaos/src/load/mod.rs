//! The operations of clients. To add a kind, add a file here and a line in [`KINDS`].

mod background;
pub(crate) mod batches;
mod cancel;
pub(crate) mod chat;
mod cross_tenant;
mod crowd;
mod delete;
mod embed;
mod endpoints;
pub(crate) mod files;
mod follow;
mod foreground;
pub(crate) mod guests;
pub(crate) mod hostile;
mod items;
mod limits;
pub(crate) mod messages;
pub(crate) mod prompt;
pub(crate) mod responses;
mod revoke;
pub(crate) mod runs;
mod uploads;
pub(crate) mod vector_stores;
mod waiting;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::client::Client;
use crate::deployment::TENANTS;
use crate::seed::Seed;

/// An operation of a client, with its arguments.
#[async_trait]
pub(crate) trait Action: fmt::Debug + Send + Sync {
    async fn run(&self, client: &mut Client);
}

type Draw = fn(&mut StdRng) -> Box<dyn Action>;

/// The kinds of operations, and how often each is drawn, relative to the others.
const KINDS: &[(u32, Draw)] = &[
    (22, chat::draw),
    (16, messages::draw),
    (4, embed::draw),
    (14, foreground::draw),
    (22, background::draw),
    (10, follow::draw),
    (8, cancel::draw),
    (4, delete::draw),
    (4, limits::draw),
    (2, revoke::draw),
    (2, endpoints::draw),
    (4, cross_tenant::draw),
    (4, crowd::draw),
    (8, waiting::draw),
    (3, items::draw),
    (6, files::draw),
    (6, batches::draw),
    (5, uploads::draw),
    (5, vector_stores::draw),
];

/// An operation, and the time after which it starts.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) number: usize,
    pub(crate) after: Duration,
    pub(crate) operation: Box<dyn Action>,
}

/// The time within which operations start.
const START_MS: u64 = 100_000;

/// Draws the operations of a run.
#[must_use]
pub(crate) fn plan(seed: Seed) -> Vec<Planned> {
    let count = seed.rng("operations", 0).random_range(15..=45);
    let mut planned: Vec<Planned> = (0..count).map(|number| draw_operation(seed, number)).collect();
    let after = Duration::from_millis(seed.rng("guest", 1).random_range(0..START_MS));
    planned.extend(guests::draw(seed).map(|operation| Planned { number: count, after, operation }));
    planned.extend(hostile::draw(seed, count + 1));
    planned
}

fn draw_operation(seed: Seed, number: usize) -> Planned {
    let mut rng = seed.rng("operation", number as u64);
    let after = Duration::from_millis(rng.random_range(0..START_MS));
    let total = KINDS.iter().map(|(weight, _)| weight).sum();
    let mut drawn = rng.random_range(0..total);
    let hit = |(weight, _): &&(u32, Draw)| {
        let hit = drawn < *weight;
        drawn = drawn.saturating_sub(*weight);
        hit
    };
    let kind = KINDS.iter().find(hit).map_or(chat::draw as Draw, |(_, draw)| *draw);
    Planned { number, after, operation: kind(&mut rng) }
}

fn draw_tenant(rng: &mut StdRng) -> usize {
    rng.random_range(0..TENANTS)
}

/// Draws when a client hangs up: most clients wait.
fn draw_hang_up(rng: &mut StdRng) -> Option<Duration> {
    rng.random_bool(0.25).then(|| Duration::from_millis(rng.random_range(10..6_000)))
}
