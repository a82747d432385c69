//! Counters of what a project stores until it deletes it: one item per project, day on which the content expires, and shard.
//!
//! DynamoDB deletes content that expires without a notice that could be counted. Therefore it is counted under the day on which it
//! expires, and no sum contains days that are over. A counter changes in the transaction that stores or deletes the content,
//! so it is exact. Transactions on the same item refuse each other; the shards let a few succeed at the same time.

use rand::RngExt as _;

use super::change::{Change, Write};
use super::error::StoreError;
use super::item::{Reader, number};
use super::keys;
use super::table::Table;
use crate::model::clock::Timestamp;
use crate::model::retention::DAY_SECONDS;
use crate::model::rng::rng;
use crate::model::storage::Stored;

/// The counters of stored content.
#[derive(Clone, Debug)]
pub struct StoredCounters(pub(super) Table);

/// When content expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Expiry {
    /// On a day, in days since 1970.
    OnDay(u64),
    Never,
}

impl Expiry {
    pub(super) fn at(expires_at: u64) -> Self {
        Self::OnDay(expires_at / DAY_SECONDS)
    }
}

/// A change of a project's counters.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoredChange {
    pub(super) expiry: Expiry,
    pub(super) bytes: i64,
    pub(super) objects: i64,
}

/// A sum reads all shards of all days.
const SHARDS: u32 = 4;

impl StoredChange {
    pub(super) fn added(expiry: Expiry, Stored { bytes, objects }: Stored) -> Self {
        Self { expiry, bytes: signed(bytes), objects: signed(objects) }
    }

    pub(super) fn removed(expiry: Expiry, Stored { bytes, objects }: Stored) -> Self {
        Self { expiry, bytes: -signed(bytes), objects: -signed(objects) }
    }

    /// The write that counts the change, in a shard drawn at random.
    pub(super) fn write(&self, project_id: &str) -> Write {
        let shard = rng().random_range(0..SHARDS);
        let mut change = Change::new("ADD stored_bytes :bytes, stored_objects :objects")
            .values([(":bytes", number(self.bytes)), (":objects", number(self.objects))]);
        if let Expiry::OnDay(day) = self.expiry {
            change.push(" SET expires_at = :expires", ":expires", number((day + 2) * DAY_SECONDS));
        }
        Write::Change(keys::stored(project_id, self.expiry, shard), change)
    }
}

impl StoredCounters {
    /// What a project stores. Content that expires counts until the end of its last day, in UTC.
    pub async fn sum(&self, project_id: &str, now: Timestamp) -> Result<Stored, StoreError> {
        let (from, to) =
            (keys::stored(project_id, Expiry::at(now.seconds()), 0), keys::stored(project_id, Expiry::Never, SHARDS));
        let (mut bytes, mut objects) = (0_i64, 0_i64);
        for item in self.0.query(&from.pk, &from.sk, &to.sk).await? {
            let reader = Reader(&item);
            bytes = bytes.saturating_add(reader.number("stored_bytes")?);
            objects = objects.saturating_add(reader.number("stored_objects")?);
        }
        let unsigned = |sum| u64::try_from(sum).unwrap_or(0);
        Ok(Stored { bytes: unsigned(bytes), objects: unsigned(objects) })
    }
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}
