//! Lines that a provider runs in a batch of its own: they are given to it, asked for, and read when it has ended.
//!
//! A part with such lines is not run meanwhile. It is taken each time the provider is asked, and given back.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::time::{Instant, timeout};

use super::line::{LineContext, NamedLine, PreparedLine, Tried};
use super::open_part::{OpenPart, Step};
use super::reserve::{NOT_READY_WAIT, Reserved, wait_by_age};
use super::runner::PartRunner;
use super::wave::{HEARTBEAT, MAX_DEATHS, PART_LEASE_MS, UNSTORED_BYTES, charge_of};
use crate::app::dispatch::UsageMeter;
use crate::app::error::{Attempts, Error};
use crate::app::generation::in_request;
use crate::app::ledger::Account;
use crate::app::models::ServedModels;
use crate::app::pipeline::find_model;
use crate::data::{LineResult, LineSummary, NativeWave};
use crate::model::batch::{Batch, BatchEndpoint, PartRange};
use crate::model::catalog::{BatchMode, Model, Target};
use crate::model::error_chain::ErrorChain;
use crate::model::file::FileKey;
use crate::model::object::Object;
use crate::model::provider::{Failure, Provider, Reply};
use crate::model::provider_batch::{
    BatchRefusal, BatchState, EndedBatch, Exchange, NewBatch, ProviderBatches, RequestEnd,
};
use crate::model::tokens::{Charge, Unreported};

/// The time for a request to a provider's batch API. The largest has the requests of a part.
const ASK_TIME: Duration = Duration::from_secs(120);
/// The time to delete what a provider has. Nobody has to wait for it.
const FORGET_TIME: Duration = Duration::from_secs(30);
/// The longest silence while results are read.
const READ_TIME: Duration = Duration::from_secs(60);
/// Before a batch expires, the provider's batch is cancelled: what it left is run here in this time.
const DIRECT_MS: u64 = 3_600_000;

/// Where the lines of a batch go.
pub(super) struct Route<'a> {
    provider: &'a Arc<dyn Provider>,
    batches: &'a dyn ProviderBatches,
    target: &'a Target,
    unreported: Unreported,
}

impl<'a> Route<'a> {
    /// The provider's batch API for a model; `None`: its lines run here.
    pub(super) fn of(served: &'a ServedModels, model: &'a Model) -> Option<Self> {
        let target = model.targets.first().filter(|_| model.batch == BatchMode::Native)?;
        Self::at(served, target)
    }

    fn at(served: &'a ServedModels, target: &'a Target) -> Option<Self> {
        let provider = served.providers.get(&target.provider)?;
        let unreported = served.catalog.provider(&target.provider).map(|config| config.unreported).unwrap_or_default();
        Some(Self { provider, batches: provider.batches()?, target, unreported })
    }

    pub(super) fn provider_name(&self) -> &'a str {
        &self.target.provider
    }
}

/// Whether the lines of a model go to a provider's batch API.
pub(super) fn is_native(served: &ServedModels, model: &str, endpoint: BatchEndpoint) -> bool {
    find_model(served, model, endpoint.called()).is_ok_and(|model| Route::of(served, model).is_some())
}

/// What was read of a provider's batch.
#[derive(Default)]
struct Collected {
    charge: Charge,
    answered: u64,
    /// Of the results that are stored.
    results: Vec<LineSummary>,
    /// Lines without a result, and what they cost.
    tried: Vec<(u64, Charge)>,
}

impl PartRunner {
    /// Gives lines to a provider. `None`: it did not take them, and they run here.
    pub(super) async fn submit(
        &self,
        part: &mut OpenPart,
        context: &LineContext<'_>,
        route: &Route<'_>,
        (lines, reserved): (&[PreparedLine], Reserved),
    ) -> Result<Option<Step>, Error> {
        let Some(native) = part.run.native.clone() else { return Ok(None) };
        let (new, refused) = context.write(route, lines, reserved.budgeted, native.tag.clone()).await;
        part.note_tried(refused.into_iter().map(|line| (line, Charge::default())));
        let numbers: Vec<u64> = new.requests.iter().filter_map(|(id, _)| id.parse().ok()).collect();
        if numbers.is_empty() {
            return self.settle_native(part, Charge::default(), 0).await.map(|()| None);
        }
        let submitted = timeout(ASK_TIME, route.batches.submit(&new));
        let Some(submitted) = self.holding(part, submitted).await else { return Ok(Some(Step::Lost)) };
        let failure = match submitted.unwrap_or(Err(Failure::OutOfTime)) {
            Ok(id) => {
                let lines = numbers.len();
                tracing::info!(
                    part = part.run.key.part,
                    lines,
                    provider = native.provider,
                    "lines given to a provider"
                );
                return Ok(Some(self.park(part, NativeWave { id: Some(id), ..native })));
            }
            Err(failure) => failure,
        };
        tracing::warn!(provider = native.provider, error = failure.summary(), "lines not given to a provider");
        let is_unknown = failure.may_be_billed() || matches!(failure, Failure::Unavailable { .. });
        if failure.may_be_billed() || is_unknown && route.batches.can_find() {
            // The provider may have them: it is asked later.
            return Ok(Some(self.park(part, native)));
        }
        self.settle_native(part, Charge::default(), 0).await?;
        if failure.is_retryable() || matches!(failure, Failure::NotSetUp { .. } | Failure::Unauthorized { .. }) {
            let age = part.batch.created_at.until(self.clock.now());
            let wait = failure.retry_after().unwrap_or_default().max(wait_by_age(age));
            return self.pause(part, wait, &of_provider(&native, failure)).await.map(Some);
        }
        part.note_tried(numbers.into_iter().map(|line| (line, Charge::default())));
        Ok(None)
    }

    /// Asks a provider for the lines that it has. `None`: it has none, and the others run here. `range` is that of the part.
    pub(super) async fn follow(&self, part: &mut OpenPart, range: PartRange) -> Result<Option<Step>, Error> {
        let Some(native) = part.run.native.clone() else { return Ok(None) };
        let is_late = part.batch.expires_at() <= self.clock.now();
        let served = match self.models.current().await {
            Ok(served) => served,
            Err(_) if is_late => return self.give_up(part, range, &native).await,
            Err(error) => return Ok(Some(park_for(native, NOT_READY_WAIT, &error))),
        };
        let model = find_model(&served, part.batch.model.as_deref().unwrap_or_default(), part.batch.endpoint.called());
        let target =
            model.ok().and_then(|model| model.targets.iter().find(|target| target.provider == native.provider));
        let Some(route) = target.and_then(|target| Route::at(&served, target)) else {
            if is_late {
                return self.give_up(part, range, &native).await;
            }
            let gone = Failure::wrong_entry("the models file names it no more");
            let error = of_provider(&native, gone);
            return Ok(Some(park_for(native, NOT_READY_WAIT, &error)));
        };
        let is_over = self.is_over(part).await?;
        let asked = timeout(ASK_TIME, ask(&route, &native, is_over));
        let Some(asked) = self.holding(part, asked).await else { return Ok(Some(Step::Lost)) };
        let lost = match asked.unwrap_or(Err(Unknown::Failed(Failure::OutOfTime))) {
            Ok((native, BatchState::Running)) if !is_late => return Ok(Some(self.park(part, native))),
            Ok((_, BatchState::Running)) => None,
            Ok((native, BatchState::Ended(ended))) => {
                return self.collect(part, &served, &route, (range, &native, &ended)).await;
            }
            Ok((native, BatchState::Refused(refusal))) => {
                return self.refused(part, &route, (range, &native), refusal).await;
            }
            Err(Unknown::NotThere) => return self.settle_native(part, Charge::default(), 0).await.map(|()| None),
            Err(Unknown::Lost) => None,
            Err(Unknown::Failed(failure)) => Some(failure).filter(|_| !is_late),
        };
        match lost {
            None => self.give_up(part, range, &native).await,
            Some(failure) => {
                let wait = failure.retry_after().unwrap_or_default().max(NOT_READY_WAIT);
                let error = of_provider(&native, failure);
                Ok(Some(park_for(native, wait, &error)))
            }
        }
    }

    /// Goes on with lines whose batch the provider did not take.
    async fn refused(
        &self,
        part: &mut OpenPart,
        route: &Route<'_>,
        (range, native): (PartRange, &NativeWave),
        refusal: BatchRefusal,
    ) -> Result<Option<Step>, Error> {
        tracing::warn!(provider = native.provider, reason = refusal.reason, "a provider did not take lines");
        let sent = self.sent_lines(part, range, native).await?.unwrap_or_default();
        if !refusal.is_full {
            part.note_tried(sent.into_iter().map(|line| (line.number, Charge::default())));
        }
        self.settle_native(part, Charge::default(), 0).await?;
        self.forget(route, &EndedBatch { input: refusal.input, ..EndedBatch::default() }).await;
        if !refusal.is_full {
            return Ok(None);
        }
        let full = Failure::Throttled { message: refusal.reason, retry_after: None };
        let wait = wait_by_age(part.batch.created_at.until(self.clock.now()));
        self.pause(part, wait, &of_provider(native, full)).await.map(Some)
    }

    /// Whether the provider is to run no further line.
    async fn is_over(&self, part: &OpenPart) -> Result<bool, Error> {
        if self.is_last_hour(part) || self.given_up(part, &[]).is_some() {
            return Ok(true);
        }
        let Batch { key, input_file_id, .. } = &part.batch;
        let file_key = FileKey { project_id: key.project_id.clone(), file_id: input_file_id.clone() };
        Ok(self.files.get(&file_key, self.clock.now()).await?.is_none())
    }

    /// Whether a batch expires so soon that its lines run here.
    pub(super) fn is_last_hour(&self, part: &OpenPart) -> bool {
        self.clock.now().until(part.batch.expires_at()) <= DIRECT_MS
    }

    /// Whether a provider has enough time for lines.
    pub(super) fn can_submit(&self, part: &OpenPart) -> bool {
        self.clock.now().until(part.batch.expires_at()) > 2 * DIRECT_MS
    }

    /// Whether the function is stopped before a submission would end.
    pub(super) fn is_too_late_to_submit(&self, part: &OpenPart) -> bool {
        Duration::from_millis(self.clock.now().until(part.ends)) < 2 * ASK_TIME
    }

    /// Reads and stores what became of the lines, and settles them.
    async fn collect(
        &self,
        part: &mut OpenPart,
        served: &Arc<ServedModels>,
        route: &Route<'_>,
        (range, native, ended): (PartRange, &NativeWave, &EndedBatch),
    ) -> Result<Option<Step>, Error> {
        if native.readers >= MAX_DEATHS {
            part.run.deaths = part.run.deaths.max(native.readers);
            return self.give_up(part, range, native).await;
        }
        let reading = NativeWave { readers: native.readers + 1, ..native.clone() };
        if !self.parts.note_native(&part.run, &reading).await?.is_written() {
            return Ok(Some(Step::Lost));
        }
        let (project, batch) = (part.project.clone(), part.batch.key.clone());
        let context = self.context(part, &project, &batch, served);
        let lines = self.sent_lines(part, range, native).await?;
        let sent = lines.into_iter().flatten().filter_map(|line| context.prepare(line, false, true).ok());
        let sent = sent.filter(|line| line.is_native).map(|line| (line.line.number, line)).collect();
        let read = self.read_results(part, &context, route, (sent, ended));
        let Some(read) = self.holding(part, read).await else { return Ok(Some(Step::Lost)) };
        let Collected { charge, answered, results, tried } = match read {
            Ok(collected) => collected,
            Err(Error::Provider { source, tried }) => {
                let is_late = part.batch.expires_at() <= self.clock.now();
                if is_late || matches!(source, Failure::Refused { status: 404 | 410, .. }) {
                    return self.give_up(part, range, native).await;
                }
                // A result that is not understood will be no better next time.
                let native = if matches!(source, Failure::Malformed(_)) { reading } else { native.clone() };
                return Ok(Some(park_for(native, NOT_READY_WAIT, &Error::Provider { source, tried })));
            }
            Err(error) => return Err(error),
        };
        part.note(results);
        part.note_tried(tried);
        self.settle_native(part, charge, answered).await?;
        // Only now: a worker that goes on after this one would find nothing.
        if !self.parts.end_native(&part.noted_run()).await?.is_written() {
            return Ok(Some(Step::Lost));
        }
        self.forget(route, ended).await;
        Ok(None)
    }

    /// The lines that may be in a provider's batch: those up to its last, without those that ended before it. `None`: the file is gone.
    async fn sent_lines(
        &self,
        part: &OpenPart,
        range: PartRange,
        native: &NativeWave,
    ) -> Result<Option<Vec<NamedLine>>, Error> {
        let lines = self.read_lines(part, range).await?;
        let is_sent = |line: &NamedLine| line.number <= native.last_line && !part.tries.contains_key(&line.number);
        Ok(lines.map(|lines| lines.into_iter().filter(is_sent).collect()))
    }

    /// Deletes what a provider has of a batch that is settled.
    async fn forget(&self, route: &Route<'_>, ended: &EndedBatch) {
        let deleted = timeout(FORGET_TIME, route.batches.delete(ended)).await;
        if let Err(failure) = deleted.unwrap_or(Err(Failure::OutOfTime)) {
            let provider = route.provider_name();
            tracing::warn!(provider, error = failure.summary(), "a provider keeps an ended batch");
        }
    }

    /// Reads what became of the lines. Without the lines, only what they cost is known.
    async fn read_results(
        &self,
        part: &OpenPart,
        context: &LineContext<'_>,
        route: &Route<'_>,
        (mut sent, ended): (HashMap<u64, PreparedLine>, &EndedBatch),
    ) -> Result<Collected, Error> {
        let failed = |source| Error::Provider { tried: Attempts::free(route.provider_name().to_owned(), 1), source };
        let (mut collected, mut unstored, mut unstored_bytes, mut objects) = (Collected::default(), Vec::new(), 0, 0);
        let done: HashSet<u64> = part.results.iter().map(|(_, result)| result.line).collect();
        let results = timeout(ASK_TIME, route.batches.results(ended)).await.unwrap_or(Err(Failure::OutOfTime));
        let mut results = results.map_err(failed)?;
        let is_gone = sent.is_empty();
        let model = part.batch.model.clone().unwrap_or_default();
        loop {
            let next = timeout(READ_TIME, results.next()).await;
            let Some(end) = next.map_err(|_| failed(Failure::OutOfTime))? else { break };
            let RequestEnd { id, answer } = end.map_err(failed)?;
            if is_gone {
                collected.charge = collected.charge + context.charge_of_unknown(route, &model, answer).await;
                continue;
            }
            // Each line once, whatever the provider repeats.
            let Some(line) = id.parse().ok().and_then(|number: u64| sent.remove(&number)) else { continue };
            let number = line.line.number;
            let (result, charge) = context.ended_natively(route, &line, answer).await;
            collected.charge = collected.charge + charge;
            match result {
                Some(result) => {
                    collected.answered += 1;
                    if !done.contains(&number) {
                        unstored_bytes += result.row.get().len();
                        unstored.push(result);
                    }
                }
                None => collected.tried.push((number, charge)),
            }
            if unstored_bytes >= UNSTORED_BYTES {
                self.store(part, &mut objects, &mut unstored, &mut collected.results).await?;
                unstored_bytes = 0;
            }
        }
        self.store(part, &mut objects, &mut unstored, &mut collected.results).await?;
        // A line that the provider does not tell of runs here.
        let silent = sent.into_keys().filter(|line| !done.contains(line));
        collected.tried.extend(silent.map(|line| (line, Charge::default())));
        Ok(collected)
    }

    async fn store(
        &self,
        part: &OpenPart,
        objects: &mut u32,
        unstored: &mut Vec<LineResult>,
        stored: &mut Vec<LineSummary>,
    ) -> Result<(), Error> {
        if !unstored.is_empty() {
            self.results.put(&part.run.key, part.run.fence, *objects, unstored).await?;
            *objects += 1;
            stored.extend(unstored.drain(..).map(|result| result.summary));
        }
        Ok(())
    }

    /// Charges what was held for lines whose end the provider does not tell. They run here, if there is time.
    async fn give_up(&self, part: &mut OpenPart, range: PartRange, native: &NativeWave) -> Result<Option<Step>, Error> {
        let held = part.held();
        tracing::warn!(provider = native.provider, charged_micro_usd = held.0, "lines lost by a provider");
        let done: HashSet<u64> = part.results.iter().map(|(_, result)| result.line).collect();
        let lost = self.sent_lines(part, range, native).await?.unwrap_or_default();
        let lost = lost.into_iter().map(|line| line.number).filter(|line| !done.contains(line));
        part.note_tried(lost.map(|line| (line, Charge::default())));
        self.settle_native(part, Charge { cost: held, ..Charge::default() }, 1).await?;
        Ok(None)
    }

    /// Settles the lines that a provider had, at most at what was held for them.
    async fn settle_native(&self, part: &mut OpenPart, charge: Charge, requests: u64) -> Result<(), Error> {
        if let Some(reservation) = part.run.reservation.clone() {
            let model = reservation.placed.project.reservation.model.as_str();
            let account = Account { requests, ..part.account(model) };
            let charge = Charge { cost: charge.cost.min(part.held()), ..charge };
            self.ledger.settle_once(&account, &reservation.placed, charge).await?;
        }
        part.end_wave();
        Ok(())
    }

    /// Lets a part wait for a provider's batch.
    fn park(&self, part: &OpenPart, native: NativeWave) -> Step {
        let wait = match native.is_cancelled || native.id.is_none() {
            true => NOT_READY_WAIT,
            false => wait_by_age(native.since.until(self.clock.now())),
        };
        let until_last_hour = self.clock.now().until(part.batch.expires_at()).saturating_sub(DIRECT_MS);
        let wait = if until_last_hour == 0 { wait } else { wait.min(Duration::from_millis(until_last_hour)) };
        Step::Park { native, wait, why: "The provider runs the lines in a batch of its own.".to_owned() }
    }

    /// Keeps the lease of a part while something goes on. `None`: another worker has the part, or may have it.
    pub(super) async fn holding<T>(&self, part: &OpenPart, work: impl Future<Output = T>) -> Option<T> {
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

/// Lets a part wait, and says why.
fn park_for(native: NativeWave, wait: Duration, why: &Error) -> Step {
    Step::Park { native, wait, why: why.to_string() }
}

/// Why nobody knows how far a batch is.
enum Unknown {
    /// The provider never got it.
    NotThere,
    /// The provider does not have it any more, or cannot tell.
    Lost,
    Failed(Failure),
}

/// Asks how far a batch is. `is_over`: no further line is to be run.
async fn ask(route: &Route<'_>, native: &NativeWave, is_over: bool) -> Result<(NativeWave, BatchState), Unknown> {
    let id = match &native.id {
        Some(id) => id.clone(),
        None => match route.batches.find(&native.tag, native.since).await {
            Ok(found) => found.ok_or(Unknown::NotThere)?,
            Err(Failure::Unsupported { .. }) => return Err(Unknown::Lost),
            Err(failure) => return Err(Unknown::Failed(failure)),
        },
    };
    let mut native = NativeWave { id: Some(id.clone()), ..native.clone() };
    let state = route.batches.state(&id).await.map_err(|failure| match failure {
        Failure::Refused { status: 404 | 410, .. } => Unknown::Lost,
        failure => Unknown::Failed(failure),
    })?;
    if state == BatchState::Running && is_over && !native.is_cancelled {
        // One that has ended meanwhile may refuse. The next question tells.
        match route.batches.cancel(&id).await {
            Ok(()) | Err(Failure::Refused { .. }) => native.is_cancelled = true,
            Err(failure) => return Err(Unknown::Failed(failure)),
        }
    }
    Ok((native, state))
}

fn of_provider(native: &NativeWave, source: Failure) -> Error {
    Error::Provider { tried: Attempts::free(native.provider.clone(), 1), source }
}

impl LineContext<'_> {
    /// The result of a line, if it has one, and what it cost.
    async fn ended_natively(
        &self,
        route: &Route<'_>,
        line: &PreparedLine,
        answer: Option<(u16, Bytes)>,
    ) -> (Option<LineResult>, Charge) {
        let Some((status, body)) = answer else { return (None, Charge::default()) };
        let used = UsageMeter::default();
        used.begin_attempt(route.unreported);
        let request = self.batched(line, route.target, false, Exchange::Answered { status, body });
        let answered = match route.provider.send(&request).await {
            Ok(Reply::Whole(whole)) => {
                used.observe_whole(&whole);
                self.of_whole(line, whole.body, line.charge(&used))
            }
            Ok(Reply::Stream(_)) => Err(Failure::Malformed("a result of its batch is a stream".to_owned())),
            Err(failure) => {
                used.fail_attempt(&failure);
                Err(failure)
            }
        };
        let charge = line.charge(&used);
        let tried = Attempts::free(route.provider_name().to_owned(), 1);
        let answer = answered.map_err(|source| in_request(Error::Provider { tried, source }));
        match self.ended(line, Ok(answer), charge) {
            Tried::Done(result) => {
                let charge = charge_of(&result.summary);
                (Some(result), charge)
            }
            Tried::Throttled { .. } | Tried::NotReady { .. } => (None, Charge::default()),
            Tried::Failed { charge, .. } => (None, charge),
        }
    }

    /// What the answer to a line costs whose request is not known any more.
    async fn charge_of_unknown(&self, route: &Route<'_>, model: &str, answer: Option<(u16, Bytes)>) -> Charge {
        let Some((status, body)) = answer else { return Charge::default() };
        let Ok(model) = find_model(self.served, model, self.endpoint.called()) else { return Charge::default() };
        // Usage is read from the answer alone.
        let asked = Object::default().with("messages", &[(); 0]).with("input", &"").with("prompt", &"");
        let request = self.request(route.target, asked, Exchange::Answered { status, body });
        match route.provider.send(&request).await {
            Ok(Reply::Whole(whole)) => model.clone().in_batch().charge(whole.usage.unwrap_or_default()),
            _ => Charge::default(),
        }
    }

    /// Writes down what a provider gets for lines. Returns the numbers of those that it cannot get with the others, too.
    async fn write(
        &self,
        route: &Route<'_>,
        lines: &[PreparedLine],
        budgeted: bool,
        tag: String,
    ) -> (NewBatch, Vec<u64>) {
        let (mut new, mut refused) = (NewBatch { tag, path: String::new(), requests: Vec::new() }, Vec::new());
        for line in lines {
            let place = Arc::new(OnceLock::new());
            let exchange = Exchange::Written(Arc::clone(&place));
            // It fails: nothing is sent. Only what was written counts.
            let _ = route.provider.send(&self.batched(line, route.target, budgeted, exchange)).await;
            match place.get() {
                Some(written) if new.path.is_empty() || new.path == written.path => {
                    new.path.clone_from(&written.path);
                    new.requests.push((line.line.number.to_string(), written.body.clone()));
                }
                _ => refused.push(line.line.number),
            }
        }
        (new, refused)
    }
}

impl PreparedLine {
    fn charge(&self, used: &UsageMeter) -> Charge {
        used.charge(self.model().price.as_deref(), &self.bound)
    }
}
