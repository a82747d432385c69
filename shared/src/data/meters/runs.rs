//! The meter of a run: one item, made by the first call of the run.

use aws_sdk_dynamodb::types::AttributeValue;

use super::admission::{due_at, hold_text};
use super::shards::read_shard;
use super::{AdmitOutcome, Meters};
use crate::data::change::{Change, Returning, UpdateOutcome, WriteOutcome};
use crate::data::due::due_shard;
use crate::data::error::StoreError;
use crate::data::item::{Item, insert_present, number, text};
use crate::data::keys;
use crate::model::clock::Timestamp;
use crate::model::meter::{MAX_RESERVATIONS, MeterKey, Reservation, ReservedFor, Window};
use crate::model::money::MicroUsd;

/// One attempt to admit a call of a run.
#[derive(Debug, Clone)]
pub struct RunAttempt {
    pub reservation: Reservation,
    /// The budget of the run if this call is its first; `None`: no limit.
    pub budget: Option<MicroUsd>,
    /// When the run ends if this call is its first.
    pub ends_at: Timestamp,
    /// Whether a budget can pay for the call.
    pub is_accountable: bool,
    pub now: Timestamp,
}

/// The balance of a run without a budget: more than any run spends, so that one condition serves both kinds.
const UNLIMITED: u64 = i64::MAX as u64 / 2;

/// DynamoDB may delete the meter this long after the end of its run.
const KEPT_SECONDS: u64 = 400 * 86_400;

impl Meters {
    /// Makes the meter of a run and admits its first call, with one conditional write. `Refused`: the run has a meter.
    pub async fn begin_run(&self, at: &MeterKey, attempt: &RunAttempt) -> Result<WriteOutcome, StoreError> {
        // Without its condition, a second call would take the reservations of the first away.
        self.0.put_new(first_item(at, attempt)).await
    }

    /// Admits a call of a run with one conditional write.
    pub async fn admit_to_run(&self, at: &MeterKey, attempt: &RunAttempt) -> Result<AdmitOutcome, StoreError> {
        match self.0.update(keys::meter(at), run_change(at, attempt)).await? {
            UpdateOutcome::Written(_) => Ok(AdmitOutcome::Admitted(Window::default())),
            UpdateOutcome::Refused(None) => Ok(AdmitOutcome::NoShard),
            UpdateOutcome::Refused(Some(item)) => {
                let shard = read_shard(&item)?;
                // This call made the meter, or the SDK repeated a write whose answer was lost.
                if shard.reservations.iter().any(|reservation| reservation.id == attempt.reservation.id) {
                    return Ok(AdmitOutcome::Admitted(Window::default()));
                }
                Ok(AdmitOutcome::Refused(shard))
            }
        }
    }
}

fn first_item(at: &MeterKey, attempt: &RunAttempt) -> Item {
    let RunAttempt { reservation, budget, ends_at, now, .. } = attempt;
    let left = budget.unwrap_or(MicroUsd(UNLIMITED)).signed() - reservation.amount.signed();
    let holds = Item::from([(reservation.id.as_str().to_owned(), text(hold_text(reservation)))]);
    let mut item = keys::meter(at).with([
        ("rev", number(1)),
        ("avail", number(left)),
        ("spent", number(0)),
        ("holds", AttributeValue::M(holds)),
        ("live", number(u8::from(reservation.id.reserved_for() == ReservedFor::Request))),
        ("ends_at", number(ends_at.0)),
        ("expires_at", number(ends_at.seconds() + KEPT_SECONDS)),
        ("due_shard", text(shard_of(at))),
        ("due_at", number(due_at(reservation, *now))),
    ]);
    insert_present(&mut item, [("limit", budget.map(|budget| number(budget.0)))]);
    item
}

/// Each condition protects one rule: a repeated write reserves once (`#hold`), the item stays small (`size`), the run's
/// budget holds however many instances admit calls at the same time, and no call begins after the run's end. A call that no
/// budget can pay for is admitted only by a run without one.
fn run_change(at: &MeterKey, attempt: &RunAttempt) -> Change {
    let RunAttempt { reservation, is_accountable, now, .. } = attempt;
    let update = "SET avail = avail - :held, holds.#hold = :hold, due_shard = if_not_exists(due_shard, :due_shard), \
                  due_at = if_not_exists(due_at, :due_at)";
    let mut condition =
        "attribute_not_exists(holds.#hold) AND size(holds) < :max_holds AND avail >= :held AND ends_at > :now"
            .to_owned();
    if !is_accountable {
        condition.push_str(" AND attribute_not_exists(#limit)");
    }
    let mut change = Change::new(update).only_if(condition).returning(Returning::Changed).values([
        (":held", number(reservation.amount.0)),
        (":hold", text(hold_text(reservation))),
        (":due_shard", text(shard_of(at))),
        (":due_at", number(due_at(reservation, *now))),
        (":max_holds", number(MAX_RESERVATIONS)),
        (":now", number(now.0)),
    ]);
    if reservation.id.reserved_for() == ReservedFor::Request {
        change.push(", live = live + :one", ":one", number(1));
    }
    change.names.push(("#hold", reservation.id.as_str().to_owned()));
    if !is_accountable {
        change.names.push(("#limit", "limit".to_owned()));
    }
    change
}

fn shard_of(at: &MeterKey) -> String {
    due_shard(&keys::meter(at).pk)
}
