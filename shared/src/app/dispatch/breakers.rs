//! Circuit breakers: each process counts the calls of a target in memory. Processes share the state through the table and
//! write only when it changes, so a healthy target costs no write.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::RngExt as _;

use super::window::{Seen, Window};
use crate::app::telemetry::{self, TelemetryEvent};
use crate::data::{BreakerRecords, BreakerState, Probe, StoreError, WriteOutcome};
use crate::model::catalog::{BreakerConfig, Model, Target};
use crate::model::clock::{Clock, Timestamp};
use crate::model::error_chain::ErrorChain;
use crate::model::provider::{Failure, Symptom};
use crate::model::rng;

/// How long a round of probes goes on before another may begin.
const PROBE_MS: u64 = 30_000;
/// How old the shared state may be before it is read again.
const FRESH_MS: u64 = 5_000;

/// The breakers of all targets, as this process knows them.
pub(super) struct Breakers {
    records: BreakerRecords,
    clock: Clock,
    /// By the name of the provider.
    known: Mutex<HashMap<String, KnownProvider>>,
}

#[derive(Default)]
struct KnownProvider {
    read_at: Timestamp,
    /// By the provider's name of the model.
    targets: HashMap<String, KnownTarget>,
}

#[derive(Default)]
struct KnownTarget {
    window: Window,
    /// `None` while the breaker is closed.
    shared: Option<BreakerState>,
}

/// Whether a call may go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BreakerDecision {
    Call,
    Wait(Duration),
}

/// A call of a target, as its breaker sees it.
#[derive(Clone, Copy)]
pub(super) struct TargetCall<'a> {
    pub(super) target: &'a Target,
    pub(super) config: BreakerConfig,
    pub(super) project_id: &'a str,
}

enum Change {
    Open(BreakerState),
    Close,
}

impl Breakers {
    pub(super) fn new(records: BreakerRecords, clock: Clock) -> Self {
        Self { records, clock, known: Mutex::default() }
    }

    /// Reads the shared states of the providers of a model where they are old.
    pub(super) async fn refresh(&self, model: &Model) {
        let now = self.clock.now();
        let is_fresh = |known: &KnownProvider| known.read_at <= now && known.read_at.plus_ms(FRESH_MS) > now;
        let is_old = |provider: &&str| !self.with_known(|known| known.get(*provider).is_some_and(is_fresh));
        let providers: BTreeSet<&str> = model.targets.iter().map(|target| target.provider.as_str()).collect();
        let old = providers.into_iter().filter(is_old);
        futures_util::future::join_all(old.map(|provider| self.read(provider, now))).await;
    }

    async fn read(&self, provider: &str, now: Timestamp) {
        let found = self.records.of_provider(provider, now).await;
        self.with_known(|known| {
            let KnownProvider { read_at, targets } = known.entry(provider.to_owned()).or_default();
            *read_at = now;
            // States that cannot be read stay as they are: the call itself will show whether its target answers.
            let Ok(found) = found else { return };
            targets.values_mut().for_each(|target| target.shared = None);
            for (model, state) in found {
                targets.entry(model).or_default().shared = Some(state);
            }
        });
    }

    /// Asks a breaker for a call. When the open time is over, some calls get to probe the target: of all instances, and
    /// each of another project.
    pub(super) async fn permit(&self, call: &TargetCall<'_>) -> BreakerDecision {
        let now = self.clock.now();
        let Some(state) = self.with_target(call.target, |known| known.shared.clone()) else {
            return BreakerDecision::Call;
        };
        let latest = now.plus_ms(call.config.open_ms);
        if state.open_until > now && state.open_until <= latest {
            return BreakerDecision::Wait(Duration::from_millis(now.until(state.open_until)));
        }
        let until = now.plus_ms(PROBE_MS);
        let probe = Probe { project_id: call.project_id, now, until, latest };
        match state.probe_until > now && state.probe_until <= until {
            true => self.probe(call, self.records.join_probes(call.target, &probe).await, state.probe_until, now),
            false => self.probe(call, self.records.begin_probes(call.target, &probe).await, until, now),
        }
    }

    /// The decision about a call that asked to be a probe of the round until `until`.
    fn probe(
        &self,
        call: &TargetCall<'_>,
        claimed: Result<WriteOutcome, StoreError>,
        until: Timestamp,
        now: Timestamp,
    ) -> BreakerDecision {
        self.with_known(|known| {
            let provider = known.entry(call.target.provider.clone()).or_default();
            if let Ok(WriteOutcome::Refused) = claimed {
                provider.read_at = Timestamp::default();
                return BreakerDecision::Wait(Duration::from_millis(now.until(until)));
            }
            if let Some(state) = provider.targets.get_mut(&call.target.model).and_then(|known| known.shared.as_mut()) {
                state.probe_until = until;
            }
            BreakerDecision::Call
        })
    }

    /// Whether a call passes an open breaker: so many do that no breaker takes a model from everybody.
    pub(super) fn lets_trickle(call: &TargetCall<'_>) -> bool {
        rng::rng().random_bool(call.config.trickle)
    }

    /// Counts the outcome of a call; opens or closes the breaker where that changes its state.
    pub(super) async fn observe(&self, call: &TargetCall<'_>, outcome: Result<(), &Failure>) {
        let seen = match outcome.map_err(Failure::symptom) {
            Ok(()) => Seen::Answer,
            Err(Symptom::Outage) => Seen::Outage,
            Err(Symptom::Stall) => Seen::Stall(call.project_id),
            Err(Symptom::None) => return,
        };
        let cause = outcome.err().map(|failure| failure.kind().into_owned()).unwrap_or_default();
        let now = self.clock.now();
        let change = self.with_target(call.target, |known| {
            let change = change(known, seen, call, cause, now)?;
            known.window = Window::default();
            known.shared = match &change {
                Change::Open(state) => Some(state.clone()),
                Change::Close => None,
            };
            Some(change)
        });
        if let Some(change) = change {
            self.write(call.target, &change).await;
        }
    }

    async fn write(&self, target: &Target, change: &Change) {
        let Target { provider, model, .. } = target;
        let written = match change {
            Change::Open(state) => {
                let BreakerState { failures, calls, cause, .. } = state;
                tracing::warn!(provider, model, failures, calls, cause, "circuit breaker opened");
                telemetry::record(&TelemetryEvent::BreakerOpened { provider: provider.clone() });
                self.records.open(target, state).await
            }
            Change::Close => {
                tracing::warn!(provider, model, "circuit breaker closed");
                self.records.close(target).await
            }
        };
        if let Err(error) = written {
            tracing::warn!(provider, model, error = %ErrorChain(&error), "state of a circuit breaker not shared");
        }
    }

    fn with_target<T>(&self, target: &Target, change: impl FnOnce(&mut KnownTarget) -> T) -> T {
        self.with_known(|known| {
            let provider = known.entry(target.provider.clone()).or_default();
            change(provider.targets.entry(target.model.clone()).or_default())
        })
    }

    fn with_known<T>(&self, change: impl FnOnce(&mut HashMap<String, KnownProvider>) -> T) -> T {
        change(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The change of a breaker by a call. An answer closes it. While it is closed, enough failures open it. When its open time
/// is over, one outage opens it again; a stall, which callers can cause, does nothing then.
fn change(
    known: &mut KnownTarget,
    seen: Seen<'_>,
    call: &TargetCall<'_>,
    cause: String,
    now: Timestamp,
) -> Option<Change> {
    let open_until = now.plus_ms(call.config.open_ms);
    let probe_until = Timestamp::default();
    match (&known.shared, seen) {
        (Some(_), Seen::Answer) => Some(Change::Close),
        (Some(state), Seen::Outage) if state.open_until <= now => {
            Some(Change::Open(BreakerState { open_until, probe_until, cause, ..state.clone() }))
        }
        (Some(_), _) => None,
        (None, seen) => {
            let tally = known.window.add(seen, &call.config, now)?;
            let (failures, calls) = (tally.failures, tally.calls);
            Some(Change::Open(BreakerState { opened_at: now, open_until, probe_until, failures, calls, cause }))
        }
    }
}
