//! Usage counters: one item per project, hour, operation, model, key, run and meter shard. Each settlement adds to one.

use super::change::Change;
use super::error::StoreError;
use super::item::{Item, Reader, number};
use super::keys;
use super::table::Table;
use crate::model::clock::Timestamp;
use crate::model::money::MicroUsd;
use crate::model::tokens::Usage;
use crate::model::usage::{UsageCount, UsageKey};

/// DynamoDB may delete a counter this long after the last addition.
const KEPT_SECONDS: u64 = 400 * 86_400;

/// The usage counters.
#[derive(Clone, Debug)]
pub struct UsageCounters(pub(super) Table);

impl UsageCounters {
    /// Adds to a counter.
    ///
    /// The SDK repeats a write whose answer was lost, so a counter can run ahead of the meter by such repetitions.
    /// The meter decides about limits, never a counter.
    pub async fn add(&self, key: &UsageKey, count: &UsageCount, now: Timestamp) -> Result<(), StoreError> {
        let mut change = Change::new("SET expires_at = :expires ADD num_requests :requests")
            .values([(":expires", number(now.seconds() + KEPT_SECONDS)), (":requests", number(count.requests))]);
        let tokens = &count.tokens;
        let counts = [
            (", input_tokens :input", ":input", tokens.input),
            (", cached_tokens :cached", ":cached", tokens.cached_input),
            (", cache_write_tokens :write", ":write", tokens.cache_write),
            (", input_audio_tokens :heard", ":heard", tokens.audio_input),
            (", output_tokens :output", ":output", tokens.output),
            (", output_audio_tokens :spoken", ":spoken", tokens.audio_output),
            (", reasoning_tokens :reasoning", ":reasoning", tokens.reasoning),
            (", pieces :pieces", ":pieces", tokens.pieces),
            (", cost_micro_usd :cost", ":cost", count.cost.0),
        ];
        // Most calls have several zeros, and an absent attribute costs nothing.
        for (clause, name, amount) in counts.into_iter().filter(|(_, _, amount)| *amount > 0) {
            change.push(clause, name, number(amount));
        }
        self.0.update(keys::usage(key), change).await.map(drop)
    }

    /// Reads the counters of a project for the hours from `first` to `last`, both included.
    pub async fn read(
        &self,
        project_id: &str,
        first: &str,
        last: &str,
    ) -> Result<Vec<(UsageKey, UsageCount)>, StoreError> {
        let prefix = keys::USAGE_PREFIX;
        let (from, to) = (format!("{prefix}{first}"), format!("{prefix}{last}#{}", char::MAX));
        let items = self.0.query(&keys::project_partition(project_id), &from, &to).await?;
        items.iter().map(|item| read_counter(project_id, item)).collect()
    }
}

/// A counter lacks the attributes whose counts are zero.
fn read_counter(project_id: &str, item: &Item) -> Result<(UsageKey, UsageCount), StoreError> {
    let reader = Reader(item);
    let count = |name| Ok::<_, StoreError>(reader.maybe_number(name)?.unwrap_or(0));
    let key = keys::usage_parts(project_id, &reader.text("sk")?).ok_or_else(|| reader.damaged("sk"))?;
    let tokens = Usage {
        input: count("input_tokens")?,
        cached_input: count("cached_tokens")?,
        cache_write: count("cache_write_tokens")?,
        audio_input: count("input_audio_tokens")?,
        output: count("output_tokens")?,
        reasoning: count("reasoning_tokens")?,
        audio_output: count("output_audio_tokens")?,
        pieces: count("pieces")?,
        // The counters have one number for all that was stored, and none for images.
        ..Usage::default()
    };
    Ok((key, UsageCount { requests: reader.number("num_requests")?, tokens, cost: MicroUsd(count("cost_micro_usd")?) }))
}
