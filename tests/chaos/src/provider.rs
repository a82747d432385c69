//! A provider that answers, throttles, stalls, cuts and fails by chance, and writes down what it gave.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use kit::{chat_answer, chat_chunks};
use rand::RngExt as _;
use rand::rngs::StdRng;
use shared::model::provider::{Call, Endpoint, Event, Failure, Provider, Reply, Whole};
use shared::model::tokens::Usage;

use crate::faults::provider::{Turn, drawn};
use crate::ledger::{CallState, ProviderCall};
use crate::load::prompt;
use crate::process::Life;
use crate::sim::{Sim, Site};

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
        let (place, mut chance, open) = self.sim.arrive(Site::Provider);
        let body = String::from_utf8_lossy(&call.body.to_bytes()).into_owned();
        let usage = used(call, &body, &mut chance);
        let entry = Entry::of(&self.sim, entry(call, &body, &usage));
        let after = Duration::from_millis(chance.random_range(20..1_600));
        let text = words(asked_by(call).0, &mut chance);
        let gap = Duration::from_millis(chance.random_range(1..900));
        let turn = if open { drawn(&self.sim.weather, &mut chance) } else { Turn::Answer };
        if turn != Turn::Answer {
            self.sim.inject(place, format_args!("provider {} for {}: {turn:?}", self.name, self.life));
        }
        self.sim.trace.note(format_args!("{place} {} asks {}: {} used", self.life, self.name, usage.output));
        tokio::time::sleep(after).await;
        if turn == Turn::CallerDies {
            self.life.end();
            return std::future::pending().await;
        }
        if let Some(failure) = turn.failure(call.stream) {
            entry.is_now(CallState::Refused);
            return Err(failure);
        }
        if matches!(turn, Turn::Silence) || (turn == Turn::Stall && !call.stream) {
            return std::future::pending().await;
        }
        let counted = turn != Turn::Uncounted;
        if call.stream {
            return Ok(self.stream(turn, &text, &usage, gap, entry));
        }
        entry.is_now(if counted { CallState::Counted } else { CallState::Uncounted });
        Ok(Reply::Whole(Whole { body: chat_answer(&text, &usage), usage: counted.then_some(usage) }))
    }

    fn stream(&self, turn: Turn, text: &str, usage: &Usage, gap: Duration, entry: Entry) -> Reply {
        let mut events: Vec<Option<Event>> = chat_chunks(text, usage).into_iter().map(Some).collect();
        let half = events.len() / 2;
        match turn {
            Turn::Uncounted => drop(events.pop()),
            Turn::Cut => {
                events.truncate(half.max(1));
                events.push(None);
            }
            Turn::Stall => events.truncate(half.max(1)),
            _ => {}
        }
        let last = if turn == Turn::Uncounted { CallState::Uncounted } else { CallState::Counted };
        let life = self.life.clone();
        let steps = futures_util::stream::unfold((events.into_iter(), entry), move |(mut events, entry)| {
            let life = life.clone();
            async move {
                let step = async {
                    match events.next() {
                        Some(event) => {
                            tokio::time::sleep(gap).await;
                            Some(told(event, &entry))
                        }
                        None if turn == Turn::Stall => std::future::pending().await,
                        None => {
                            entry.is_now(last);
                            None
                        }
                    }
                };
                life.live(step).await.map(|step| (step, (events, entry)))
            }
        });
        Reply::Stream(steps.boxed())
    }
}

fn told(event: Option<Event>, entry: &Entry) -> Result<Event, Failure> {
    let Some(event) = event else {
        entry.is_now(CallState::Broken);
        return Err(Failure::Unreachable("cut".into()));
    };
    entry.is_now(CallState::Streaming);
    Ok(event)
}

/// Tokens that a call uses, never more than it may.
fn used(call: &Call, body: &str, chance: &mut StdRng) -> Usage {
    let input = chance.random_range(1..=(body.len() as u64 / 2).max(1));
    if call.endpoint == Endpoint::Embeddings {
        return Usage { input, ..Usage::default() };
    }
    let most = most_output(call);
    let output = if chance.random_bool(0.5) { most } else { chance.random_range(1..=most) };
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
fn words(tenant: usize, chance: &mut StdRng) -> String {
    let count = if chance.random_ratio(1, 12) { 60 } else { chance.random_range(1..10) };
    (0..count).fold(prompt::addressed(tenant), |text, n| text + &format!("w{n} "))
}
