//! The batch API of the simulated providers: it takes batches, answers some of their requests within a day, and fails with drawn faults.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use kit::chat_answer;
use rand::RngExt as _;
use rand::rngs::StdRng;
use shared::model::clock::Timestamp;
use shared::model::form::Uploads;
use shared::model::object::Object;
use shared::model::provider::{Endpoint, Failure, ProviderRefusal, ProviderRequest, Symptom};
use shared::model::provider_batch::{
    BatchRefusal, BatchState, EndedBatch, Exchange, NewBatch, ProviderBatches, RequestEnd,
};

use crate::deployment::TENANTS;
use crate::load::prompt;
use crate::observations::{CallState, ProviderCall};
use crate::process::ProcessHandle;
use crate::provider::{draw_usage, output_limit};
use crate::sim::{Sim, Site, SiteCall};

/// A batch that the provider has.
pub(crate) struct NativeBatch {
    id: String,
    new: NewBatch,
    ends_at: Timestamp,
    refusal: Option<BatchRefusal>,
    /// What becomes of the requests, once it is drawn.
    ends: Option<Vec<RequestEnd>>,
    is_deleted: bool,
    /// The index of the first of its calls, of which each request has one.
    first_call: usize,
}

impl NativeBatch {
    /// Whether it has this line of the same batch, and has not refused it.
    fn ran(&self, other: &NewBatch, id: &str) -> bool {
        let batch = |new: &NewBatch| new.tag.split('-').next().map(str::to_owned);
        let has = || self.new.requests.iter().any(|(own, _)| own == id);
        self.refusal.is_none() && batch(&self.new) == batch(other) && has()
    }
}

/// The batch API as one process sees it. The batches are in the observations: they outlive processes.
pub(crate) struct SimulatedBatches {
    pub(crate) sim: Arc<Sim>,
    pub(crate) process: ProcessHandle,
}

/// From submission to the end: minutes, or longer than weir waits.
const MINUTES: [u64; 6] = [1, 5, 30, 120, 900, 1_600];

impl SimulatedBatches {
    /// Makes a call of the API, which may fail before or after it takes effect.
    async fn call<T>(&self, what: &str, effect: impl FnOnce(&mut StdRng) -> Result<T, Failure>) -> Result<T, Failure> {
        let call = async {
            let mut site_call = self.sim.begin_call(Site::Provider);
            let drawn = site_call.draw(&self.sim.scenario.provider, &request_of(&Bytes::new()));
            let SiteCall { point, mut rng, .. } = site_call;
            tokio::time::sleep(Duration::from_millis(rng.random_range(20..1_050))).await;
            self.sim.trace.note(format_args!("{point} {} asks for a batch: {what}", self.process));
            let Some(drawn) = drawn else { return effect(&mut rng) };
            let fault = drawn.effect;
            self.sim.record_fault(point, format_args!("{what} of a batch by {} {}", self.process, drawn.name));
            let kills = fault.kills_waiting_caller(false);
            let failure = fault.failure(false);
            // Only an answer that is lost may come after an effect.
            let is_lost = kills || fault.is_silent(false) || failure.as_ref().is_some_and(Failure::may_be_billed);
            let done =
                if !is_lost && failure.is_some() || rng.random_bool(0.5) { None } else { Some(effect(&mut rng)) };
            if kills {
                self.process.kill();
            }
            match failure {
                Some(failure) => Err(failure),
                None if is_lost => std::future::pending().await,
                None => done.unwrap_or_else(|| Err(Failure::Interrupted("cut".into()))),
            }
        };
        self.process.run(call).await
    }

    fn with<T>(&self, id: &str, change: impl FnOnce(&mut NativeBatch) -> T) -> Result<T, Failure> {
        let mut observed = self.sim.observed();
        let found = observed.native.iter_mut().find(|batch| batch.id == id);
        let unknown = || Failure::Refused { status: 404, refusal: ProviderRefusal::default() };
        found.map(change).ok_or_else(unknown)
    }

    /// Draws what becomes of the requests, and records what the provider bills.
    fn draw_ends(&self, new: &NewBatch, first_call: usize, rng: &mut StdRng) -> Vec<RequestEnd> {
        let is_early = rng.random_bool(0.2);
        let end = |(n, (id, body)): (usize, &(String, Bytes))| {
            let status = match rng.random_range(0..100) {
                0..50 if is_early => None,
                0..8 => None,
                8..16 => Some(500),
                16..20 => Some(429),
                20..24 => Some(400),
                _ => Some(200),
            };
            let answer = status.map(|status| match status {
                200 => (status, self.answer(body, first_call + n, rng)),
                _ => (status, Bytes::from_static(b"{}")),
            });
            if status != Some(200) {
                self.sim.observed().calls[first_call + n].state = CallState::Refused;
            }
            RequestEnd { id: id.clone(), answer }
        };
        new.requests.iter().enumerate().map(end).collect()
    }

    /// Answers a request, whose call is recorded at `index`.
    fn answer(&self, body: &Bytes, index: usize, rng: &mut StdRng) -> Bytes {
        let usage = draw_usage(&request_of(body), &String::from_utf8_lossy(body), rng);
        let call = &mut self.sim.observed().calls[index];
        (call.cost, call.state) = (prompt::cost(usage.input, usage.output), CallState::WithUsage);
        chat_answer(&(prompt::answer_prefix(call.project) + "in a batch"), &usage)
    }

    /// The call of a request that was not answered yet. If nobody reads its answer, it is charged up to its bound.
    fn unread(&self, body: &Bytes) -> ProviderCall {
        let (request, text) = (request_of(body), String::from_utf8_lossy(body));
        let tenant = (0..TENANTS).find(|tenant| text.contains(&prompt::answer_prefix(*tenant))).unwrap_or_default();
        ProviderCall {
            project: tenant,
            is_job: false,
            target: "third/batch".to_owned(),
            started: self.sim.clock.now(),
            has_failed: false,
            symptom: Symptom::None,
            has_stored_events: false,
            cost: 0,
            input_cost: 0,
            upper_bound: prompt::cost(body.len() as u64 + prompt::MARGIN, output_limit(&request)),
            state: CallState::Interrupted,
        }
    }
}

/// A request with a body.
fn request_of(body: &Bytes) -> ProviderRequest {
    ProviderRequest {
        endpoint: Endpoint::ChatCompletions,
        model: "t".to_owned(),
        body: Object::parse(body).unwrap_or_default(),
        uploads: Uploads::default(),
        stream: false,
        max_output_tokens: None,
        connect: Duration::from_secs(1),
        headers: Vec::new(),
        traceparent: None,
        exchange: Exchange::Network,
    }
}

#[async_trait]
impl ProviderBatches for SimulatedBatches {
    async fn submit(&self, new: &NewBatch) -> Result<String, Failure> {
        self.call("submit", |rng| {
            let now = self.sim.clock.now();
            let ends_at = now.plus_ms(MINUTES[rng.random_range(0..MINUTES.len())] * 60_000);
            let refusal = rng.random_bool(0.1).then(|| BatchRefusal {
                is_full: rng.random(),
                reason: "drawn".to_owned(),
                input: None,
            });
            let mut observed = self.sim.observed();
            let twice = new.requests.iter().find(|(id, _)| observed.native.iter().any(|before| before.ran(new, id)));
            if let Some((id, _)) = twice {
                let violation = format!("line {id} of {} is submitted twice", new.tag);
                observed.violation("native", violation);
            }
            let (new, first_call, ends) = (new.clone(), observed.calls.len(), None);
            for (_, body) in &new.requests {
                let state = if refusal.is_some() { CallState::Refused } else { CallState::Interrupted };
                observed.calls.push(ProviderCall { state, ..self.unread(body) });
            }
            let (id, is_deleted) = (format!("theirs-{}", observed.native.len()), false);
            observed.native.push(NativeBatch { id: id.clone(), new, ends_at, refusal, ends, is_deleted, first_call });
            Ok(id)
        })
        .await
    }

    fn can_find(&self) -> bool {
        true
    }

    async fn find(&self, tag: &str, _: Timestamp) -> Result<Option<String>, Failure> {
        self.call("find", |_| {
            let observed = self.sim.observed();
            Ok(observed.native.iter().find(|batch| batch.new.tag == tag).map(|batch| batch.id.clone()))
        })
        .await
    }

    async fn state(&self, id: &str) -> Result<BatchState, Failure> {
        self.call("state", |_| {
            let now = self.sim.clock.now();
            self.with(id, |batch| match &batch.refusal {
                Some(refusal) => BatchState::Refused(refusal.clone()),
                None if now < batch.ends_at => BatchState::Running,
                None => BatchState::Ended(EndedBatch { id: id.to_owned(), ..EndedBatch::default() }),
            })
        })
        .await
    }

    async fn cancel(&self, id: &str) -> Result<(), Failure> {
        self.call("cancel", |rng| {
            let soon = self.sim.clock.now().plus_ms(rng.random_range(0..1_200_000));
            self.with(id, |batch| batch.ends_at = batch.ends_at.min(soon))
        })
        .await
    }

    async fn results(&self, ended: &EndedBatch) -> Result<BoxStream<'static, Result<RequestEnd, Failure>>, Failure> {
        let ends = self
            .call("results", |rng| {
                // The batch outlives its files.
                let is_deleted = self.with(&ended.id, |batch| batch.is_deleted)?;
                if is_deleted {
                    return Err(Failure::Refused { status: 404, refusal: ProviderRefusal::default() });
                }
                let known = |batch: &mut NativeBatch| (batch.new.clone(), batch.first_call, batch.ends.clone());
                let (new, first_call, drawn) = self.with(&ended.id, known)?;
                if let Some(ends) = drawn {
                    return Ok(ends);
                }
                let ends = self.draw_ends(&new, first_call, rng);
                self.with(&ended.id, |batch| batch.ends = Some(ends.clone()))?;
                Ok(ends)
            })
            .await?;
        Ok(futures_util::stream::iter(ends.into_iter().map(Ok)).boxed())
    }

    async fn delete(&self, ended: &EndedBatch) -> Result<(), Failure> {
        self.call("delete", |_| self.with(&ended.id, |batch| batch.is_deleted = true)).await
    }
}
