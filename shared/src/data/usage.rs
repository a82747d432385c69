//! Usage counters: one item per project, hour, operation, model, key and meter shard, added to at each settlement.

use std::ops::AddAssign;

use super::error::StoreError;
use super::item::{Item, Reader, number, text};
use super::keys;
use super::table::{Change, Table};
use crate::model::clock::Instant;
use crate::model::money::MicroUsd;
use crate::model::tokens::Usage;

/// What a counter counts; the names are those of OpenAI's usage endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    Completions,
    Embeddings,
    Moderations,
}

impl Operation {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Moderations => "moderations",
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        [Self::Completions, Self::Embeddings, Self::Moderations].into_iter().find(|operation| operation.name() == name)
    }
}

/// What a counter is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UsageKey {
    pub project_id: String,
    /// UTC, `2026-11-22T17`.
    pub hour: String,
    pub operation: Operation,
    pub model: String,
    /// `key_...`; `unknown` for holds that the sweeper settled.
    pub api_key_id: String,
    pub shard: u8,
}

/// The value of a counter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UsageCount {
    pub requests: u64,
    pub tokens: Usage,
    pub cost: MicroUsd,
}

impl AddAssign for UsageCount {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.tokens.input += other.tokens.input;
        self.tokens.cached_input += other.tokens.cached_input;
        self.tokens.cache_write += other.tokens.cache_write;
        self.tokens.output += other.tokens.output;
        self.tokens.reasoning += other.tokens.reasoning;
        self.cost += other.cost;
    }
}

/// A counter is kept this long.
const KEPT_SECONDS: u64 = 400 * 86_400;

impl Table {
    /// Adds to a counter.
    ///
    /// The SDK repeats a write whose answer was lost, so a counter can run ahead of the meter by such repetitions.
    /// Limits are decided by the meter, never by a counter.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn add_usage(&self, key: &UsageKey, count: &UsageCount, now: Instant) -> Result<(), StoreError> {
        let tokens = &count.tokens;
        let change = Change {
            update: "SET usage_hour = :hour, usage_operation = :operation, model = :model, api_key_id = :key, \
                     expires_at = :expires \
                     ADD num_requests :requests, input_tokens :input, cached_tokens :cached, cache_write_tokens :write, \
                     output_tokens :output, reasoning_tokens :reasoning, cost_micro_usd :cost"
                .to_owned(),
            values: vec![
                (":hour", text(&key.hour)),
                (":operation", text(key.operation.name())),
                (":model", text(&key.model)),
                (":key", text(&key.api_key_id)),
                (":expires", number(now.seconds() + KEPT_SECONDS)),
                (":requests", number(count.requests)),
                (":input", number(tokens.input)),
                (":cached", number(tokens.cached_input)),
                (":write", number(tokens.cache_write)),
                (":output", number(tokens.output)),
                (":reasoning", number(tokens.reasoning)),
                (":cost", number(count.cost.0)),
            ],
            ..Change::default()
        };
        let item =
            keys::usage(&key.project_id, &key.hour, key.operation.name(), &key.model, &key.api_key_id, key.shard);
        self.update(item, change).await.map(drop)
    }

    /// The counters of a project for the hours from `first` to `last`, both included.
    ///
    /// # Errors
    /// If the table fails or an item is damaged.
    pub async fn usage(
        &self,
        project_id: &str,
        first: &str,
        last: &str,
    ) -> Result<Vec<(UsageKey, UsageCount)>, StoreError> {
        let pk = keys::project_partition(project_id);
        let (from, to) =
            (format!("{}{first}", keys::USAGE_PREFIX), format!("{}{last}#{}", keys::USAGE_PREFIX, char::MAX));
        let items = self.query(&pk, &from, &to).await?;
        items.iter().map(|item| counter(project_id, item)).collect()
    }
}

fn counter(project_id: &str, item: &Item) -> Result<(UsageKey, UsageCount), StoreError> {
    let reader = Reader(item);
    let operation =
        Operation::of_name(&reader.text("usage_operation")?).ok_or_else(|| reader.damaged("usage_operation"))?;
    let shard = reader.text("sk")?.rsplit_once('#').and_then(|(_, shard)| shard.parse().ok());
    let key = UsageKey {
        project_id: project_id.to_owned(),
        hour: reader.text("usage_hour")?,
        operation,
        model: reader.text("model")?,
        api_key_id: reader.text("api_key_id")?,
        shard: shard.ok_or_else(|| reader.damaged("sk"))?,
    };
    let tokens = Usage {
        input: reader.number("input_tokens")?,
        cached_input: reader.number("cached_tokens")?,
        cache_write: reader.number("cache_write_tokens")?,
        output: reader.number("output_tokens")?,
        reasoning: reader.number("reasoning_tokens")?,
    };
    Ok((
        key,
        UsageCount {
            requests: reader.number("num_requests")?,
            tokens,
            cost: MicroUsd(reader.number("cost_micro_usd")?),
        },
    ))
}
