//! The frame of a run of a part: it is taken, a dead wave is settled, the lines are read, and the part is left.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::Semaphore;

use super::lease::PartLease;
use super::line::NamedLine;
use super::lines::Lines;
use super::open_part::{BESIDE_WAVES, OpenPart, Step, charge_at, counts, runs};
use super::pace::Paces;
use super::stores::BatchStores;
use super::wave::{PART_LEASE_MS, charge_of};
use super::worker::{LONGEST_TAKEN_MS, MAX_LINE_BYTES, wake_next};
use crate::app::admission::Admission;
use crate::app::dispatch::Dispatcher;
use crate::app::error::{Error, RenderedError};
use crate::app::ledger::{Account, Ledger};
use crate::app::models::Models;
use crate::app::projects::load_project;
use crate::app::worker_queues::WorkerQueues;
use crate::data::{MAX_DELAY, PartKey};
use crate::model::batch::{Batch, PartRange, Waiting};
use crate::model::clock::{Clock, Timestamp};
use crate::model::error_chain::ErrorChain;
use crate::model::file::{ByteRange, FileKey};
use crate::model::money::MicroUsd;
use crate::model::project::{KeyLimits, Project};
use crate::model::tokens::Charge;

/// Each has up to 8 MB of lines, twice: as the caller and as the provider reads them.
pub(in crate::app) const NATIVE_TURNS: usize = 2;
/// The time of a run where nothing stops the function.
pub(super) const USUAL_RUN_MS: u64 = 900_000;

/// Runs parts of batches.
pub(in crate::app) struct PartRunner {
    pub(in crate::app) stores: BatchStores,
    pub(in crate::app) models: Arc<Models>,
    pub(in crate::app) admission: Arc<Admission>,
    pub(in crate::app) ledger: Arc<Ledger>,
    pub(in crate::app) dispatcher: Arc<Dispatcher>,
    pub(in crate::app) queues: WorkerQueues,
    pub(in crate::app) paces: Paces,
    pub(in crate::app) lease: PartLease,
    /// The parts with lines for a provider that are in memory at the same time.
    pub(in crate::app) native_turns: Arc<Semaphore>,
    pub(in crate::app) clock: Clock,
    /// Writes an error as a caller of the API would see it.
    pub(in crate::app) render: fn(&Error) -> RenderedError,
}

impl PartRunner {
    /// Runs a part as far as it goes, unless another worker has it.
    ///
    /// # Errors
    /// If a store fails. The part is taken up again when its lease has ended.
    pub(super) async fn run_part(&self, key: PartKey, function_ends: Option<Timestamp>) -> Result<(), Error> {
        let Some(batch) = self.stores.batches.get(&key.batch).await? else { return Ok(()) };
        if !runs(&batch) {
            return Ok(());
        }
        let now = self.clock.now();
        let taken = self.stores.parts.take(&key, &batch, now, now.plus_ms(PART_LEASE_MS), LONGEST_TAKEN_MS).await?;
        let Some(run) = taken else { return Ok(()) };
        // Read again: a cancellation that came before the part was taken is seen.
        let (batch, index, results) = tokio::try_join!(
            self.stores.batches.get(&key.batch),
            self.stores.results.index(&key.batch),
            self.stores.results.summaries(&key)
        )?;
        let range = usize::try_from(key.part).ok().and_then(|part| index.get(part).copied());
        let (Some(batch), Some(range)) = (batch.filter(runs), range) else {
            return Ok(self.stores.parts.forget(&run).await?);
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
            turn: None,
        };
        self.settle_dead_wave(&part).await?;
        let step = match self.follow(&mut part, range).await? {
            Some(step) => step,
            None => {
                if part.batch.is_native && !self.take_turn(&mut part).await {
                    return Ok(());
                }
                let lines = self.read_lines(&part, range).await?;
                self.run_lines(&mut part, lines).await?
            }
        };
        self.leave(&mut part, step).await
    }

    /// Waits for the turn of a part to have its lines for a provider in memory. Returns whether it still has the part.
    pub(super) async fn take_turn(&self, part: &mut OpenPart) -> bool {
        if part.turn.is_some() {
            return true;
        }
        let Some(turn) = self.lease.hold(part, Arc::clone(&self.native_turns).acquire_owned()).await else {
            return false;
        };
        part.turn = turn.ok();
        true
    }

    /// The project of a batch, and the limits of its key; `None`: the key was revoked.
    pub(super) async fn payer(&self, batch: &Batch) -> Result<(Project, Option<KeyLimits>), Error> {
        let project_id = &batch.key.project_id;
        let (project, api_key) = tokio::join!(
            load_project(&self.stores.projects, project_id),
            self.stores.api_keys.by_id(project_id, &batch.api_key_id)
        );
        Ok((project?, api_key?.map(|key| key.limits())))
    }

    /// Settles the wave of a run that died, by the results that it had stored. The other lines may have been sent: they are charged
    /// what was held for them.
    async fn settle_dead_wave(&self, part: &OpenPart) -> Result<(), Error> {
        let Some(reservation) = part.run.reservation.as_ref().filter(|_| part.run.native.is_none()) else {
            return Ok(());
        };
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
    pub(super) async fn read_lines(&self, part: &OpenPart, range: PartRange) -> Result<Option<Vec<NamedLine>>, Error> {
        let Batch { key, input_file_id, endpoint, .. } = &part.batch;
        let file_key = FileKey { project_id: key.project_id.clone(), file_id: input_file_id.clone() };
        let Some(file) = self.stores.files.get(&file_key, self.clock.now()).await? else { return Ok(None) };
        let bytes = ByteRange { first: range.at, last: range.at + range.bytes.saturating_sub(1) };
        let mut pieces = self.stores.files.read(&file, Some(bytes)).await?;
        let mut reader = Lines::from(range.at, range.line, MAX_LINE_BYTES);
        let mut found = Vec::new();
        while let Some(piece) = pieces.next().await {
            reader.push(&piece?);
            found.extend(std::iter::from_fn(|| reader.next()).filter(|line| !line.is_empty()));
        }
        found.extend(reader.last().filter(|line| !line.is_empty()));
        let named = found.iter().map(|line| NamedLine::read(line, *endpoint));
        let named: Result<Vec<_>, _> = named.collect();
        named.map(Some).map_err(|error| Error::internal("read a checked line again")(error.message))
    }

    /// The lines of a part whose file is gone, as far as they have no result.
    pub(super) async fn unknown_lines(&self, part: &OpenPart) -> Result<Vec<NamedLine>, Error> {
        let index = self.stores.results.index(&part.batch.key).await?;
        let range = usize::try_from(part.run.key.part).ok().and_then(|part| index.get(part).copied());
        let PartRange { line, requests, .. } =
            range.ok_or_else(|| Error::internal("read the index")("it lacks the part"))?;
        let done: HashSet<u64> = part.results.iter().map(|(_, result)| result.line).collect();
        let missing = usize::try_from(requests).unwrap_or(usize::MAX).saturating_sub(done.len());
        let numbers = (line..).filter(|number| !done.contains(number)).take(missing);
        Ok(numbers.map(NamedLine::unknown).collect())
    }

    /// Lets a part wait, and tells why those who look at the batch.
    pub(super) async fn pause(&self, part: &OpenPart, wait: Duration, why: &Error) -> Result<Step, Error> {
        self.note_waiting(part, wait, why.to_string()).await?;
        Ok(Step::Wait(wait))
    }

    /// Tells those who look at the batch why lines wait.
    pub(super) async fn note_waiting(&self, part: &OpenPart, wait: Duration, reason: String) -> Result<(), Error> {
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let waiting = Waiting { reason, until: self.clock.now().plus_ms(wait_ms) };
        Ok(self.stores.batches.note_waiting(&part.batch.key, &waiting).await?)
    }

    /// Writes what became of a part, and wakes the worker that goes on.
    async fn leave(&self, part: &mut OpenPart, step: Step) -> Result<(), Error> {
        let run = part.noted_run();
        let PartKey { batch, part: number } = &run.key;
        match step {
            Step::Lost => Ok(()),
            Step::Wait(wait) | Step::Park { wait, .. } => {
                let now = self.clock.now();
                // The lines that are left are given up when the time of the batch is over.
                let left = Duration::from_millis(now.until(part.batch.expires_at()));
                let wait = wait.min(MAX_DELAY);
                let wait = if matches!(step, Step::Wait(_)) { wait.min(left) } else { wait };
                let not_before = now.plus_ms(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
                let given_back = match &step {
                    Step::Park { native, .. } => self.stores.parts.park(&run, native, not_before).await?,
                    _ => self.stores.parts.give_back(&run, not_before).await?,
                };
                if given_back.is_written() {
                    // After the write that must not be lost.
                    if let Step::Park { why, .. } = step
                        && let Err(error) = self.note_waiting(part, wait, why).await
                    {
                        tracing::warn!(error = %ErrorChain(&error), "why lines wait is not noted");
                    }
                    self.queues.wake_for_batch(&part.batch, Some(*number), wait).await;
                }
                Ok(())
            }
            Step::Complete => {
                if self.stores.parts.complete(&run, &counts(&part.results)).await?.is_written() {
                    let Some(after) = self.stores.batches.get(batch).await? else { return Ok(()) };
                    wake_next(&self.queues, &after, *number).await;
                }
                Ok(())
            }
        }
    }
}
