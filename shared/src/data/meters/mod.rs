//! Meters: the money that a project may still spend this month, its reservations and its rate windows.
//!
//! A meter has one item per shard. Its attributes are short because every write is billed by the size of the item:
//!
//! | attribute | meaning |
//! |---|---|
//! | `rev` | revision of the project's limits that filled the shard; negative while the project is over a limit that was lowered |
//! | `avail` | micro-dollars neither spent nor reserved; without a budget it counts down from 0 |
//! | `spent` | micro-dollars settled |
//! | `limit` | shard 0 only: the budget that filled `avail` of all shards |
//! | `holds` | map: reservation id -> `<micro-dollars> <model>` |
//! | `win` `reqs` `toks` | end of the rate window (Unix milliseconds), requests and tokens in it |
//! | `due_shard` `due_at` | when the sweeper should look for reservations whose lease ended |

mod admission;
mod shards;

pub use admission::{AdmissionAttempt, AdmitOutcome, MAX_RESERVATIONS, SWEEP_INTERVAL_MS, WindowChange};
pub use shards::{MAX_SHARDS, Shard, ShardChange, Window};

use super::change::{Change, UpdateOutcome};
use super::error::StoreError;
use super::item::number;
use super::keys::{self, Key};
use super::table::Table;
use crate::model::clock::Timestamp;
use crate::model::id;
use crate::model::money::MicroUsd;

/// Identifies a shard of a meter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MeterKey {
    pub project_id: String,
    /// Calendar month in UTC, `2026-11`.
    pub period: String,
    pub shard: u8,
}

impl MeterKey {
    fn key(&self) -> Key {
        keys::meter(&self.project_id, &self.period, self.shard)
    }
}

/// Identifies a reservation within its shard. Contains the end of its lease: 8 hexadecimal digits of Unix seconds, then
/// 8 random ones.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReservationId(String);

impl ReservationId {
    #[must_use]
    pub fn new(lease_until: Timestamp) -> Self {
        Self(format!("{:08x}{}", lease_until.0.div_ceil(1_000), id::random(8)))
    }

    /// An id that the table holds.
    pub(super) fn from_stored(text: &str) -> Self {
        Self(text.to_owned())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When the sweeper may settle the reservation.
    #[must_use]
    pub fn lease_until(&self) -> Timestamp {
        let seconds = self.0.get(..8).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0);
        Timestamp(seconds * 1_000)
    }
}

/// Money held for a running call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    pub id: ReservationId,
    pub amount: MicroUsd,
    pub model: String,
}

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
        change.update.push_str(" REMOVE holds.#hold");
        change.names.push(("#hold", reservation.id.0.clone()));
        Ok(match self.0.update(at.key(), change).await? {
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
        self.0.update(at.key(), change).await.map(drop)
    }
}
