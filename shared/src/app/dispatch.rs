//! Calling a provider: targets in order, retries before the first byte only, within one deadline.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use rand::RngExt as _;
use tokio::time::{Instant, timeout_at};

use super::breaker::Permit;
use super::error::Error;
use super::gateway::Gateway;
use super::telemetry::Generation;
use crate::model::catalog::{Model, Target, Timeouts};
use crate::model::object::Object;
use crate::model::provider::{Call, Endpoint, Event, Failure, Reply, Whole};
use crate::model::rng;

/// A call to be made at whichever target answers.
pub(super) struct Order<'a> {
    pub(super) endpoint: Endpoint,
    pub(super) model: &'a Model,
    pub(super) body: &'a Object,
    pub(super) stream: bool,
    pub(super) deadline: Instant,
}

/// An answer that has begun.
pub(super) struct Dispatched {
    pub(super) begun: Begun,
    pub(super) provider: String,
    pub(super) attempts: u32,
}

pub(super) enum Begun {
    Whole(Whole),
    /// With the first event in it, and with time limits between the others.
    Stream(BoxStream<'static, Result<Event, Failure>>),
}

/// Rounds over all targets.
const MAX_ROUNDS: u32 = 3;
const BACKOFF_MS: u64 = 200;
/// A provider that wants to be left alone for longer is not waited for.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// Keeps retries a small share of all calls, so that a provider in trouble is not buried under them.
pub(crate) struct RetryBudget(AtomicU32);

/// A call earns this many thousandths of a retry; the most that can be saved up.
const EARNED: u32 = 200;
const SAVED: u32 = 10_000;

impl Default for RetryBudget {
    fn default() -> Self {
        Self(AtomicU32::new(SAVED))
    }
}

impl RetryBudget {
    fn earn(&self) {
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some((left + EARNED).min(SAVED)));
    }

    fn spend(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1_000)).is_ok()
    }
}

impl Gateway {
    /// Makes a call at the first target that answers.
    ///
    /// # Errors
    /// `Provider` with the last failure and the number of attempts.
    pub(super) async fn dispatch(&self, order: &Order<'_>) -> Result<Dispatched, Error> {
        self.retries.earn();
        let mut attempts = 0;
        let mut last = None;
        for round in 0..MAX_ROUNDS {
            for target in in_order(order.model) {
                let failure = match self.attempt(order, target, &mut attempts).await {
                    Ok(begun) => return Ok(Dispatched { begun, provider: target.provider.clone(), attempts }),
                    Err(failure) => failure,
                };
                tracing::warn!(
                    provider = target.provider,
                    attempts,
                    error = failure.summary(),
                    "provider attempt failed"
                );
                let go_on = failure.may_fall_back();
                last = Some(telling(last.take(), (target.provider.clone(), failure)));
                if !go_on {
                    return Err(failed(last, attempts));
                }
            }
            let retryable = last.as_ref().filter(|(_, failure)| failure.is_retryable());
            let Some(wait) = retryable.and_then(|(_, failure)| backoff(failure, round, order.deadline)) else { break };
            if round + 1 == MAX_ROUNDS || !self.retries.spend() {
                break;
            }
            tokio::time::sleep(wait).await;
        }
        Err(failed(last, attempts))
    }

    async fn attempt(&self, order: &Order<'_>, target: &Target, attempts: &mut u32) -> Result<Begun, Failure> {
        if let Permit::Wait(retry_after) = self.permit(&target.provider).await {
            return Err(Failure::CircuitOpen { retry_after });
        }
        let provider = self.providers.get(&target.provider);
        let provider = provider.ok_or_else(|| Failure::Unsupported {
            what: format!("provider `{}` is not connected", target.provider),
            param: None,
        })?;
        *attempts += 1;
        let generation = Generation::begin(order.endpoint, &target.provider, &target.model, order.body);
        let call = Call {
            endpoint: order.endpoint,
            model: target.model.clone(),
            body: order.body.clone(),
            stream: order.stream,
            connect: target.timeouts.connect,
            traceparent: generation.traceparent(),
        };
        let begun = begin(provider.send(&call), &target.timeouts, order.deadline).await;
        self.observe(&target.provider, begun.as_ref().map(drop)).await;
        watched(begun, generation)
    }
}

/// What has begun, under the eyes of the call's span.
fn watched(begun: Result<Begun, Failure>, generation: Generation) -> Result<Begun, Failure> {
    match begun {
        Ok(Begun::Whole(whole)) => {
            generation.whole(&whole);
            Ok(Begun::Whole(whole))
        }
        Ok(Begun::Stream(events)) => Ok(Begun::Stream(generation.stream(events))),
        Err(failure) => {
            generation.failed(&failure);
            Err(failure)
        }
    }
}

/// Waits for the whole answer or the first event.
async fn begin(
    answer: impl Future<Output = Result<Reply, Failure>>,
    timeouts: &Timeouts,
    deadline: Instant,
) -> Result<Begun, Failure> {
    let until = deadline.min(Instant::now() + timeouts.first_byte);
    let late = || Failure::TimedOut { awaited: "answer", after: timeouts.first_byte };
    match timeout_at(until, answer).await.map_err(|_| late())?? {
        Reply::Whole(whole) => Ok(Begun::Whole(whole)),
        Reply::Stream(mut events) => {
            let first = timeout_at(until, events.next()).await.map_err(|_| late())?;
            let first =
                first.ok_or_else(|| Failure::Malformed("the stream ended before its first event".to_owned()))??;
            let rest = timed(events, timeouts.idle, deadline);
            Ok(Begun::Stream(futures_util::stream::iter([Ok(first)]).chain(rest).boxed()))
        }
    }
}

/// Ends a stream with a failure when nothing comes for `idle`, or when the deadline has passed.
fn timed(
    events: BoxStream<'static, Result<Event, Failure>>,
    idle: Duration,
    deadline: Instant,
) -> BoxStream<'static, Result<Event, Failure>> {
    futures_util::stream::unfold(Some(events), move |events| async move {
        let mut events = events?;
        let until = deadline.min(Instant::now() + idle);
        match timeout_at(until, events.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(event))) => Some((Ok(event), Some(events))),
            Ok(Some(Err(failure))) => Some((Err(failure), None)),
            Err(_) => Some((Err(Failure::TimedOut { awaited: "next event", after: idle }), None)),
        }
    })
    .boxed()
}

/// The targets in the order to try them: one drawn by weight first, then the others as written.
fn in_order(model: &Model) -> Vec<&Target> {
    let mut targets: Vec<&Target> = model.targets.iter().collect();
    let total: u32 = targets.iter().filter_map(|target| target.weight).sum();
    if total > 0 {
        let mut drawn = rng::rng().random_range(0..total);
        let first = targets.iter().position(|target| {
            let weight = target.weight.unwrap_or(0);
            let hit = drawn < weight;
            drawn = drawn.saturating_sub(weight);
            hit
        });
        if let Some(first) = first {
            let target = targets.remove(first);
            targets.insert(0, target);
        }
    }
    targets
}

/// How long to wait before the next round; `None` if the deadline or the provider says not to.
fn backoff(failure: &Failure, round: u32, deadline: Instant) -> Option<Duration> {
    let most = BACKOFF_MS << round;
    let own = Duration::from_millis(rng::rng().random_range(most / 2..=most));
    let wait = failure.retry_after().map_or(own, |asked| asked.max(own));
    (wait <= MAX_WAIT && Instant::now() + wait < deadline).then_some(wait)
}

/// Of two failures the one that says more: anything says more than "not asked".
fn telling(before: Option<(String, Failure)>, now: (String, Failure)) -> (String, Failure) {
    match (before, now) {
        (Some(before), (_, Failure::CircuitOpen { .. } | Failure::Unsupported { .. })) => before,
        (_, now) => now,
    }
}

fn failed(last: Option<(String, Failure)>, attempts: u32) -> Error {
    let nothing = || Failure::Unsupported { what: "the model has no target".to_owned(), param: None };
    let (provider, source) = last.unwrap_or_else(|| (String::new(), nothing()));
    Error::Provider { provider: provider.into(), attempts, source }
}

/// An error with its causes on one line.
pub struct ErrorChain<'a>(pub &'a dyn std::error::Error);

impl std::fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}
