//! The sweep, each minute: what is due is done, or handed to the worker that does it.

use std::time::Instant;

use shared::app::{Error, ErrorChain};
use shared::edge::Deps;

/// Sweeps once and logs what was done. Any number may run at once, and one that is left out is made up for by the next.
///
/// # Errors
/// If the table failed. What is not done stays due.
pub async fn job(gateway: Deps) -> Result<(), Error> {
    let begun = Instant::now();
    let swept = gateway.sweep().await;
    let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    match &swept {
        Ok(swept) => tracing::info!(
            function = "sweep",
            outcome = "done",
            holds_settled = swept.holds_settled,
            charged_micro_usd = swept.charged.0,
            duration_ms,
            "sweep"
        ),
        Err(error) => {
            tracing::error!(function = "sweep", outcome = "failed", duration_ms, error = %ErrorChain(error), "sweep");
        }
    }
    swept.map(drop)
}
