//! Circuit breakers: each process counts failures in memory. Processes share the state through the table and write only
//! when it changes, so a healthy provider costs no write.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::data::{BreakerRecords, BreakerState, WriteOutcome};
use crate::model::catalog::Model;
use crate::model::clock::{Clock, Timestamp};
use crate::model::provider::Failure;

/// Outages in a row that open a breaker.
const THRESHOLD: u32 = 5;
/// How long an open breaker refuses.
const OPEN_MS: u64 = 15_000;
/// How long one instance may probe before another may.
const PROBE_MS: u64 = 30_000;
/// How old the shared state may be before it is read again.
const FRESH_MS: u64 = 5_000;

/// The breakers by provider, as this process knows them.
pub(super) struct Breakers {
    records: BreakerRecords,
    clock: Clock,
    known: Mutex<HashMap<String, Known>>,
}

#[derive(Default, Clone, Copy)]
struct Known {
    failures: u32,
    shared: Option<BreakerState>,
    read_at: Timestamp,
}

/// Whether a call may go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BreakerDecision {
    Call,
    Wait(Duration),
}

impl Breakers {
    pub(super) fn new(records: BreakerRecords, clock: Clock) -> Self {
        Self { records, clock, known: Mutex::default() }
    }

    /// Reads the shared state of a model's providers where it is old.
    pub(super) async fn refresh(&self, model: &Model) {
        let now = self.clock.now();
        let read = model.targets.iter().map(|target| self.refresh_one(&target.provider, now));
        futures_util::future::join_all(read).await;
    }

    async fn refresh_one(&self, provider: &str, now: Timestamp) {
        let is_old = self.with_known(provider, |known| {
            let is_old = known.read_at.plus_ms(FRESH_MS) <= now;
            known.read_at = if is_old { now } else { known.read_at };
            is_old
        });
        // A state that cannot be read counts as closed: the call itself will show whether the provider answers.
        if is_old && let Ok(shared) = self.records.get(provider, now).await {
            self.with_known(provider, |known| known.shared = shared);
        }
    }

    /// Asks a breaker for a call. When the open time is over, one of all instances gets to probe.
    pub(super) async fn permit(&self, provider: &str) -> BreakerDecision {
        let now = self.clock.now();
        let Some(shared) = self.with_known(provider, |known| known.shared) else { return BreakerDecision::Call };
        let wait = now.until(shared.open_until).max(now.until(shared.probe_until));
        if wait > 0 {
            return BreakerDecision::Wait(Duration::from_millis(wait));
        }
        match self.records.claim_probe(provider, now, now.plus_ms(PROBE_MS)).await {
            Ok(WriteOutcome::Refused) => {
                self.with_known(provider, |known| known.read_at = Timestamp::default());
                BreakerDecision::Wait(Duration::from_millis(PROBE_MS))
            }
            Ok(WriteOutcome::Written) | Err(_) => BreakerDecision::Call,
        }
    }

    /// Counts the outcome of a call; opens or closes the breaker where that changes its state.
    pub(super) async fn observe(&self, provider: &str, outcome: Result<(), &Failure>) {
        // The provider was not called, so the outcome says nothing about it.
        if matches!(outcome, Err(Failure::NotSetUp { .. })) {
            return;
        }
        let is_outage = outcome.is_err_and(Failure::is_outage);
        let (changes, opens) = self.with_known(provider, |known| {
            known.failures = if is_outage { known.failures + 1 } else { 0 };
            let opens = is_outage && (known.failures >= THRESHOLD || known.shared.is_some());
            let closes = !is_outage && known.shared.is_some();
            (opens || closes, opens)
        });
        if !changes {
            return;
        }
        let open_until = self.clock.now().plus_ms(OPEN_MS);
        let state = opens.then_some(BreakerState { open_until, probe_until: Timestamp::default() });
        self.with_known(provider, |known| (known.shared, known.failures) = (state, 0));
        let written = match opens {
            true => self.records.open(provider, open_until).await,
            false => self.records.close(provider).await,
        };
        tracing::warn!(provider, open = opens, written = written.is_ok(), "circuit breaker changed");
    }

    fn with_known<T>(&self, provider: &str, change: impl FnOnce(&mut Known) -> T) -> T {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        change(all.entry(provider.to_owned()).or_default())
    }
}
