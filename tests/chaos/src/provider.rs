//! A provider that answers, throttles, stalls, cuts and fails by rng, and writes down what it gave.

use std::sync::Arc;
use std::time::Duration;
use std::vec::IntoIter;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use kit::{chat_answer, chat_chunks};
use rand::RngExt as _;
use rand::rngs::StdRng;
use shared::model::provider::{Call, Endpoint, Event, Failure, Provider, Reply, Whole};
use shared::model::tokens::Usage;

use crate::faults::ProviderFault;
use crate::ledger::{CallState, ProviderCall};
use crate::load::prompt;
use crate::process::Life;
use crate::sim::{Arrival, Sim, Site};

pub(crate) struct ScriptedByChance {
    name: &'static str,
    sim: Arc<Sim>,
    life: Life,
}

impl ScriptedByChance {
    pub(crate) fn new(name: &'static str, sim: Arc<Sim>, life: Life) -> Self {
        Self { name, sim, life }
    }
}

/// A call's line in the ledger. Left without an end if it is dropped.
struct Entry {
    sim: Arc<Sim>,
    index: usize,
}

impl Entry {
    fn of(sim: &Arc<Sim>, call: ProviderCall) -> Self {
        let mut ledger = sim.ledger();
        ledger.calls.push(call);
        Self { sim: Arc::clone(sim), index: ledger.calls.len() - 1 }
    }

    fn is_now(&self, state: CallState) {
        self.sim.ledger().calls[self.index].state = state;
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let state = &mut self.sim.ledger().calls[self.index].state;
        match state {
            CallState::Asked => *state = CallState::Left { had_begun: false },
            CallState::Streaming => *state = CallState::Left { had_begun: true },
            _ => {}
        }
    }
}

#[async_trait]
impl Provider for ScriptedByChance {
    async fn send(&self, call: &Call) -> Result<Reply, Failure> {
        self.life.live(self.answer(call)).await
    }
}

impl ScriptedByChance {
    async fn answer(&self, call: &Call) -> Result<Reply, Failure> {
        let mut arrival = self.sim.arrive(Site::Provider);
        let fault = arrival.draw(&self.sim.weather.provider, call);
        let Arrival { place, mut rng, .. } = arrival;
        let body = String::from_utf8_lossy(&call.body.to_bytes()).into_owned();
        let usage = used(call, &body, &mut rng);
        let entry = Entry::of(&self.sim, entry(call, &body, &usage));
        let after = Duration::from_millis(rng.random_range(20..1_600));
        let text = words(asked_by(call).0, &mut rng);
        let gap = Duration::from_millis(rng.random_range(1..900));
        if let Some(fault) = fault {
            self.sim.inject(place, format_args!("provider {} of {} {}", self.name, self.life, fault.name));
        }
        let fault = fault.map(|fault| fault.effect);
        self.sim.trace.note(format_args!("{place} {} asks {}: {} used", self.life, self.name, usage.output));
        tokio::time::sleep(after).await;
        if fault.is_some_and(|fault| fault.kills_waiting_caller(call.stream)) {
            self.life.end();
            return std::future::pending().await;
        }
        if let Some(failure) = fault.and_then(|fault| fault.failure(call.stream)) {
            entry.is_now(CallState::Refused);
            return Err(failure);
        }
        if fault.is_some_and(|fault| fault.is_silent(call.stream)) {
            return std::future::pending().await;
        }
        let told = if fault == Some(ProviderFault::NoUsage) { CallState::Uncounted } else { CallState::Counted };
        if call.stream {
            let steps = steps(fault, chat_chunks(&text, &usage), &mut rng).into_iter();
            let script = Script { steps, gap, told, entry, life: self.life.clone() };
            return Ok(Reply::Stream(script.into_stream()));
        }
        entry.is_now(told);
        Ok(Reply::Whole(Whole {
            body: chat_answer(&text, &usage),
            usage: (told == CallState::Counted).then_some(usage),
        }))
    }
}

/// What a stream does next.
enum Step {
    Give(Event),
    Break,
    /// Nothing comes any more.
    Stall,
    /// The process that reads it dies.
    EndReader,
}

/// Events at the end of a stream that are no content: how it ends, and what was used.
const LAST_EVENTS: usize = 2;

/// What a stream does from its beginning to its end.
fn steps(fault: Option<ProviderFault>, mut events: Vec<Event>, rng: &mut StdRng) -> Vec<Step> {
    // After the first event, the last one, or any between them.
    let given = rng.random_range(1..=events.len());
    let last = match fault {
        Some(ProviderFault::Cut) => Some(Step::Break),
        Some(ProviderFault::Stall) => Some(Step::Stall),
        Some(ProviderFault::ReaderDies) => Some(Step::EndReader),
        _ => None,
    };
    match fault {
        _ if last.is_some() => events.truncate(given),
        Some(ProviderFault::NoUsage) => drop(events.pop()),
        Some(ProviderFault::EndTwice) => events.extend_from_within(events.len() - LAST_EVENTS..),
        _ => {}
    }
    events.into_iter().map(Step::Give).chain(last).collect()
}

/// A stream that is being read.
struct Script {
    steps: IntoIter<Step>,
    /// Time before each step.
    gap: Duration,
    /// What the call is once the stream has come to its end.
    told: CallState,
    entry: Entry,
    life: Life,
}

impl Script {
    fn into_stream(self) -> BoxStream<'static, Result<Event, Failure>> {
        futures_util::stream::unfold(self, Self::step).boxed()
    }

    /// The next event, if the process that reads lives to see it, and the rest.
    async fn step(mut self) -> Option<(Result<Event, Failure>, Self)> {
        let life = self.life.clone();
        let event = life.live(self.next()).await?;
        Some((event, self))
    }

    async fn next(&mut self) -> Option<Result<Event, Failure>> {
        let Some(step) = self.steps.next() else {
            self.entry.is_now(self.told);
            return None;
        };
        tokio::time::sleep(self.gap).await;
        match step {
            Step::Give(event) => {
                self.entry.is_now(CallState::Streaming);
                Some(Ok(event))
            }
            Step::Break => {
                self.entry.is_now(CallState::Broken);
                Some(Err(Failure::Unreachable("cut".into())))
            }
            Step::Stall => std::future::pending().await,
            Step::EndReader => {
                self.life.end();
                std::future::pending().await
            }
        }
    }
}

/// Tokens that a call uses, never more than it may.
fn used(call: &Call, body: &str, rng: &mut StdRng) -> Usage {
    let input = rng.random_range(1..=(body.len() as u64 / 2).max(1));
    if call.endpoint == Endpoint::Embeddings {
        return Usage { input, ..Usage::default() };
    }
    let most = most_output(call);
    let output = if rng.random_bool(0.5) { most } else { rng.random_range(1..=most) };
    Usage { input, output, ..Usage::default() }
}

/// The tenant, and whether the answer is written down while it comes.
fn asked_by(call: &Call) -> (usize, bool) {
    call.traceparent.as_deref().and_then(prompt::read).unwrap_or_default()
}

fn most_output(call: &Call) -> u64 {
    let asked = ["max_completion_tokens", "max_tokens"].iter().find_map(|name| call.body.get::<u64>(name));
    asked.unwrap_or(prompt::MODEL_OUTPUT)
}

fn entry(call: &Call, body: &str, usage: &Usage) -> ProviderCall {
    let (project, is_written) = asked_by(call);
    let output = if call.endpoint == Endpoint::Embeddings { 0 } else { most_output(call) };
    ProviderCall {
        project,
        is_written,
        cost: prompt::cost(usage.input, usage.output),
        input_cost: prompt::cost(usage.input, 0),
        most: prompt::cost(body.len() as u64 + prompt::MARGIN, output),
        state: CallState::Asked,
    }
}

/// A few words, now and then so many that the answer takes longer than any lease.
fn words(tenant: usize, rng: &mut StdRng) -> String {
    let count = if rng.random_ratio(1, 12) { 60 } else { rng.random_range(1..10) };
    (0..count).fold(prompt::addressed(tenant), |text, n| text + &format!("w{n} "))
}
