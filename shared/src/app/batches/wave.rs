//! A wave: lines of a part that are reserved, run and settled together.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, MissedTickBehavior};

use super::line::{LineContext, Tried};
use super::pace::{ComeBack, Pace};
use super::reserve::NOT_READY_WAIT;
use super::terms::PreparedLine;
use crate::app::error::Error;
use crate::data::{BatchParts, BatchRecords, BatchResults, LineResult, LineSummary, MAX_DELAY, PartRun};
use crate::model::backoff::Backoff;
use crate::model::clock::Clock;
use crate::model::error_chain::ErrorChain;
use crate::model::money::MicroUsd;
use crate::model::provider::Failure;
use crate::model::tokens::{Charge, Usage};

/// How long a part belongs to its worker after the last sign of life.
pub(super) const PART_LEASE_MS: u64 = 60_000;
pub(super) const HEARTBEAT: Duration = Duration::from_millis(PART_LEASE_MS / 3);
/// How often the results so far are stored. If the process dies, only the lines since then are run again.
const STORE_EVERY: Duration = Duration::from_secs(5);
/// Results of so many bytes are stored at once: they are in memory until then.
pub(super) const UNSTORED_BYTES: usize = 4 * 1024 * 1024;
/// Times that the process may die under lines of a part. A line that kills its process must not do so for a day.
pub(super) const MAX_DEATHS: u64 = 4;
/// Tries of a line whose provider fails. One that throttles is not counted.
pub(super) const MAX_TRIES: u32 = 4;
const BACKOFF: Backoff = Backoff::new(1_000, 30_000);

/// The lines of a wave, and what they are run with.
pub(super) struct Wave<'a> {
    pub(super) context: &'a LineContext<'a>,
    pub(super) batches: &'a BatchRecords,
    pub(super) parts: &'a BatchParts,
    pub(super) results: &'a BatchResults,
    pub(super) clock: &'a Clock,
    pub(super) pace: &'a Pace,
    pub(super) run: &'a PartRun,
    /// Whether a budget pays: then each try needs a reservation of its own.
    pub(super) budgeted: bool,
    /// The last moment at which a line begins.
    pub(super) begin_until: Instant,
    /// The batch was cancelled: no line begins any more.
    pub(super) is_stopped: AtomicBool,
}

/// How a wave went.
#[derive(Default)]
pub(super) struct WaveEnd {
    /// Of all lines that were called, also those without a result.
    pub(super) charge: Charge,
    /// The lines that were called.
    pub(super) called: u64,
    /// Of the results that are stored.
    pub(super) results: Vec<LineSummary>,
    unstored: Vec<LineResult>,
    unstored_bytes: usize,
    /// Lines without a result, and when they may be tried again.
    pub(super) come_back: Option<Duration>,
    /// Why lines could not be called.
    pub(super) not_ready: Option<Error>,
    /// Another worker has the part. Nothing more is to be written.
    pub(super) is_lost: bool,
}

/// The tries of the lines in this run of the part, and what those without an answer cost.
pub(super) type Tries = HashMap<u64, (u32, Charge)>;

enum LineEnd {
    Done(LineResult, Charge),
    /// The provider is not set up. It was not called.
    NotReady {
        error: Box<Error>,
    },
    /// It goes on in another wave.
    Left {
        number: u64,
        tried: u32,
        charge: Charge,
        wait: Duration,
        was_called: bool,
    },
}

impl Wave<'_> {
    /// Runs the lines, all at once as far as the pace lets them, and stores their results.
    ///
    /// # Errors
    /// If the results cannot be stored. The wave is not settled then: the lease ends, and whoever takes the part settles it.
    pub(super) async fn run(&self, lines: &[PreparedLine], tries: &mut Tries) -> Result<WaveEnd, Error> {
        let mut running: FuturesUnordered<_> = lines
            .iter()
            .map(|line| {
                let (tried, spent) = tries.get(&line.line.number).copied().unwrap_or_default();
                Box::pin(self.run_line(line, tried, spent))
            })
            .collect();
        let (mut end, mut objects) = (WaveEnd::default(), 0);
        let mut beats = tokio::time::interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        let mut stores = tokio::time::interval_at(Instant::now() + STORE_EVERY, STORE_EVERY);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        stores.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = beats.tick() => {
                    if self.beat().await {
                        // The calls are dropped: whoever has the part now settles this wave by what is stored of it.
                        return Ok(WaveEnd { is_lost: true, ..WaveEnd::default() });
                    }
                }
                _ = stores.tick() => {
                    // What fails now is stored with the rest.
                    if let Err(error) = self.store(&mut end, &mut objects).await {
                        tracing::warn!(error = %ErrorChain(&error), "results of a batch not stored yet");
                    }
                }
                ended = running.next() => match ended {
                    None => break,
                    Some(ended) => {
                        end.take(ended, tries);
                        if end.unstored_bytes >= UNSTORED_BYTES {
                            self.store(&mut end, &mut objects).await?;
                        }
                    }
                },
            }
        }
        self.store(&mut end, &mut objects).await?;
        Ok(end)
    }

    /// Stores the results that are not stored yet, as one object.
    async fn store(&self, end: &mut WaveEnd, objects: &mut u32) -> Result<(), Error> {
        if end.unstored.is_empty() {
            return Ok(());
        }
        self.results.put(&self.run.key, self.run.fence, *objects, &end.unstored).await?;
        *objects += 1;
        end.unstored_bytes = 0;
        end.results.extend(end.unstored.drain(..).map(|result| result.summary));
        Ok(())
    }

    /// Renews the lease, and looks whether the batch was cancelled. Returns whether another worker has the part.
    async fn beat(&self) -> bool {
        if let Ok(Some(batch)) = self.batches.get(&self.run.key.batch).await {
            let is_over = batch.why_left(self.clock.now()).is_some();
            self.is_stopped.fetch_or(is_over, Ordering::Relaxed);
        }
        match self.parts.renew(self.run, self.clock.now().plus_ms(PART_LEASE_MS)).await {
            Ok(renewed) => !renewed.is_written(),
            Err(error) => {
                tracing::warn!(error = %ErrorChain(&error), "lease of a part not renewed yet");
                false
            }
        }
    }

    async fn run_line(&self, line: &PreparedLine, mut tried: u32, spent: Charge) -> LineEnd {
        let (number, mut charge, mut was_called) = (line.line.number, Charge::default(), false);
        loop {
            let left = |tried, charge, wait, was_called| LineEnd::Left { number, tried, charge, wait, was_called };
            let turn = match self.pace.turn(self.begin_until).await {
                Ok(turn) => turn,
                Err(ComeBack(wait)) => return left(tried, charge, wait, was_called),
            };
            if self.is_stopped.load(Ordering::Relaxed) {
                return left(tried, charge, Duration::ZERO, was_called);
            }
            was_called = true;
            match self.context.call(line, self.budgeted).await {
                Tried::Done(result) => {
                    turn.succeeded();
                    let own = charge_of(&result.summary);
                    return LineEnd::Done(line.with_tries(result, spent, charge), charge + own);
                }
                Tried::Throttled { error } => {
                    // A provider may ask for nothing, or for a day.
                    let asked = asked_pause(&error).unwrap_or_default();
                    turn.throttled(asked.max(BACKOFF.delay(0)).min(MAX_DELAY));
                }
                Tried::NotReady { error } => {
                    drop(turn);
                    return LineEnd::NotReady { error: Box::new(error) };
                }
                Tried::Failed { error, charge: of_try } => {
                    drop(turn);
                    charge = charge + of_try;
                    tried += 1;
                    if tried >= MAX_TRIES {
                        let result = self.context.failed(&line.line, &error, Charge::default());
                        return LineEnd::Done(line.with_tries(result, spent, charge), charge);
                    }
                    let wait = asked_pause(&error).unwrap_or_default().max(BACKOFF.delay(tried - 1));
                    // Its reservation is used up, or the wait is long: it goes on in another wave.
                    if (self.budgeted && of_try != Charge::default()) || Instant::now() + wait >= self.begin_until {
                        return left(tried, charge, wait, was_called);
                    }
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }
}

impl WaveEnd {
    fn take(&mut self, ended: LineEnd, tries: &mut Tries) {
        match ended {
            LineEnd::Done(result, charge) => {
                self.called += 1;
                self.charge = self.charge + charge;
                tries.remove(&result.summary.line);
                self.unstored_bytes += result.row.get().len();
                self.unstored.push(result);
            }
            LineEnd::NotReady { error } => {
                self.come_back = self.come_back.max(Some(NOT_READY_WAIT));
                self.not_ready = Some(*error);
            }
            LineEnd::Left { number, tried, charge, wait, was_called } => {
                self.called += u64::from(was_called && charge != Charge::default());
                self.charge = self.charge + charge;
                let (tries, spent) = tries.entry(number).or_default();
                *tries = tried;
                *spent = *spent + charge;
                self.come_back = self.come_back.max(Some(wait));
            }
        }
    }
}

impl PreparedLine {
    /// The result with what tries without an answer cost: `spent` in earlier waves, `charge` in this one.
    fn with_tries(&self, result: LineResult, spent: Charge, charge: Charge) -> LineResult {
        let cost = result.summary.cost + (spent + charge).cost.0;
        let summary = LineSummary { cost, held: (self.amount + spent.cost).0, ..result.summary };
        LineResult { summary, ..result }
    }
}

/// The usage and the cost that a result shows.
pub(super) fn charge_of(result: &LineSummary) -> Charge {
    let usage = Usage {
        input: result.input,
        cached_input: result.cached,
        output: result.output,
        reasoning: result.reasoning,
        ..Default::default()
    };
    Charge { usage, cost: MicroUsd(result.cost), ..Charge::default() }
}

/// How long the provider wants to be left alone.
fn asked_pause(error: &Error) -> Option<Duration> {
    match error {
        Error::Provider { source: Failure::CircuitOpen { retry_after }, .. } => Some(*retry_after),
        Error::Provider { source, .. } => source.retry_after(),
        _ => None,
    }
}
