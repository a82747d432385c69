//! The sweep, which runs each minute and continues the work that is due.

use std::sync::Arc;

use shared::app::{Error, Sweeper};
use shared::edge::log_sweep;

/// Sweeps once. Several sweeps may run at the same time, and a later sweep does the work of one that was left out.
///
/// # Errors
/// If the table failed. Work that was not done stays due.
pub async fn job(sweeper: Arc<Sweeper>) -> Result<(), Error> {
    log_sweep(sweeper.sweep()).await
}
