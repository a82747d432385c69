//! Calling a provider: targets in order, retries before the first byte only, within one deadline.

mod acceptance;
mod attempt;
mod breakers;
mod retry_budget;
mod status;
mod usage_meter;
mod window;

use std::time::Duration;

use futures_util::stream::BoxStream;
use rand::RngExt as _;
use tokio::time::Instant;

use super::error::{Attempts, Error};
use super::models::ServedModels;
use super::telemetry::Generation;
use crate::data::Stores;
use crate::model::backoff::Backoff;
use crate::model::catalog::{Model, Target};
use crate::model::clock::Clock;
use crate::model::form::Uploads;
use crate::model::object::Object;
use crate::model::provider::{Endpoint, Event, Failure, ProviderRequest, Whole};
use crate::model::provider_batch::Exchange;
use crate::model::rng;
use crate::model::tokens::Unreported;
pub(super) use acceptance::{Acceptance, Accepted};
use breakers::{BreakerDecision, Breakers, TargetCall};
use retry_budget::RetryBudget;
pub use status::{BreakerPhase, TargetStates, TargetStatus};
pub(super) use usage_meter::UsageMeter;

/// The events of a streamed answer.
pub(super) type EventStream = BoxStream<'static, Result<Event, Failure>>;

/// A call for whichever target answers.
pub(super) struct DispatchRequest<'a> {
    pub(super) project_id: &'a str,
    pub(super) endpoint: Endpoint,
    pub(super) model: &'a Model,
    /// The version of the models that the call began with.
    pub(super) served: &'a ServedModels,
    pub(super) body: &'a Object,
    pub(super) uploads: &'a Uploads,
    /// Headers of the client that a provider with the same API gets too.
    pub(super) headers: &'a [(&'static str, String)],
    pub(super) stream: bool,
    pub(super) deadline: Instant,
    /// Observes the attempts.
    pub(super) used: &'a UsageMeter,
    /// Whether money is held for one attempt only: then an attempt without an answer that is charged is the last.
    pub(super) is_held_once: bool,
    /// Told when a provider accepts the call, if somebody wants to know.
    pub(super) acceptance: Option<&'a Acceptance>,
    /// Runs of the call before this one. Each begins with another target than the one before.
    pub(super) runs_before: usize,
}

/// An answer that has started.
pub(super) struct Dispatched {
    pub(super) answer: ProviderAnswer,
    pub(super) provider: String,
    pub(super) attempts: u32,
}

pub(super) enum ProviderAnswer {
    Whole(Box<Whole>),
    /// Begins with the first event, and has time limits between the others.
    Stream(EventStream),
}

/// Rounds over all targets.
const MAX_ROUNDS: u32 = 3;
/// Waits between rounds.
const BACKOFF: Backoff = Backoff::new(200, 800);
/// A provider that asks for a longer pause is not waited for.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// Calls providers. Owns the circuit breakers and the retry budget of the process.
pub(super) struct Dispatcher {
    breakers: Breakers,
    retries: RetryBudget,
}

impl Dispatcher {
    pub(super) fn new(stores: &Stores, clock: Clock) -> Self {
        let breakers = Breakers::new(stores.breakers(), clock);
        Self { breakers, retries: RetryBudget::default() }
    }

    /// Reads the shared breakers of a model's providers where they are old. Runs in parallel with the admission.
    pub(super) async fn refresh_breakers(&self, model: &Model) {
        self.breakers.refresh(model).await;
    }

    /// Makes a call at the first target that answers.
    ///
    /// # Errors
    /// `Provider` with the last failure and the number of attempts.
    pub(super) async fn dispatch(&self, request: &DispatchRequest<'_>) -> Result<Dispatched, Error> {
        self.retries.earn();
        let mut tried = Tried::default();
        for round in 0..MAX_ROUNDS {
            let before = tried.attempts;
            if let Some(answered) = self.round(request, &mut tried).await {
                return Ok(answered);
            }
            // A round in which no target was called would be followed by more of its kind.
            let Some(wait) = tried.wait(round, request.deadline).filter(|_| tried.attempts > before) else { break };
            if round + 1 == MAX_ROUNDS || !self.retries.spend() {
                break;
            }
            tokio::time::sleep(wait).await;
        }
        Err(tried.into_error())
    }

    /// Tries each target once. If their breakers refuse all of them, some calls pass nevertheless.
    async fn round(&self, request: &DispatchRequest<'_>, tried: &mut Tried) -> Option<Dispatched> {
        let mut refused = None;
        let mut targets = in_order(request.model);
        let first = request.runs_before % targets.len().max(1);
        targets.rotate_left(first);
        for target in targets {
            let config = request.served.catalog.provider(&target.provider).map(|provider| provider.breaker);
            let call = TargetCall { target, config: config.unwrap_or_default(), project_id: request.project_id };
            match self.breakers.permit(&call).await {
                BreakerDecision::Call => {
                    let answered = self.attempt(request, &call, tried).await;
                    if answered.is_some() || tried.is_final() {
                        return answered;
                    }
                }
                BreakerDecision::Wait(retry_after) => {
                    tried.note(target, Failure::CircuitOpen { retry_after });
                    refused.get_or_insert(call);
                }
            }
        }
        let call = refused.filter(|call| tried.attempts == 0 && Breakers::lets_trickle(call))?;
        self.attempt(request, &call, tried).await
    }

    async fn attempt(
        &self,
        request: &DispatchRequest<'_>,
        call: &TargetCall<'_>,
        tried: &mut Tried,
    ) -> Option<Dispatched> {
        match self.send(request, call, tried).await {
            Ok(answer) => Some(Dispatched { answer, provider: call.target.provider.clone(), attempts: tried.attempts }),
            Err(failure) => {
                tried.note(call.target, failure);
                None
            }
        }
    }

    async fn send(
        &self,
        request: &DispatchRequest<'_>,
        call: &TargetCall<'_>,
        tried: &mut Tried,
    ) -> Result<ProviderAnswer, Failure> {
        let (served, target) = (request.served, call.target);
        let provider = served.providers.get(&target.provider).ok_or_else(|| {
            let wrong = served.catalog.wrong_provider(&target.provider).map(ToString::to_string);
            Failure::wrong_entry(wrong.unwrap_or_else(|| "no provider has this name".to_owned()))
        })?;
        if request.deadline <= Instant::now() {
            return Err(Failure::OutOfTime);
        }
        tried.attempts += 1;
        request.used.begin_attempt(unreported(served, target));
        let generation = Generation::begin(request.endpoint, &target.provider, &target.model, request.body);
        let sent = ProviderRequest {
            endpoint: request.endpoint,
            model: target.model.clone(),
            body: request.body.clone(),
            uploads: request.uploads.clone(),
            stream: request.stream,
            max_output_tokens: Some(request.model.max_output_tokens).filter(|tokens| *tokens > 0),
            connect: target.timeouts.connect,
            headers: request.headers.to_vec(),
            traceparent: generation.traceparent(),
            exchange: Exchange::Network,
        };
        let accept = || request.acceptance.map_or((), |told| told.tell(&target.provider, tried.attempts));
        let started = attempt::start(provider.send(&sent), &target.timeouts, request.deadline, accept).await;
        match &started {
            Ok(ProviderAnswer::Whole(whole)) => request.used.observe_whole(whole),
            Ok(ProviderAnswer::Stream(_)) => {}
            Err(failure) => tried.is_over |= request.used.fail_attempt(failure) && request.is_held_once,
        }
        self.breakers.observe(call, started.as_ref().map(drop)).await;
        attempt::trace(started, generation)
    }
}

/// The attempts of a call that no target has answered yet.
#[derive(Default)]
struct Tried {
    attempts: u32,
    /// The last attempt is charged, and no money is held for another.
    is_over: bool,
    /// The failure that explains most, and its provider.
    last: Option<(String, Failure)>,
}

impl Tried {
    fn note(&mut self, target: &Target, failure: Failure) {
        let (error, provider, model) = (failure.summary(), &target.provider, &target.model);
        tracing::warn!(provider, model, attempts = self.attempts, error, "provider attempt failed");
        self.last = Some(more_telling(self.last.take(), (provider.clone(), failure)));
    }

    /// Whether no other target may be tried.
    fn is_final(&self) -> bool {
        self.is_over || self.last.as_ref().is_some_and(|(_, failure)| !failure.may_fall_back())
    }

    /// How long to wait before the next round; `None` if another would help nothing.
    fn wait(&self, round: u32, deadline: Instant) -> Option<Duration> {
        let (_, failure) = self.last.as_ref().filter(|(_, failure)| failure.is_retryable() && !self.is_over)?;
        wait_for(failure, round, deadline)
    }

    fn into_error(self) -> Error {
        let no_target = || Failure::Unsupported { what: "the model has no target".to_owned(), param: None };
        let (provider, source) = self.last.unwrap_or_else(|| (String::new(), no_target()));
        Error::Provider { tried: Attempts::free(provider, self.attempts), source }
    }
}

/// The rule of a target's provider for attempts that end without a usage.
fn unreported(served: &ServedModels, target: &Target) -> Unreported {
    served.catalog.provider(&target.provider).map(|provider| provider.unreported).unwrap_or_default()
}

/// The targets in the order to try them: one drawn by weight first, then the others as written.
fn in_order(model: &Model) -> Vec<&Target> {
    let mut targets: Vec<&Target> = model.targets.iter().collect();
    let total: u32 = targets.iter().filter_map(|target| target.weight).sum();
    if total > 0 {
        let mut drawn = rng::rng().random_range(0..total);
        let first = targets.iter().position(|target| {
            let weight = target.weight.unwrap_or(0);
            let is_drawn = drawn < weight;
            drawn = drawn.saturating_sub(weight);
            is_drawn
        });
        if let Some(first) = first {
            let target = targets.remove(first);
            targets.insert(0, target);
        }
    }
    targets
}

/// How long to wait before the next round; `None` if the deadline or the provider forbids another.
fn wait_for(failure: &Failure, round: u32, deadline: Instant) -> Option<Duration> {
    let own = BACKOFF.delay(round);
    let wait = failure.retry_after().map_or(own, |asked| asked.max(own));
    (wait <= MAX_WAIT && Instant::now() + wait < deadline).then_some(wait)
}

/// The failure of two that explains more: every failure explains more than a target that was not asked.
fn more_telling(before: Option<(String, Failure)>, now: (String, Failure)) -> (String, Failure) {
    match (before, now) {
        (Some(before), (_, Failure::CircuitOpen { .. } | Failure::Unsupported { .. } | Failure::NotSetUp { .. })) => {
            before
        }
        (_, now) => now,
    }
}
