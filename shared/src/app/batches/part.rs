//! The lines of a part: they are run in waves until each has its result, or until the part has to wait.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::time::Instant;

use super::line::{LineContext, NamedLine};
use super::open_part::{BESIDE_WAVES, OpenPart, Step, runs};
use super::reserve::{NOT_READY_WAIT, Reserved, Unreserved};
use super::route::Route;
use super::runner::{PartRunner, USUAL_RUN_MS};
use super::terms::{LineTerms, PreparedLine};
use super::wave::{Wave, WaveEnd};
use crate::app::error::Error;
use crate::app::ledger::Account;
use crate::app::models::ServedModels;
use crate::app::pipeline::find_model;
use crate::data::LineResult;
use crate::model::batch::BatchKey;
use crate::model::project::Project;
use crate::model::tokens::Charge;

/// The most lines that run here at once: a provider's batch may leave more.
const WAVE_LINES: usize = 200;
/// A pause that a run waits for itself.
const SHORT: Duration = Duration::from_secs(15);

impl PartRunner {
    /// Runs lines until the part is complete or has to wait. `None`: the file is gone.
    pub(super) async fn run_lines(&self, part: &mut OpenPart, lines: Option<Vec<NamedLine>>) -> Result<Step, Error> {
        let Some(lines) = lines else {
            let message = "The input file was deleted before this request was run.";
            let unknown = self.unknown_lines(part).await?;
            let batch = part.batch.key.clone();
            self.add(part, unknown.iter().map(|line| line.not_run(&batch, "input_file_deleted", message)).collect())
                .await?;
            return Ok(Step::Complete);
        };
        loop {
            let done: HashSet<u64> = part.results.iter().map(|(_, result)| result.line).collect();
            let left: Vec<NamedLine> = lines.iter().filter(|line| !done.contains(&line.number)).cloned().collect();
            if left.is_empty() {
                return Ok(Step::Complete);
            }
            if let Some(results) = part.given_up(self.clock.now(), &left) {
                self.add(part, results).await?;
                return Ok(Step::Complete);
            }
            if let Some(step) = self.run_wave(part, left).await? {
                return Ok(step);
            }
            // Limits, keys and the batch itself may have changed meanwhile.
            match self.stores.batches.get(&part.batch.key).await? {
                Some(batch) if runs(&batch) => part.batch = batch,
                _ => return Ok(Step::Lost),
            }
            (part.project, part.key) = self.payer(&part.batch).await?;
        }
    }

    /// Runs some of the lines that are left. `None`: go on with the rest.
    async fn run_wave(&self, part: &mut OpenPart, left: Vec<NamedLine>) -> Result<Option<Step>, Error> {
        let served = match self.models.current().await {
            Ok(served) => served,
            // The operator's mistake must not end lines that were accepted.
            Err(error) => return self.pause(part, NOT_READY_WAIT, &error).await.map(Some),
        };
        let (project, batch) = (part.project.clone(), part.batch.key.clone());
        let context = self.context(part, &project, &batch, &served);
        let prepared = match self.prepare(part, &context, left).await? {
            Ok(prepared) => prepared,
            Err(not_ready) => return self.pause(part, NOT_READY_WAIT, &not_ready).await.map(Some),
        };
        let Some(first) = prepared.first() else { return Ok(None) };
        if let Some(route) = Route::of(&served, first.model()).filter(|_| first.is_native) {
            if part.is_too_late_to_ask(self.clock.now()) {
                return Ok(Some(Step::Wait(Duration::ZERO)));
            }
            let reserved = self.reserve(part, &prepared, Some(route.provider_name())).await;
            return match reserved {
                Ok(reserved) => {
                    let lines = &prepared[..reserved.count];
                    self.submit(part, &context, &route, (lines, reserved)).await
                }
                Err(unreserved) => self.not_reserved(part, &context, &prepared, unreserved).await,
            };
        }
        part.turn = None;
        let longest = find_model(&served, &first.model_name(), part.batch.endpoint.called())?.longest_call();
        // A call that could take longer than a run is cut off at its end. Else it would never begin.
        let longest = longest.min(Duration::from_millis(USUAL_RUN_MS / 2));
        let begin_until = part.begin_until(self.clock.now(), longest);
        if Instant::now() >= begin_until {
            return Ok(Some(Step::Wait(Duration::ZERO)));
        }
        let ((), reserved) =
            tokio::join!(self.dispatcher.refresh_breakers(first.model()), self.reserve(part, &prepared, None));
        match reserved {
            Ok(reserved) => self.run_reserved(part, &context, &prepared[..reserved.count], reserved, begin_until).await,
            Err(unreserved) => self.not_reserved(part, &context, &prepared, unreserved).await,
        }
    }

    async fn not_reserved(
        &self,
        part: &mut OpenPart,
        context: &LineContext<'_>,
        lines: &[PreparedLine],
        unreserved: Unreserved,
    ) -> Result<Option<Step>, Error> {
        match unreserved {
            Unreserved::Wait(wait, error) => self.pause(part, wait, &error).await.map(Some),
            Unreserved::Never(error) => {
                let refused = lines.iter().map(|line| context.failed(&line.line, &error, Charge::default())).collect();
                self.add(part, refused).await.map(|()| None)
            }
            Unreserved::Failed(error) => Err(error),
            Unreserved::Lost => Ok(Some(Step::Lost)),
        }
    }

    /// What the lines of a part are run with.
    pub(super) fn context<'a>(
        &'a self,
        part: &OpenPart,
        project: &'a Project,
        batch: &'a BatchKey,
        served: &'a Arc<ServedModels>,
    ) -> LineContext<'a> {
        LineContext {
            dispatcher: &self.dispatcher,
            terms: LineTerms { clock: &self.clock, endpoint: part.batch.endpoint, project, served },
            batch,
            render: self.render,
            ends_by: part.ends_by(self.clock.now()),
        }
    }

    /// Checks and prices lines. Those that cannot be run get their result. The others are for a provider's batch as long as some are.
    ///
    /// # Errors
    /// The inner one: the models of the deployment do not serve these lines now.
    async fn prepare(
        &self,
        part: &mut OpenPart,
        context: &LineContext<'_>,
        lines: Vec<NamedLine>,
    ) -> Result<Result<Vec<PreparedLine>, Error>, Error> {
        let has_budget = part.has_budget();
        let is_native = part.goes_to_provider(self.clock.now(), context.terms.served);
        let (mut prepared, mut native, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for line in lines {
            let is_native = is_native && !part.tries.contains_key(&line.number);
            match context.terms.prepare(line, has_budget, is_native).map_err(|refused| *refused) {
                Ok(line) => if line.is_native { &mut native } else { &mut prepared }.push(line),
                Err((_, error @ (Error::NoModels(_) | Error::WrongModel { .. }))) => return Ok(Err(error)),
                Err((line, error)) => refused.push(context.failed(&line, &error, Charge::default())),
            }
        }
        self.add(part, refused).await?;
        prepared.truncate(WAVE_LINES);
        Ok(Ok(if native.is_empty() { prepared } else { native }))
    }

    /// Runs lines with the money that is reserved for them, and settles it.
    async fn run_reserved(
        &self,
        part: &mut OpenPart,
        context: &LineContext<'_>,
        lines: &[PreparedLine],
        reserved: Reserved,
        begin_until: Instant,
    ) -> Result<Option<Step>, Error> {
        let Some(model) = lines.first().map(PreparedLine::model_name) else { return Ok(None) };
        let pace = self.paces.of(&model);
        let wave = Wave {
            context,
            batches: &self.stores.batches,
            parts: &self.stores.parts,
            results: &self.stores.results,
            clock: &self.clock,
            pace: &pace,
            run: &part.run,
            budgeted: reserved.budgeted,
            begin_until,
            is_stopped: AtomicBool::default(),
        };
        let WaveEnd { charge, called, results, come_back, not_ready, is_lost, .. } =
            wave.run(lines, &mut part.tries).await?;
        if is_lost {
            return Ok(Some(Step::Lost));
        }
        let account = Account { requests: called, ..part.account(&model) };
        self.ledger.settle_once(&account, &reserved.placed, charge).await?;
        part.note(results);
        // The next wave has a new fence, and with it new names.
        part.objects = BESIDE_WAVES;
        if let Some(error) = not_ready {
            return self.pause(part, NOT_READY_WAIT, &error).await.map(Some);
        }
        match come_back {
            None => Ok(None),
            Some(wait) if wait <= SHORT && Instant::now() + wait < begin_until => {
                tokio::time::sleep(wait).await;
                Ok(None)
            }
            Some(wait) => Ok(Some(Step::Wait(wait))),
        }
    }

    /// Stores results of lines that were not called, and notes them.
    async fn add(&self, part: &mut OpenPart, results: Vec<LineResult>) -> Result<(), Error> {
        if results.is_empty() {
            return Ok(());
        }
        self.stores.results.put(&part.run.key, part.run.fence, part.objects, &results).await?;
        part.objects += 1;
        part.note(results.into_iter().map(|result| result.summary).collect());
        Ok(())
    }
}
