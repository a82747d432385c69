//! Circuit breakers: failures are counted in memory, the state is shared through the table and written only when it
//! changes; a healthy provider costs no write.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::gateway::Gateway;
use crate::data::BreakerState;
use crate::model::catalog::Model;
use crate::model::clock::Timestamp;
use crate::model::provider::Failure;

/// Outages in a row that open a breaker.
const THRESHOLD: u32 = 5;
/// How long an open breaker refuses.
const OPEN_MS: u64 = 15_000;
/// How long one instance may probe before another may.
const PROBE_MS: u64 = 30_000;
/// How old the shared state may be before it is read again.
const FRESH_MS: u64 = 5_000;

/// What this process knows of the breakers, by provider.
#[derive(Default)]
pub(crate) struct Breakers(Mutex<HashMap<String, Known>>);

#[derive(Default, Clone, Copy)]
struct Known {
    failures: u32,
    shared: Option<BreakerState>,
    read_at: Timestamp,
}

impl Breakers {
    fn with<T>(&self, provider: &str, change: impl FnOnce(&mut Known) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(all.entry(provider.to_owned()).or_default())
    }
}

/// Whether a call may go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Permit {
    Call,
    Wait(Duration),
}

impl Gateway {
    /// Reads the shared state of a model's providers where it is old. Runs beside the admission.
    pub(super) async fn refresh_breakers(&self, model: &Model) {
        let now = self.clock.now();
        let read = model.targets.iter().map(|target| self.refresh_breaker(&target.provider, now));
        futures_util::future::join_all(read).await;
    }

    async fn refresh_breaker(&self, provider: &str, now: Timestamp) {
        let old = self.breakers.with(provider, |known| {
            let old = known.read_at.plus_ms(FRESH_MS) <= now;
            known.read_at = if old { now } else { known.read_at };
            old
        });
        // A state that cannot be read is taken to be closed: the call itself will tell.
        if old && let Ok(shared) = self.stores.table.breaker(provider, now).await {
            self.breakers.with(provider, |known| known.shared = shared);
        }
    }

    /// Asks a breaker for a call. Of all instances one gets to probe when the open time is over.
    pub(super) async fn permit(&self, provider: &str) -> Permit {
        let now = self.clock.now();
        let Some(shared) = self.breakers.with(provider, |known| known.shared) else { return Permit::Call };
        let wait = now.until(shared.open_until).max(now.until(shared.probe_until));
        if wait > 0 {
            return Permit::Wait(Duration::from_millis(wait));
        }
        let probe_until = now.plus_ms(PROBE_MS);
        match self.stores.table.claim_probe(provider, now, probe_until).await {
            Ok(false) => {
                self.breakers.with(provider, |known| known.read_at = Timestamp::default());
                Permit::Wait(Duration::from_millis(PROBE_MS))
            }
            Ok(true) | Err(_) => Permit::Call,
        }
    }

    /// Counts what became of a call; opens or closes the breaker where that changes its state.
    pub(super) async fn observe(&self, provider: &str, outcome: Result<(), &Failure>) {
        let outage = outcome.is_err_and(Failure::is_outage);
        let (changed, open) = self.breakers.with(provider, |known| {
            known.failures = if outage { known.failures + 1 } else { 0 };
            let opens = outage && (known.failures >= THRESHOLD || known.shared.is_some());
            let closes = !outage && known.shared.is_some();
            (opens || closes, opens)
        });
        if !changed {
            return;
        }
        let until = self.clock.now().plus_ms(OPEN_MS);
        let state = open.then_some(BreakerState { open_until: until, probe_until: Timestamp::default() });
        self.breakers.with(provider, |known| (known.shared, known.failures) = (state, 0));
        let written = match open {
            true => self.stores.table.open_breaker(provider, until).await,
            false => self.stores.table.close_breaker(provider).await,
        };
        tracing::warn!(provider, open, written = written.is_ok(), "circuit breaker changed");
    }
}
