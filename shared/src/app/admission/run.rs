//! Admission of the calls of a run.

use quick_cache::sync::Cache;

use super::level::AdmittedLevel;
use super::{AdmissionRequest, MAX_TRIES};
use crate::app::error::Error;
use crate::data::{AdmitOutcome, Meters, WriteOutcome};
use crate::model::backoff::pause;
use crate::model::clock::{Clock, Timestamp};
use crate::model::meter::{MeterKey, PlacedReservation, RateStatus, Refusal, Reservation, Run};

/// Admits calls to their runs.
pub(super) struct RunAdmission {
    meters: Meters,
    /// Runs whose meter exists. A hint: without it, a call also tries to make the meter, in the same round trip.
    begun: Cache<MeterKey, ()>,
    clock: Clock,
}

const REMEMBERED: usize = 4_096;

impl RunAdmission {
    pub(super) fn new(meters: Meters, clock: Clock) -> Self {
        Self { meters, begun: Cache::new(REMEMBERED), clock }
    }

    /// Reserves the worst case of a call on its run, or refuses. The first call of a run makes its meter.
    pub(super) async fn admit(
        &self,
        request: &AdmissionRequest<'_>,
        run: &Run,
        project_id: &str,
    ) -> Result<AdmittedLevel, Error> {
        let meter = run.meter(project_id);
        let now = self.clock.now();
        let attempt = request.run_attempt(run, now);
        let fits = run.budget.is_none_or(|budget| request.accountable.is_ok() && request.amount <= budget);
        for tried in 0..MAX_TRIES {
            // A write that makes the meter and a write that changes it exclude each other, so both go out at once.
            let (made, outcome) = match fits && self.begun.get(&meter).is_none() {
                true => {
                    tokio::join!(self.meters.begin_run(&meter, &attempt), self.meters.admit_to_run(&meter, &attempt))
                }
                false => (Ok(WriteOutcome::Refused), self.meters.admit_to_run(&meter, &attempt).await),
            };
            match (made?, outcome?) {
                (_, AdmitOutcome::Admitted(_)) | (WriteOutcome::Written, AdmitOutcome::NoShard) => {
                    self.begun.insert(meter.clone(), ());
                    return Ok(to_admitted(meter, attempt.reservation));
                }
                (_, AdmitOutcome::Refused(shard)) => {
                    self.begun.insert(meter, ());
                    if shard.limit.is_some() {
                        request.accountable.clone()?;
                    }
                    return Err(Error::Refused(Refusal::of_run(&shard, request.amount, now).into()));
                }
                // The first call of the run does not fit into the budget that it names.
                (_, AdmitOutcome::NoShard) if !fits => {
                    request.accountable.clone()?;
                    let refusal = Refusal::first_of_run(run.budget.unwrap_or_default(), request.amount);
                    return Err(Error::Refused(refusal.into()));
                }
                // Another call made the meter in between, or DynamoDB deleted it long after the run's end.
                (WriteOutcome::Refused, AdmitOutcome::NoShard) => {
                    self.begun.remove(&meter);
                    pause(tried).await;
                }
            }
        }
        Err(Error::Contended("the run's meter"))
    }
}

fn to_admitted(meter: MeterKey, reservation: Reservation) -> AdmittedLevel {
    let placed = PlacedReservation { meter, reservation, tokens: 0, window_ends: Timestamp::default() };
    AdmittedLevel { placed, rates: RateStatus::default(), budgeted: true }
}
