//! The whole service: real routers, real embedded stores, a scripted provider.
#![expect(clippy::unwrap_used, reason = "in a test that is the failure")]

mod admission;
mod archive;
mod audit;
mod batches;
mod breakers;
mod cache;
mod concurrency;
mod conversations;
mod deployment;
mod dispatch;
mod edge;
mod errors;
mod events;
mod faults;
mod files;
mod forms;
mod fuzz;
mod hard_bodies;
mod idempotency;
mod image_edits;
mod input_files;
mod jobs;
mod keys;
mod layers;
mod logs;
mod media;
mod messages;
mod models;
mod nested;
mod panics;
mod purge;
mod queues;
mod quote;
mod responses;
mod retention;
mod round_trips;
mod sdk;
mod silence;
mod storage;
mod streams;
mod sweep;
mod telemetry;
mod tenancy;
mod transcriptions;
mod unanswered;
mod uploads;
mod vector_stores;

use shared::model::money::MicroUsd;
use shared::model::project::Limits;
use shared::model::tokens::Usage;

/// A chat request to the model `priced` that may write 100 tokens.
pub(crate) const CHAT: &str = r#"{"model":"priced","messages":[{"role":"user","content":"Hello"}],"max_tokens":100}"#;

/// `CHAT` as a stream with usage.
pub(crate) const STREAM: &str = r#"{"model":"priced","messages":[{"role":"user","content":"Hello"}],"max_tokens":100,"stream":true,"stream_options":{"include_usage":true}}"#;

pub(crate) const PATH: &str = "/v1/chat/completions";

pub(crate) fn budget(dollars: f64) -> Limits {
    Limits { budget: MicroUsd::from_dollars(dollars), ..Limits::default() }
}

/// What a `CHAT` request holds: the bytes of its body and what templates add, at 1 micro-dollar each, and 100 output
/// tokens at 2.
pub(crate) const CHAT_HOLD: u64 = CHAT.len() as u64 + 32 + 200;

/// The usage of a request that uses all that it holds: its body and what templates add, and `output` tokens.
pub(crate) fn whole_hold(body: &str, output: u64) -> Usage {
    Usage { input: body.len() as u64 + 32, output, ..Usage::default() }
}

/// What it costs: 10 input tokens at 1, 5 output tokens at 2.
pub(crate) const CHAT_COST: u64 = 20;

/// A seed that is printed when its test fails.
#[expect(clippy::disallowed_methods, reason = "a seed is what the others are drawn from")]
pub(crate) fn seed() -> u64 {
    let seed = shared::edge::config::env("WEIR_TEST_SEED").and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
        use rand::RngExt as _;
        rand::rng().random()
    });
    eprintln!("seed: WEIR_TEST_SEED={seed}");
    seed
}
