//! Simulated providers: they answer with random tokens or fail with a drawn fault, and record their calls.

use std::sync::Arc;
use std::time::Duration;
use std::vec::IntoIter;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use kit::{batched, chat_answer, chat_chunks, embedded, is_for_index};
use rand::RngExt as _;
use rand::rngs::StdRng;
use shared::model::provider::{Endpoint, Event, Failure, Provider, ProviderRequest, Reply, Symptom, Whole};
use shared::model::provider_batch::ProviderBatches;
use shared::model::tokens::Usage;

use crate::faults::ProviderFault;
use crate::invariants::concurrency;
use crate::load::prompt::Origin;
use crate::load::{hostile, prompt};
use crate::observations::{CallState, ProviderCall};
use crate::process::ProcessHandle;
use crate::provider_batches::SimulatedBatches;
use crate::sim::{Sim, Site, SiteCall};

pub(crate) struct SimulatedProvider {
    name: &'static str,
    sim: Arc<Sim>,
    /// The process that calls it.
    process: ProcessHandle,
    batches: SimulatedBatches,
}

impl SimulatedProvider {
    pub(crate) fn new(name: &'static str, sim: Arc<Sim>, process: ProcessHandle) -> Self {
        let batches = SimulatedBatches { sim: Arc::clone(&sim), process: process.clone() };
        Self { name, sim, process, batches }
    }
}

/// The record of a call. It becomes [`CallState::Abandoned`] if the caller drops the call before its end.
struct Record {
    sim: Arc<Sim>,
    index: usize,
}

impl Record {
    fn new(sim: &Arc<Sim>, call: ProviderCall) -> Self {
        let mut observed = sim.observed();
        let begun = call.is_job.then_some(call.project);
        observed.calls.push(call);
        // A process that dies or loses its lease may leave a call that nobody waits for.
        if let Some(project) = begun.filter(|_| sim.scenario.only_harmless) {
            concurrency::check_jobs(&mut observed, project);
        }
        Self { sim: Arc::clone(sim), index: observed.calls.len() - 1 }
    }

    fn set_state(&self, state: CallState) {
        self.sim.observed().calls[self.index].state = state;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let call = &mut self.sim.observed().calls[self.index];
        if call.is_open() {
            call.state = CallState::Abandoned;
        }
    }
}

#[async_trait]
impl Provider for SimulatedProvider {
    async fn send(&self, call: &ProviderRequest) -> Result<Reply, Failure> {
        if let Some(batched) = batched(call) {
            return batched;
        }
        self.process.run(self.answer(call)).await
    }

    fn batches(&self) -> Option<&dyn ProviderBatches> {
        Some(&self.batches)
    }
}

impl SimulatedProvider {
    async fn answer(&self, call: &ProviderRequest) -> Result<Reply, Failure> {
        let mut site_call = self.sim.begin_call(Site::Provider);
        let drawn = site_call.draw(&self.sim.scenario.provider, call);
        let SiteCall { point, mut rng, .. } = site_call;
        let body = String::from_utf8_lossy(&call.body.to_bytes()).into_owned();
        let usage = draw_usage(call, &body, &mut rng);
        let provoked = provoked(call, &body);
        let fault = provoked.map(|provoked| provoked.fault).or(drawn.map(|drawn| drawn.effect));
        let record = Record::new(&self.sim, self.observe(call, &body, &usage, fault));
        // The first event comes after both, within the two seconds that the models file allows: a late answer is a failure.
        let after = Duration::from_millis(rng.random_range(20..1_050));
        let after = provoked.map_or(after, |provoked| provoked.after);
        let text = draw_text(origin_of(call).tenant, &mut rng);
        let gap = Duration::from_millis(rng.random_range(1..900));
        if let Some(drawn) = drawn.filter(|_| provoked.is_none()) {
            self.sim.record_fault(point, format_args!("provider {} of {} {}", self.name, self.process, drawn.name));
        }
        self.sim.trace.note(format_args!("{point} {} asks {}: {} used", self.process, self.name, usage.output));
        tokio::time::sleep(after).await;
        if fault.is_some_and(|fault| fault.kills_waiting_caller(call.stream)) {
            self.process.kill();
            return std::future::pending().await;
        }
        if let Some(failure) = fault.and_then(|fault| fault.failure(call.stream)) {
            record.set_state(if failure.may_be_billed() { CallState::Interrupted } else { CallState::Refused });
            return Err(failure);
        }
        if fault.is_some_and(|fault| fault.is_silent(call.stream)) {
            return std::future::pending().await;
        }
        let final_state =
            if fault == Some(ProviderFault::NoUsage) { CallState::WithoutUsage } else { CallState::WithUsage };
        if call.stream {
            let steps = steps(fault, chat_chunks(&text, &usage), &mut rng).into_iter();
            let script = Script { steps, gap, final_state, record, process: self.process.clone() };
            return Ok(Reply::Stream(script.into_stream()));
        }
        record.set_state(final_state);
        let answer = if is_for_index(call) { embedded(call).body } else { chat_answer(&text, &usage) };
        Ok(Reply::from(Whole::json(answer, (final_state == CallState::WithUsage).then_some(usage))))
    }
}

impl SimulatedProvider {
    fn observe(&self, call: &ProviderRequest, body: &str, usage: &Usage, fault: Option<ProviderFault>) -> ProviderCall {
        let Origin { tenant, has_stored_events, is_job } = origin_of(call);
        let output = if call.endpoint == Endpoint::Embeddings { 0 } else { output_limit(call) };
        ProviderCall {
            project: tenant,
            is_job,
            target: format!("{}/{}", self.name, call.model),
            started: self.sim.clock.now(),
            has_failed: fault.is_some_and(ProviderFault::is_failure),
            symptom: fault.map_or(Symptom::None, |fault| fault.symptom(call.stream)),
            has_stored_events,
            cost: prompt::cost(usage.input, usage.output),
            input_cost: prompt::cost(usage.input, 0),
            upper_bound: prompt::cost(body.len() as u64 + prompt::MARGIN, output),
            state: CallState::Pending,
        }
    }
}

/// One step of a stream.
enum Step {
    Send(Box<Event>),
    BreakConnection,
    /// Nothing arrives any more.
    Stall,
    /// The reading process dies.
    KillReader,
}

/// The events at the end of a stream without content: the finish reason, and the usage.
const LAST_EVENTS: usize = 2;

/// Returns the steps of a stream from its start to its end.
fn steps(fault: Option<ProviderFault>, mut events: Vec<Event>, rng: &mut StdRng) -> Vec<Step> {
    // The fault strikes after the first event, the last one, or one between them.
    let sent = rng.random_range(1..=events.len());
    let last = match fault {
        Some(ProviderFault::Cut) => Some(Step::BreakConnection),
        Some(ProviderFault::Stall) => Some(Step::Stall),
        Some(ProviderFault::ReaderDies) => Some(Step::KillReader),
        _ => None,
    };
    match fault {
        _ if last.is_some() => events.truncate(sent),
        Some(ProviderFault::NoUsage) => drop(events.pop()),
        Some(ProviderFault::EndTwice) => events.extend_from_within(events.len() - LAST_EVENTS..),
        _ => {}
    }
    events.into_iter().map(|event| Step::Send(Box::new(event))).chain(last).collect()
}

/// A stream while the caller reads it.
struct Script {
    steps: IntoIter<Step>,
    /// The time before each step.
    gap: Duration,
    /// The state of the call after the last step.
    final_state: CallState,
    record: Record,
    process: ProcessHandle,
}

impl Script {
    fn into_stream(self) -> BoxStream<'static, Result<Event, Failure>> {
        futures_util::stream::unfold(self, Self::step).boxed()
    }

    /// Returns the next event and the rest of the stream, if the reading process is still alive.
    async fn step(mut self) -> Option<(Result<Event, Failure>, Self)> {
        let process = self.process.clone();
        let event = process.run(self.next()).await?;
        Some((event, self))
    }

    async fn next(&mut self) -> Option<Result<Event, Failure>> {
        let Some(step) = self.steps.next() else {
            self.record.set_state(self.final_state);
            return None;
        };
        tokio::time::sleep(self.gap).await;
        match step {
            Step::Send(event) => {
                self.record.set_state(CallState::Streaming);
                Some(Ok(*event))
            }
            Step::BreakConnection => {
                self.record.set_state(CallState::Interrupted);
                Some(Err(Failure::Interrupted("cut".into())))
            }
            Step::Stall => std::future::pending().await,
            Step::KillReader => {
                self.process.kill();
                std::future::pending().await
            }
        }
    }
}

/// Draws the tokens that a call uses, at most as many as the call allows.
pub(crate) fn draw_usage(call: &ProviderRequest, body: &str, rng: &mut StdRng) -> Usage {
    let input = rng.random_range(1..=(body.len() as u64 / 2).max(1));
    if call.endpoint == Endpoint::Embeddings {
        return Usage { input, ..Usage::default() };
    }
    let limit = output_limit(call);
    let output = if rng.random_bool(0.5) { limit } else { rng.random_range(1..=limit) };
    Usage { input, output, ..Usage::default() }
}

fn origin_of(call: &ProviderRequest) -> Origin {
    call.traceparent.as_deref().and_then(Origin::parse).unwrap_or_default()
}

/// Returns the limit of output tokens of a call.
pub(crate) fn output_limit(call: &ProviderRequest) -> u64 {
    let limit = ["max_completion_tokens", "max_tokens"].iter().find_map(|name| call.body.get::<u64>(name));
    limit.unwrap_or(prompt::MODEL_OUTPUT)
}

/// Returns what a prompt of the hostile tenant provokes.
fn provoked(call: &ProviderRequest, body: &str) -> Option<hostile::Provoked> {
    if origin_of(call).tenant == hostile::NUMBER { hostile::provoked(body) } else { None }
}

/// Draws a text of a few words, sometimes of so many that the stream outlasts any lease.
fn draw_text(tenant: usize, rng: &mut StdRng) -> String {
    let count = if rng.random_ratio(1, 12) { 60 } else { rng.random_range(1..10) };
    (0..count).fold(prompt::answer_prefix(tenant), |text, n| text + &format!("w{n} "))
}
