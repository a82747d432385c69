//! When keys were last used, to the hour.

use std::collections::HashMap;

use super::change::WriteOutcome;
use super::error::StoreError;
use super::item::{Reader, number};
use super::keys;
use super::table::Table;
use crate::model::clock::Timestamp;

/// One item for each key that was used.
#[derive(Clone, Debug)]
pub struct LastUses(pub(super) Table);

const HOUR: u64 = 3_600;

impl LastUses {
    /// Records that a key was used. `Refused`: that was recorded in the same hour already.
    pub async fn record(&self, owner: &str, key_id: &str, at: Timestamp) -> Result<WriteOutcome, StoreError> {
        let item = keys::last_use(owner, key_id).with([("used_at", number(at.seconds()))]);
        let hour = at.seconds() / HOUR * HOUR;
        // Without the condition, each process would write once an hour, and a slow one could set the time back.
        let condition = "attribute_not_exists(pk) OR used_at < :hour";
        self.0.put_if(item, condition, [(":hour", number(hour))]).await
    }

    /// The last uses of an owner's keys by their ids, in Unix seconds.
    pub async fn of(&self, owner: &str) -> Result<HashMap<String, u64>, StoreError> {
        let items = self.0.query_partition(&keys::last_uses_partition(owner)).await?;
        items.iter().map(|item| Ok((Reader(item).text("sk")?, Reader(item).number("used_at")?))).collect()
    }
}
