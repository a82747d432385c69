//! Reserving money for a wave.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::open_part::OpenPart;
use super::runner::PartRunner;
use super::terms::PreparedLine;
use super::wave::PART_LEASE_MS;
use crate::app::admission::{AdmissionRequest, Levels};
use crate::app::error::Error;
use crate::app::pipeline::GRACE_MS;
use crate::app::telemetry::{self, TelemetryEvent};
use crate::data::{NativeWave, PartKey, StoredReservation};
use crate::model::meter::{self, Limit, PlacedReservations};
use crate::model::money::MicroUsd;
use crate::model::tokens::Bound;

/// How long lines wait for a budget, or for a provider's batch: a tenth of the time that it has taken, between these.
const LONG_WAIT: RangeInclusive<u64> = 60_000..=900_000;
/// A provider's batch is read and settled by then, or given up.
const AFTER_EXPIRY_MS: u64 = 2 * 3_600_000;
/// How long lines wait if their model or its provider is not set up.
pub(super) const NOT_READY_WAIT: Duration = Duration::from_secs(60);
/// The reservation of a wave.
pub(super) struct Reserved {
    pub(super) placed: PlacedReservations,
    pub(super) budgeted: bool,
    /// The first lines, for which it is made.
    pub(super) count: usize,
}

/// Why a wave has no reservation.
pub(super) enum Unreserved {
    /// There may be one later.
    Wait(Duration, Error),
    /// There will never be one.
    Never(Error),
    Failed(Error),
    /// Another worker has the part.
    Lost,
}

impl PartRunner {
    /// Reserves for as many of the lines as the limits admit, and begins their wave.
    /// `provider` is the one that gets the lines as a batch; `None`: they run here.
    pub(super) async fn reserve(
        &self,
        part: &mut OpenPart,
        lines: &[PreparedLine],
        provider: Option<&str>,
    ) -> Result<Reserved, Unreserved> {
        let name = lines.first().map(PreparedLine::model_name).unwrap_or_default();
        let asked = part.batch.run_budget;
        let run = part.batch.run.clone().map(|name| meter::Run::new(name, asked, &part.project.policy));
        let levels = Levels { project: &part.project, key: part.key.as_ref(), run: run.as_ref() };
        let lease_until = match provider {
            Some(_) => part.batch.expires_at().plus_ms(AFTER_EXPIRY_MS),
            None => part.ends.plus_ms(GRACE_MS),
        };
        let mut count = lines.len();
        let (admitted, bound) = loop {
            let amount = lines[..count].iter().fold(MicroUsd(0), |sum, line| sum + line.amount);
            let request = AdmissionRequest::of_many(levels, &name, amount, lease_until);
            match self.admission.admit(&request).await {
                Ok(admitted) => break (admitted, bound_of(&lines[..count])),
                // What is left may pay for some of the lines.
                Err(Error::Refused(refusal)) if matches!(refusal.limit, Limit::Budget { .. }) && count > 1 => {
                    count /= 2
                }
                Err(error) => return Err(refuse(error, part.batch.created_at.until(self.clock.now()))),
            }
        };
        let reservation =
            StoredReservation { fence: part.run.fence + 1, placed: admitted.placed.clone(), bound, price: None };
        let now = self.clock.now();
        let native = provider.map(|provider| {
            let PartKey { batch, part: number } = &part.run.key;
            NativeWave {
                provider: provider.to_owned(),
                tag: format!("{}-{number}-{}", batch.batch_id, part.run.fence + 1),
                id: None,
                since: now,
                last_line: lines[..count].last().map_or(0, |line| line.line.number),
                is_cancelled: false,
                readers: 0,
            }
        });
        match self.stores.parts.begin_wave(&mut part.run, reservation, native, now.plus_ms(PART_LEASE_MS)).await {
            Ok(begun) if begun.is_written() => {}
            Ok(_) => {
                self.ledger.release(&admitted.placed).await;
                return Err(Unreserved::Lost);
            }
            // The write may have taken effect: whoever takes the part settles it, or the sweeper.
            Err(error) => return Err(Unreserved::Failed(error.into())),
        }
        Ok(Reserved { placed: admitted.placed, budgeted: admitted.budgeted, count })
    }
}

fn bound_of(lines: &[PreparedLine]) -> Bound {
    lines.iter().fold(Bound::default(), |sum, line| Bound {
        input: sum.input.saturating_add(line.bound.input),
        output: sum.output.saturating_add(line.bound.output),
        pieces: sum.pieces.saturating_add(line.bound.pieces),
    })
}

/// How long to wait for something that may take a day.
pub(super) fn wait_by_age(age_ms: u64) -> Duration {
    Duration::from_millis((age_ms / 10).clamp(*LONG_WAIT.start(), *LONG_WAIT.end()))
}

/// `age_ms`: of the batch.
fn refuse(error: Error, age_ms: u64) -> Unreserved {
    match &error {
        Error::Refused(refusal) => match (refusal.limit, refusal.retry_after) {
            (Limit::Requests { .. } | Limit::Tokens { .. }, wait) => {
                Unreserved::Wait(wait.unwrap_or(NOT_READY_WAIT), error)
            }
            (Limit::Budget { .. }, _) => {
                telemetry::record(&TelemetryEvent::BudgetRefused);
                Unreserved::Wait(wait_by_age(age_ms), error)
            }
            (Limit::Ended, _) => Unreserved::Never(error),
        },
        Error::Unpriced(_) | Error::Invalid(_) => Unreserved::Never(error),
        _ => Unreserved::Failed(error),
    }
}
