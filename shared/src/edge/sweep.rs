//! The log line of a sweep.

use std::time::Instant;

use crate::app::{Error, ErrorChain, SweepReport};

/// Waits for a sweep and logs one line, which says how much it settled or why it failed.
///
/// # Errors
/// The error of the sweep.
pub async fn log_sweep(sweep: impl Future<Output = Result<SweepReport, Error>>) -> Result<(), Error> {
    let begun = Instant::now();
    let outcome = sweep.await;
    let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    match &outcome {
        Ok(report) => tracing::info!(
            function = "sweep",
            outcome = "done",
            reservations_settled = report.reservations_settled,
            charged_micro_usd = report.charged.0,
            duration_ms,
            "sweep"
        ),
        Err(error) => {
            tracing::error!(function = "sweep", outcome = "failed", duration_ms, error = %ErrorChain(error), "sweep");
        }
    }
    outcome.map(drop)
}
