//! Meters: the money that a project, an API key or a run may still spend, its reservations and its rate windows.
//!
//! A meter has one item per shard. Its attributes are short because every write is billed by the size of the item:
//!
//! | attribute | meaning |
//! |---|---|
//! | `rev` | revision of the limits that filled the shard; negative while a limit is exceeded that was lowered |
//! | `avail` | micro-dollars neither spent nor reserved; without a budget it counts down from 0 |
//! | `spent` | micro-dollars settled |
//! | `limit` | shard 0 only: the budget that filled `avail` of all shards |
//! | `holds` | map: reservation id -> `<micro-dollars> <model>` |
//! | `live` | how many of the reservations are for requests |
//! | `ends_at` | a run only: when it ends (Unix milliseconds) |
//! | `win` `reqs` `toks` | end of the rate window (Unix milliseconds), requests and tokens in it |
//! | `due_shard` `due_at` | when the sweeper should look for reservations whose lease ended |

mod admission;
mod runs;
mod shards;

pub use admission::{AdmissionAttempt, AdmitOutcome, CountAttempt, SWEEP_INTERVAL_MS, WindowChange};
pub use runs::RunAttempt;

use super::change::{Change, UpdateOutcome};
use super::error::StoreError;
use super::item::number;
use super::keys;
use super::table::Table;
use crate::model::clock::Timestamp;
use crate::model::meter::{MeterKey, Reservation, ReservedFor};
use crate::model::money::MicroUsd;

/// The outcome of a settlement.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettleOutcome {
    Settled,
    /// The reservation was gone: another instance settled it before.
    AlreadySettled,
}

/// The meters of all projects.
#[derive(Clone, Debug)]
pub struct Meters(pub(super) Table);

impl Meters {
    /// Settles a reservation at the call's true cost, once. Returns the rest of the reservation to the shard and, in the
    /// rate window that counted the call, its unused tokens (negative if the call used more than counted).
    pub async fn settle(
        &self,
        at: &MeterKey,
        reservation: &Reservation,
        cost: MicroUsd,
        unused_tokens: i64,
    ) -> Result<SettleOutcome, StoreError> {
        let back = number(reservation.amount.signed() - cost.signed());
        // Without the condition, the call and the sweeper could both charge for one reservation.
        let mut change = Change::new("SET avail = avail + :back, spent = spent + :cost")
            .only_if("attribute_exists(holds.#hold)")
            .values([(":back", back), (":cost", number(cost.0))]);
        if unused_tokens != 0 {
            change.push(", toks = toks - :unused", ":unused", number(unused_tokens));
        }
        if reservation.id.reserved_for() == ReservedFor::Request {
            change.push(", live = live - :one", ":one", number(1));
        }
        change.update.push_str(" REMOVE holds.#hold");
        change.names.push(("#hold", reservation.id.as_str().to_owned()));
        Ok(match self.0.update(keys::meter(at), change).await? {
            UpdateOutcome::Written(_) => SettleOutcome::Settled,
            UpdateOutcome::Refused(_) => SettleOutcome::AlreadySettled,
        })
    }

    /// Sets when the sweeper should return to a shard: at `next`, or never if no reservation is left.
    pub async fn set_due(&self, at: &MeterKey, next: Option<Timestamp>) -> Result<(), StoreError> {
        let change = match next {
            // Without the condition, an update would create half a shard after DynamoDB deleted an expired one.
            Some(next) => {
                Change::new("SET due_at = :next").only_if("attribute_exists(pk)").values([(":next", number(next.0))])
            }
            // Without the condition, the sweeper would never see a reservation that was added after it looked.
            None => {
                Change::new("REMOVE due_at, due_shard").only_if("size(holds) = :none").values([(":none", number(0))])
            }
        };
        self.0.update(keys::meter(at), change).await.map(drop)
    }
}
