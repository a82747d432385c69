//! A budget for retries, so that a provider in trouble is not buried under them.

use std::sync::atomic::{AtomicU32, Ordering};

/// Keeps retries a small share of all calls.
pub(super) struct RetryBudget(AtomicU32);

/// Thousandths of a retry that each call earns, and the most that can be saved up.
const EARNED: u32 = 200;
const SAVED: u32 = 10_000;
const COST: u32 = 1_000;

impl Default for RetryBudget {
    fn default() -> Self {
        Self(AtomicU32::new(SAVED))
    }
}

impl RetryBudget {
    pub(super) fn earn(&self) {
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some((left + EARNED).min(SAVED)));
    }

    /// Pays for one retry; `false` if the budget is empty.
    pub(super) fn spend(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(COST)).is_ok()
    }
}
