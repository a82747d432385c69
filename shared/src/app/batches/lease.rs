//! Keeping a part while something goes on.

use std::time::Duration;

use tokio::time::Instant;

use super::open_part::OpenPart;
use super::wave::{HEARTBEAT, PART_LEASE_MS};
use crate::data::BatchParts;
use crate::model::clock::Clock;
use crate::model::error_chain::ErrorChain;

/// Renews the leases of parts.
pub(in crate::app) struct PartLease {
    pub(in crate::app) parts: BatchParts,
    pub(in crate::app) clock: Clock,
}

impl PartLease {
    /// Keeps the lease of a part while something goes on. `None`: another worker has the part, or may have it.
    pub(super) async fn hold<T>(&self, part: &OpenPart, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        let mut beats = tokio::time::interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        let mut held_until = Instant::now() + Duration::from_millis(PART_LEASE_MS);
        loop {
            tokio::select! {
                // A process that stood still learns first whether it still has the part.
                biased;
                _ = beats.tick() => {
                    let begun = Instant::now();
                    match self.parts.renew(&part.run, self.clock.now().plus_ms(PART_LEASE_MS)).await {
                        Ok(renewed) if !renewed.is_written() => return None,
                        Ok(_) => held_until = begun + Duration::from_millis(PART_LEASE_MS),
                        Err(error) => tracing::warn!(error = %ErrorChain(&error), "lease of a part not renewed yet"),
                    }
                    if Instant::now() >= held_until {
                        return None;
                    }
                }
                done = &mut work => return Some(done),
            }
        }
    }
}
