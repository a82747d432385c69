//! The settings of circuit breakers: the table `breaker` of a `[[provider]]`.

use serde::Deserialize;
use toml::Spanned;

use super::entries::Problems;

/// When the breaker of a target opens, and what it does then. See `docs/models.md`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerConfig {
    /// The share of failures among the counted calls that opens the breaker: above 0, at most 1.
    pub failure_share: f64,
    /// The fewest counted calls that open it.
    pub min_calls: u64,
    /// The time in which calls are counted together, in milliseconds.
    pub window_ms: u64,
    /// How long it stays open before calls probe the target, in milliseconds.
    pub open_ms: u64,
    /// The share of calls that pass an open breaker if their model has no other target.
    pub trickle: f64,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self { failure_share: 0.5, min_calls: 10, window_ms: 30_000, open_ms: 15_000, trickle: 0.1 }
    }
}

/// The least trickle: with none, a breaker could take a model from everybody.
const LEAST_TRICKLE: f64 = 0.01;
/// The longest window, and the longest time to stay open.
const LONGEST_MS: u64 = 600_000;

/// Checks the table.
pub(super) fn breaker(table: Spanned<BreakerConfig>, problems: &mut Problems) -> BreakerConfig {
    let at = table.span().start;
    let config = table.into_inner();
    if !(config.failure_share > 0.0 && config.failure_share <= 1.0) {
        problems.add(at, format!("`failure_share` is {}; it must be above 0 and at most 1", config.failure_share));
    }
    if config.min_calls == 0 {
        problems.add(at, "`min_calls` is 0; it must be at least 1");
    }
    for (field, value) in [("window_ms", config.window_ms), ("open_ms", config.open_ms)] {
        if !(1_000..=LONGEST_MS).contains(&value) {
            problems.add(at, format!("`{field}` is {value}; it must be between 1000 and {LONGEST_MS}"));
        }
    }
    if !(LEAST_TRICKLE..=1.0).contains(&config.trickle) {
        problems.add(at, format!("`trickle` is {}; it must be between {LEAST_TRICKLE} and 1", config.trickle));
    }
    config
}
