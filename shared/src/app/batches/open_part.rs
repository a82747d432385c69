//! A part while a worker has it.

use std::collections::HashSet;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::line::NamedLine;
use super::native::ASK_TIME;
use super::reserve::{NOT_READY_WAIT, wait_by_age};
use super::route;
use super::wave::{MAX_DEATHS, Tries, charge_of};
use crate::app::ledger::Account;
use crate::app::models::ServedModels;
use crate::app::pipeline::{TimeLimit, kind_at};
use crate::data::{LineResult, LineSummary, NativeWave, PartRun};
use crate::model::batch::{Batch, BatchStatus, Left, LineCounts};
use crate::model::clock::Timestamp;
use crate::model::money::MicroUsd;
use crate::model::project::{KeyLimits, Project};
use crate::model::tokens::Charge;
use crate::model::usage::Operation;

/// Numbers of the objects with results of lines that no wave has, after those of the wave with the same fence.
pub(super) const BESIDE_WAVES: u32 = 5_000;

/// Before a batch expires, a provider's batch is cancelled: what it left is run here in this time.
const DIRECT_MS: u64 = 3_600_000;
/// Why lines wait that a provider has.
pub(super) const PROVIDER_RUNS: &str = "The provider runs the lines in a batch of its own.";

/// A part that this worker runs.
pub(super) struct OpenPart {
    pub(super) batch: Batch,
    pub(super) run: PartRun,
    pub(super) project: Project,
    pub(super) key: Option<KeyLimits>,
    /// With the fence of their wave, the earliest first.
    pub(super) results: Vec<(u64, LineSummary)>,
    pub(super) tries: Tries,
    pub(super) objects: u32,
    /// When the function is stopped.
    pub(super) ends: Timestamp,
    /// Its turn to have the lines for a provider in memory, until lines run here.
    pub(super) turn: Option<OwnedSemaphorePermit>,
}

/// What becomes of a part.
pub(super) enum Step {
    /// All lines have a result.
    Complete,
    /// The rest is run after this time.
    Wait(Duration),
    /// A provider has lines. It is asked after this time.
    Park { native: NativeWave, wait: Duration, why: String },
    /// Another worker has the part.
    Lost,
}

impl OpenPart {
    /// The last moment at which a call of the model may begin.
    pub(super) fn begin_until(&self, now: Timestamp, longest: Duration) -> Instant {
        let last = TimeLimit::last_begin(longest, self.ends).min(self.batch.expires_at());
        Instant::now() + Duration::from_millis(now.until(last))
    }

    /// When the last call of the model has to end.
    pub(super) fn ends_by(&self, now: Timestamp) -> Instant {
        Instant::now() + Duration::from_millis(now.until(TimeLimit::last_begin(Duration::ZERO, self.ends)))
    }

    /// The results of lines that are not run any more.
    pub(super) fn given_up(&self, now: Timestamp, left: &[NamedLine]) -> Option<Vec<LineResult>> {
        let batch = &self.batch.key;
        let all = |code, message: &str| left.iter().map(|line| line.not_run(batch, code, message)).collect::<Vec<_>>();
        match self.batch.why_left(now) {
            Some(Left::Expired) => {
                let message = "This request could not be executed before the completion window expired.";
                return Some(all("batch_expired", message).into_iter().map(LineResult::expired).collect());
            }
            Some(Left::Cancelled) => {
                return Some(all("batch_cancelled", "The batch was cancelled before this request was run."));
            }
            None => {}
        }
        if self.project.archived_at.is_some() {
            return Some(all("project_archived", "The project was archived before this request was run."));
        }
        if self.key.is_none() {
            return Some(all("api_key_revoked", "The API key of the batch was revoked before this request was run."));
        }
        let message = format!("The server died {MAX_DEATHS} times while it ran this request or others beside it.");
        (self.run.deaths >= MAX_DEATHS).then(|| all("server_error", &message))
    }

    /// Whether the batch expires so soon that its lines run here.
    pub(super) fn is_last_hour(&self, now: Timestamp) -> bool {
        now.until(self.batch.expires_at()) <= DIRECT_MS
    }

    /// Whether lines go to a provider's batch API now. At the end of the batch's time, they run here.
    pub(super) fn goes_to_provider(&self, now: Timestamp, served: &ServedModels) -> bool {
        let Batch { model, endpoint, is_native, .. } = &self.batch;
        *is_native && self.can_submit(now) && route::is_native(served, model.as_deref().unwrap_or_default(), *endpoint)
    }

    /// Whether a provider has enough time for lines.
    fn can_submit(&self, now: Timestamp) -> bool {
        now.until(self.batch.expires_at()) > 2 * DIRECT_MS
    }

    /// Whether the function is stopped before a provider's batch API may have answered.
    pub(super) fn is_too_late_to_ask(&self, now: Timestamp) -> bool {
        Duration::from_millis(now.until(self.ends)) < 2 * ASK_TIME
    }

    /// The wait for a provider's batch.
    pub(super) fn park(&self, native: NativeWave, now: Timestamp) -> Step {
        let wait = match native.is_cancelled || native.id.is_none() {
            true => NOT_READY_WAIT,
            false => wait_by_age(native.since.until(now)),
        };
        let until_last_hour = now.until(self.batch.expires_at()).saturating_sub(DIRECT_MS);
        let wait = if until_last_hour == 0 { wait } else { wait.min(Duration::from_millis(until_last_hour)) };
        Step::Park { native, wait, why: PROVIDER_RUNS.to_owned() }
    }

    /// Notes results that are stored.
    pub(super) fn note(&mut self, results: Vec<LineSummary>) {
        let fence = self.run.fence;
        self.results.extend(results.into_iter().map(|result| (fence, result)));
    }

    /// Notes lines that are to run here: a provider did not answer them in its batch. Each may have cost something.
    pub(super) fn note_tried(&mut self, lines: impl IntoIterator<Item = (u64, Charge)>) {
        for (line, charge) in lines {
            let (tried, spent) = self.tries.entry(line).or_default();
            *tried += 1;
            *spent = *spent + charge;
        }
    }

    /// The run with the tries so far, as the part keeps them.
    pub(super) fn noted_run(&self) -> PartRun {
        let tries = self.tries.iter().map(|(line, (tried, spent))| (*line, (*tried, spent.cost.0)));
        PartRun { tries: tries.collect(), ..self.run.clone() }
    }

    /// What is held for the last wave.
    pub(super) fn held(&self) -> MicroUsd {
        self.run.reservation.as_ref().map(|held| held.placed.project.reservation.amount).unwrap_or_default()
    }

    /// Notes that the last wave is settled.
    pub(super) fn end_wave(&mut self) {
        (self.run.reservation, self.run.native) = (None, None);
    }

    /// Who pays for a wave.
    pub(super) fn account<'a>(&'a self, model: &'a str) -> Account<'a> {
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
    pub(super) fn has_budget(&self) -> bool {
        let of_key = self.key.as_ref().is_some_and(|key| key.limits.budget.is_some());
        self.project.limits.budget.is_some() || of_key || self.batch.run.is_some()
    }
}

/// Whether lines of the batch have work left.
pub(super) fn runs(batch: &Batch) -> bool {
    matches!(batch.status, BatchStatus::InProgress | BatchStatus::Cancelling)
}

/// A charge of which only the cost is known.
pub(super) fn charge_at(micro_usd: u64) -> Charge {
    Charge { cost: MicroUsd(micro_usd), ..Charge::default() }
}

/// Counts each line once: that of the latest fence, as the files of results have it.
pub(super) fn counts(results: &[(u64, LineSummary)]) -> LineCounts {
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
