//! A run of a part: its lines are run in waves until each has its result, or until the part has to wait.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::Instant;

use super::line::{LineContext, NamedLine, PreparedLine};
use super::lines::Lines;
use super::reserve::{NOT_READY_WAIT, Reserved, Unreserved};
use super::wave::{PART_LEASE_MS, Tries, Wave, WaveEnd, charge_of};
use super::worker::{BatchWorker, LONGEST_TAKEN_MS, MAX_LINE_BYTES};
use crate::app::error::Error;
use crate::app::ledger::Account;
use crate::app::pipeline::{TimeLimit, find_model, kind_at};
use crate::app::projects::load_project;
use crate::data::{LineResult, LineSummary, MAX_DELAY, PartKey, PartRun};
use crate::model::batch::{Batch, BatchStatus, Left, LineCounts, PartRange, Waiting};
use crate::model::clock::Timestamp;
use crate::model::file::{ByteRange, FileKey};
use crate::model::money::MicroUsd;
use crate::model::project::{KeyLimits, Project};
use crate::model::tokens::Charge;
use crate::model::usage::Operation;

/// Times that the process may die under lines of a part. A line that kills its process must not do so for a day.
const MAX_DEATHS: u64 = 4;
/// A pause that a run waits for itself.
const SHORT: Duration = Duration::from_secs(15);
/// The time of a run where nothing stops the function.
const USUAL_RUN_MS: u64 = 900_000;
/// Numbers of the objects with results of lines that no wave has, after those of the wave with the same fence.
const BESIDE_WAVES: u32 = 5_000;

/// A part that this worker runs.
pub(super) struct OpenPart {
    pub(super) batch: Batch,
    pub(super) run: PartRun,
    pub(super) project: Project,
    pub(super) key: Option<KeyLimits>,
    /// With the fence of their wave, the earliest first.
    results: Vec<(u64, LineSummary)>,
    tries: Tries,
    objects: u32,
    /// When the function is stopped.
    pub(super) ends: Timestamp,
}

/// What becomes of a part.
enum Step {
    /// All lines have a result.
    Complete,
    /// The rest is run after this time.
    Wait(Duration),
    /// Another worker has the part.
    Lost,
}

impl BatchWorker {
    /// Runs a part as far as it goes, unless another worker has it.
    ///
    /// # Errors
    /// If a store fails. The part is taken up again when its lease has ended.
    pub(super) async fn run_part(&self, key: PartKey, function_ends: Option<Timestamp>) -> Result<(), Error> {
        let Some(batch) = self.batches.get(&key.batch).await? else { return Ok(()) };
        if !runs(&batch) {
            return Ok(());
        }
        let now = self.clock.now();
        let taken = self.parts.take(&key, &batch, now, now.plus_ms(PART_LEASE_MS), LONGEST_TAKEN_MS).await?;
        let Some(run) = taken else { return Ok(()) };
        // Read again: a cancellation that came before the part was taken is seen.
        let (batch, index, results) = tokio::try_join!(
            self.batches.get(&key.batch),
            self.results.index(&key.batch),
            self.results.summaries(&key)
        )?;
        let range = usize::try_from(key.part).ok().and_then(|part| index.get(part).copied());
        let (Some(batch), Some(range)) = (batch.filter(runs), range) else {
            return Ok(self.parts.forget(&run).await?);
        };
        let (project, key) = self.payer(&batch).await?;
        let tries = run.tries.iter().map(|(line, (tried, cost))| (*line, (*tried, charge_at(*cost)))).collect();
        let mut part = OpenPart {
            key,
            project,
            batch,
            run,
            results,
            tries,
            objects: BESIDE_WAVES,
            ends: function_ends.unwrap_or_else(|| now.plus_ms(USUAL_RUN_MS)),
        };
        self.settle_dead_wave(&part).await?;
        let lines = self.read_lines(&part, range).await?;
        let step = self.run_lines(&mut part, lines).await?;
        self.leave(&mut part, step).await
    }

    /// The project of a batch, and the limits of its key; `None`: the key was revoked.
    async fn payer(&self, batch: &Batch) -> Result<(Project, Option<KeyLimits>), Error> {
        let project_id = &batch.key.project_id;
        let (project, api_key) =
            tokio::join!(load_project(&self.projects, project_id), self.api_keys.by_id(project_id, &batch.api_key_id));
        Ok((project?, api_key?.map(|key| key.limits())))
    }

    /// Settles the wave of a run that died, by the results that it had stored. The other lines may have been sent: they are charged
    /// what was held for them.
    async fn settle_dead_wave(&self, part: &OpenPart) -> Result<(), Error> {
        let Some(reservation) = &part.run.reservation else { return Ok(()) };
        let of_wave = part.results.iter().filter(|(fence, _)| *fence == reservation.fence).map(|(_, result)| result);
        let (mut charge, mut requests, mut unused) = (Charge::default(), 0, 0);
        for result in of_wave {
            charge = charge + charge_of(result);
            unused += result.held.saturating_sub(result.cost);
            requests += 1;
        }
        let held = reservation.placed.project.reservation.amount.0;
        charge.cost = MicroUsd(held.saturating_sub(unused));
        let account = Account {
            requests: requests.max(1),
            ..part.account(reservation.placed.project.reservation.model.as_str())
        };
        tracing::warn!(part = part.run.key.part, charged_micro_usd = charge.cost.0, "wave of a dead run settled");
        Ok(self.ledger.settle_once(&account, &reservation.placed, charge).await?)
    }

    /// The lines of a part. If the file is gone, only their number is known.
    async fn read_lines(&self, part: &OpenPart, range: PartRange) -> Result<Option<Vec<NamedLine>>, Error> {
        let Batch { key, input_file_id, endpoint, .. } = &part.batch;
        let file_key = FileKey { project_id: key.project_id.clone(), file_id: input_file_id.clone() };
        let Some(file) = self.files.get(&file_key, self.clock.now()).await? else { return Ok(None) };
        let bytes = ByteRange { first: range.at, last: range.at + range.bytes.saturating_sub(1) };
        let mut pieces = self.files.read(&file, Some(bytes)).await?;
        let mut reader = Lines::from(range.at, range.line, MAX_LINE_BYTES);
        let mut found = Vec::new();
        while let Some(piece) = pieces.next().await {
            reader.push(&piece?);
            found.extend(std::iter::from_fn(|| reader.next()));
        }
        found.extend(reader.last());
        let named = found.iter().filter(|line| !line.is_empty()).map(|line| NamedLine::read(line, *endpoint));
        let named: Result<Vec<_>, _> = named.collect();
        named.map(Some).map_err(|error| Error::internal("read a checked line again")(error.message))
    }

    async fn run_lines(&self, part: &mut OpenPart, lines: Option<Vec<NamedLine>>) -> Result<Step, Error> {
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
            if let Some(results) = self.given_up(part, &left) {
                self.add(part, results).await?;
                return Ok(Step::Complete);
            }
            if let Some(step) = self.run_wave(part, left).await? {
                return Ok(step);
            }
            // Limits, keys and the batch itself may have changed meanwhile.
            match self.batches.get(&part.batch.key).await? {
                Some(batch) if runs(&batch) => part.batch = batch,
                _ => return Ok(Step::Lost),
            }
            (part.project, part.key) = self.payer(&part.batch).await?;
        }
    }

    /// The results of lines that are not run any more.
    fn given_up(&self, part: &OpenPart, left: &[NamedLine]) -> Option<Vec<LineResult>> {
        let batch = &part.batch.key;
        let all = |code, message: &str| left.iter().map(|line| line.not_run(batch, code, message)).collect::<Vec<_>>();
        match part.batch.why_left(self.clock.now()) {
            Some(Left::Expired) => {
                let message = "This request could not be executed before the completion window expired.";
                return Some(all("batch_expired", message).into_iter().map(LineResult::expired).collect());
            }
            Some(Left::Cancelled) => {
                return Some(all("batch_cancelled", "The batch was cancelled before this request was run."));
            }
            None => {}
        }
        if part.project.archived_at.is_some() {
            return Some(all("project_archived", "The project was archived before this request was run."));
        }
        if part.key.is_none() {
            return Some(all("api_key_revoked", "The API key of the batch was revoked before this request was run."));
        }
        let message = format!("The server died {MAX_DEATHS} times while it ran this request or others beside it.");
        (part.run.deaths >= MAX_DEATHS).then(|| all("server_error", &message))
    }

    /// Runs some of the lines that are left. `None`: go on with the rest.
    async fn run_wave(&self, part: &mut OpenPart, left: Vec<NamedLine>) -> Result<Option<Step>, Error> {
        let served = match self.models.current().await {
            Ok(served) => served,
            // The operator's mistake must not end lines that were accepted.
            Err(error) => return self.pause(part, NOT_READY_WAIT, &error).await.map(Some),
        };
        let (project, batch) = (part.project.clone(), part.batch.key.clone());
        let context = LineContext {
            dispatcher: &self.dispatcher,
            clock: &self.clock,
            batch: &batch,
            endpoint: part.batch.endpoint,
            project: &project,
            served: &served,
            render: self.render,
            ends_by: part.ends_by(self.clock.now()),
        };
        let prepared = match self.prepare(part, &context, left).await? {
            Ok(prepared) => prepared,
            Err(not_ready) => return self.pause(part, NOT_READY_WAIT, &not_ready).await.map(Some),
        };
        let Some(first) = prepared.first() else { return Ok(None) };
        let longest = find_model(&served, &first.model_name(), part.batch.endpoint.called())?.longest_call();
        // A call that could take longer than a run is cut off at its end. Else it would never begin.
        let longest = longest.min(Duration::from_millis(USUAL_RUN_MS / 2));
        let begin_until = part.begin_until(self.clock.now(), longest);
        if Instant::now() >= begin_until {
            return Ok(Some(Step::Wait(Duration::ZERO)));
        }
        let ((), reserved) =
            tokio::join!(self.dispatcher.refresh_breakers(first.model()), self.reserve(part, &prepared));
        match reserved {
            Ok(reserved) => self.run_reserved(part, &context, &prepared[..reserved.count], reserved, begin_until).await,
            Err(Unreserved::Wait(wait, error)) => self.pause(part, wait, &error).await.map(Some),
            Err(Unreserved::Never(error)) => {
                let refused =
                    prepared.iter().map(|line| context.failed(&line.line, &error, Charge::default())).collect();
                self.add(part, refused).await.map(|()| None)
            }
            Err(Unreserved::Failed(error)) => Err(error),
            Err(Unreserved::Lost) => Ok(Some(Step::Lost)),
        }
    }

    /// Checks and prices lines. Those that cannot be run get their result.
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
        let (mut prepared, mut refused) = (Vec::new(), Vec::new());
        for line in lines {
            match context.prepare(line, has_budget).map_err(|refused| *refused) {
                Ok(line) => prepared.push(line),
                Err((_, error @ (Error::NoModels(_) | Error::WrongModel { .. }))) => return Ok(Err(error)),
                Err((line, error)) => refused.push(context.failed(&line, &error, Charge::default())),
            }
        }
        self.add(part, refused).await?;
        Ok(Ok(prepared))
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
            batches: &self.batches,
            parts: &self.parts,
            results: &self.results,
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
        self.results.put(&part.run.key, part.run.fence, part.objects, &results).await?;
        part.objects += 1;
        part.note(results.into_iter().map(|result| result.summary).collect());
        Ok(())
    }

    /// The lines of a part whose file is gone, as far as they have no result.
    async fn unknown_lines(&self, part: &OpenPart) -> Result<Vec<NamedLine>, Error> {
        let index = self.results.index(&part.batch.key).await?;
        let range = usize::try_from(part.run.key.part).ok().and_then(|part| index.get(part).copied());
        let PartRange { line, requests, .. } =
            range.ok_or_else(|| Error::internal("read the index")("it lacks the part"))?;
        let done: HashSet<u64> = part.results.iter().map(|(_, result)| result.line).collect();
        let missing = usize::try_from(requests).unwrap_or(usize::MAX).saturating_sub(done.len());
        let numbers = (line..).filter(|number| !done.contains(number)).take(missing);
        Ok(numbers.map(NamedLine::unknown).collect())
    }

    /// Lets a part wait, and tells why those who look at the batch.
    async fn pause(&self, part: &OpenPart, wait: Duration, why: &Error) -> Result<Step, Error> {
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let waiting = Waiting { reason: why.to_string(), until: self.clock.now().plus_ms(wait_ms) };
        self.batches.note_waiting(&part.batch.key, &waiting).await?;
        Ok(Step::Wait(wait))
    }

    /// Writes what became of a part, and wakes the worker that goes on.
    async fn leave(&self, part: &mut OpenPart, step: Step) -> Result<(), Error> {
        part.run.tries = part.tries.iter().map(|(line, (tried, spent))| (*line, (*tried, spent.cost.0))).collect();
        let PartKey { batch, part: number } = &part.run.key;
        match step {
            Step::Lost => Ok(()),
            Step::Wait(wait) => {
                let now = self.clock.now();
                // The lines that are left are given up when the time of the batch is over.
                let left = Duration::from_millis(now.until(part.batch.expires_at()));
                let wait = wait.min(MAX_DELAY).min(left);
                let not_before = now.plus_ms(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
                if self.parts.give_back(&part.run, not_before).await?.is_written() {
                    self.wake(&part.batch, Some(*number), wait).await;
                }
                Ok(())
            }
            Step::Complete => {
                if self.parts.complete(&part.run, &counts(&part.results)).await?.is_written() {
                    let Some(after) = self.batches.get(batch).await? else { return Ok(()) };
                    self.wake_next(&after, *number).await;
                }
                Ok(())
            }
        }
    }
}

impl OpenPart {
    /// The last moment at which a call of the model may begin.
    fn begin_until(&self, now: Timestamp, longest: Duration) -> Instant {
        let last = TimeLimit::last_begin(longest, self.ends).min(self.batch.expires_at());
        Instant::now() + Duration::from_millis(now.until(last))
    }

    /// When the last call of the model has to end.
    fn ends_by(&self, now: Timestamp) -> Instant {
        Instant::now() + Duration::from_millis(now.until(TimeLimit::last_begin(Duration::ZERO, self.ends)))
    }

    /// Notes results that are stored.
    fn note(&mut self, results: Vec<LineSummary>) {
        let fence = self.run.fence;
        self.results.extend(results.into_iter().map(|result| (fence, result)));
    }

    /// Who pays for a wave.
    fn account<'a>(&'a self, model: &'a str) -> Account<'a> {
        Account {
            project_id: &self.batch.key.project_id,
            api_key_id: &self.batch.api_key_id,
            run: self.batch.run.as_ref(),
            model,
            operation: Operation::of(kind_at(self.batch.endpoint.called())),
            requests: 1,
        }
    }

    /// Whether a budget may pay, as far as the limits say it. A run may have one of its own.
    fn has_budget(&self) -> bool {
        let of_key = self.key.as_ref().is_some_and(|key| key.limits.budget.is_some());
        self.project.limits.budget.is_some() || of_key || self.batch.run.is_some()
    }
}

/// Whether lines of the batch have work left.
fn runs(batch: &Batch) -> bool {
    matches!(batch.status, BatchStatus::InProgress | BatchStatus::Cancelling)
}

/// A charge of which only the cost is known.
fn charge_at(micro_usd: u64) -> Charge {
    Charge { cost: MicroUsd(micro_usd), ..Charge::default() }
}

/// Counts each line once: that of the latest fence, as the files of results have it.
fn counts(results: &[(u64, LineSummary)]) -> LineCounts {
    let (mut counts, mut seen) = (LineCounts::default(), HashSet::new());
    for (_, result) in results.iter().rev().filter(|(_, result)| seen.insert(result.line)) {
        *(if result.ok { &mut counts.completed } else { &mut counts.failed }) += 1;
        counts.expired += u64::from(result.expired);
        let Charge { usage, cost, .. } = charge_of(result);
        counts.usage += usage;
        counts.cost += cost;
    }
    counts
}
