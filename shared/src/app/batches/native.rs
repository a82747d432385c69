//! Lines that a provider runs in a batch of its own: they are given to it, asked for, and read when it has ended.
//!
//! A part with such lines is not run meanwhile. It is taken each time the provider is asked, and given back.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::collect::{Collected, Collector};
use super::line::{LineContext, NamedLine};
use super::open_part::{OpenPart, PROVIDER_RUNS, Step};
use super::reserve::{NOT_READY_WAIT, Reserved, wait_by_age};
use super::route::{Route, Unknown};
use super::runner::PartRunner;
use super::terms::PreparedLine;
use super::wave::MAX_DEATHS;
use crate::app::error::{Attempts, Error};
use crate::app::ledger::Account;
use crate::app::models::ServedModels;
use crate::app::pipeline::find_model;
use crate::data::NativeWave;
use crate::model::batch::{Batch, PartRange};
use crate::model::file::FileKey;
use crate::model::provider::Failure;
use crate::model::provider_batch::{BatchRefusal, BatchState, EndedBatch};
use crate::model::tokens::Charge;

/// The time for a request to a provider's batch API. The largest has the requests of a part.
pub(super) const ASK_TIME: Duration = Duration::from_secs(120);

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
        let Some(submitted) = self.lease.hold(part, submitted).await else { return Ok(Some(Step::Lost)) };
        let failure = match submitted.unwrap_or(Err(Failure::OutOfTime)) {
            Ok(id) => {
                let lines = numbers.len();
                tracing::info!(
                    part = part.run.key.part,
                    lines,
                    provider = native.provider,
                    "lines given to a provider"
                );
                return Ok(Some(part.park(NativeWave { id: Some(id), ..native }, self.clock.now())));
            }
            Err(failure) => failure,
        };
        tracing::warn!(provider = native.provider, error = failure.summary(), "lines not given to a provider");
        let is_overloaded = matches!(failure, Failure::Unavailable { .. });
        if failure.may_be_billed() || is_overloaded && route.batches.can_find() {
            // The provider may have them: it is asked later.
            return Ok(Some(part.park(native, self.clock.now())));
        }
        self.settle_native(part, Charge::default(), 0).await?;
        if failure.is_retryable() || matches!(failure, Failure::NotSetUp { .. } | Failure::Unauthorized { .. }) {
            let age = part.batch.created_at.until(self.clock.now());
            let wait = failure.retry_after().unwrap_or_default().max(wait_by_age(age));
            return self.pause(part, wait, &route.failed(failure)).await.map(Some);
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
            let source = Failure::wrong_entry("the models file names it no more");
            let error = Error::Provider { tried: Attempts::free(native.provider.clone(), 0), source };
            return Ok(Some(park_for(native, NOT_READY_WAIT, &error)));
        };
        let is_over = self.is_over(part).await?;
        let asked = timeout(ASK_TIME, route.ask(&native, is_over));
        let Some(asked) = self.lease.hold(part, asked).await else { return Ok(Some(Step::Lost)) };
        let lost = match asked.unwrap_or(Err(Unknown::Failed(Failure::OutOfTime))) {
            Ok((native, BatchState::Running)) if !is_late => return Ok(Some(part.park(native, self.clock.now()))),
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
                Ok(Some(park_for(native, wait, &route.failed(failure))))
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
        if !self.take_turn(part).await {
            return Ok(Some(Step::Lost));
        }
        tracing::warn!(provider = native.provider, reason = refusal.reason, "a provider did not take lines");
        let sent = self.sent_lines(part, range, native).await?.unwrap_or_default();
        if !refusal.is_full {
            part.note_tried(sent.into_iter().map(|line| (line.number, Charge::default())));
        }
        self.settle_native(part, Charge::default(), 0).await?;
        route.forget(&EndedBatch { input: refusal.input, ..EndedBatch::default() }).await;
        if !refusal.is_full {
            return Ok(None);
        }
        let full = Failure::Throttled { message: refusal.reason, retry_after: None };
        let wait = wait_by_age(part.batch.created_at.until(self.clock.now()));
        self.pause(part, wait, &route.failed(full)).await.map(Some)
    }

    /// Whether the provider is to run no further line.
    async fn is_over(&self, part: &OpenPart) -> Result<bool, Error> {
        if part.is_last_hour(self.clock.now()) || part.given_up(self.clock.now(), &[]).is_some() {
            return Ok(true);
        }
        let Batch { key, input_file_id, .. } = &part.batch;
        let file_key = FileKey { project_id: key.project_id.clone(), file_id: input_file_id.clone() };
        Ok(self.stores.files.get(&file_key, self.clock.now()).await?.is_none())
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
            return self.give_up_ended(part, route, (range, native, ended)).await;
        }
        if part.is_too_late_to_ask(self.clock.now()) {
            return Ok(Some(Step::Park {
                native: native.clone(),
                wait: Duration::ZERO,
                why: PROVIDER_RUNS.to_owned(),
            }));
        }
        if !self.take_turn(part).await {
            return Ok(Some(Step::Lost));
        }
        let reading = NativeWave { readers: native.readers + 1, ..native.clone() };
        if !self.stores.parts.note_native(&part.run, &reading).await?.is_written() {
            return Ok(Some(Step::Lost));
        }
        let (project, batch) = (part.project.clone(), part.batch.key.clone());
        let context = self.context(part, &project, &batch, served);
        let lines = self.sent_lines(part, range, native).await?;
        let sent = lines.into_iter().flatten().filter_map(|line| context.terms.prepare(line, false, true).ok());
        let sent = sent.filter(|line| line.is_native).map(|line| (line.line.number, line)).collect();
        let collector = Collector { results: &self.stores.results, context: &context, route };
        let read = collector.collect(part, sent, ended);
        let Some(read) = self.lease.hold(part, read).await else { return Ok(Some(Step::Lost)) };
        let Collected { charge, answered, results, tried } = match read {
            Ok(collected) => collected,
            Err(Error::Provider { source: Failure::Refused { status: 404 | 410, .. }, .. }) => {
                return self.give_up_ended(part, route, (range, native, ended)).await;
            }
            Err(Error::Provider { .. }) if part.batch.expires_at() <= self.clock.now() => {
                return self.give_up_ended(part, route, (range, native, ended)).await;
            }
            // A result that is not understood will be no better next time: this reading counts.
            Err(error @ Error::Provider { source: Failure::Malformed(_), .. }) => {
                return Ok(Some(park_for(reading, NOT_READY_WAIT, &error)));
            }
            Err(error @ Error::Provider { .. }) => {
                return Ok(Some(park_for(native.clone(), NOT_READY_WAIT, &error)));
            }
            Err(error) => return Err(error),
        };
        part.note(results);
        part.note_tried(tried);
        self.settle_native(part, charge, answered).await?;
        // Only now: a worker that goes on after this one would find nothing.
        if !self.stores.parts.end_native(&part.noted_run()).await?.is_written() {
            return Ok(Some(Step::Lost));
        }
        route.forget(ended).await;
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

    /// Charges what was held for lines whose end the provider does not tell. They run here, if there is time.
    async fn give_up(&self, part: &mut OpenPart, range: PartRange, native: &NativeWave) -> Result<Option<Step>, Error> {
        if !self.take_turn(part).await {
            return Ok(Some(Step::Lost));
        }
        let held = part.held();
        tracing::warn!(provider = native.provider, charged_micro_usd = held.0, "lines lost by a provider");
        let done: HashSet<u64> = part.results.iter().map(|(_, result)| result.line).collect();
        let lost = self.sent_lines(part, range, native).await?.unwrap_or_default();
        let lost = lost.into_iter().map(|line| line.number).filter(|line| !done.contains(line));
        part.note_tried(lost.map(|line| (line, Charge::default())));
        self.settle_native(part, Charge { cost: held, ..Charge::default() }, 1).await?;
        Ok(None)
    }

    /// The same for a batch that has ended and cannot be read. The provider is to keep nothing of it.
    async fn give_up_ended(
        &self,
        part: &mut OpenPart,
        route: &Route<'_>,
        (range, native, ended): (PartRange, &NativeWave, &EndedBatch),
    ) -> Result<Option<Step>, Error> {
        let step = self.give_up(part, range, native).await?;
        if step.is_none() {
            route.forget(ended).await;
        }
        Ok(step)
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
}

/// Lets a part wait, and says why.
fn park_for(native: NativeWave, wait: Duration, why: &Error) -> Step {
    Step::Park { native, wait, why: why.to_string() }
}
