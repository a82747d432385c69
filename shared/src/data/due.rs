//! The index of what must happen later: everything that has a `due_at`, in a few partitions.
//!
//! Nothing is scheduled anywhere else. An entry names an item; what is to be done is decided from the item.

use sha2::{Digest as _, Sha256};

use super::error::StoreError;
use super::item::{Item, Reader, number, text};
use super::keys::{DELIVERY_PREFIX, RESPONSE_PREFIX};
use super::meter::MeterKey;
use super::schema::DUE_INDEX;
use super::table::Table;
use crate::model::clock::Timestamp;
use crate::model::message::{DeliveryKey, ResponseKey};

/// Partitions of the due index, so that what is due is written to several.
pub const DUE_SHARDS: u8 = 4;

/// Entries of a shard that one sweep handles; the next goes on after them.
const AT_ONCE: i32 = 1_000;

/// Something that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// A hold's lease may have ended.
    Meter(MeterKey),
    /// A response waits for a worker, its worker may be dead, or what follows its end was not done.
    Response(ResponseKey),
    /// A delivery is to be tried.
    Delivery(DeliveryKey),
}

impl Table {
    /// What has been due longest by `now`, in one shard of the index: as much as one sweep can take. The index is behind the
    /// table by moments.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn due(&self, due_shard: u8, now: Timestamp) -> Result<Vec<Due>, StoreError> {
        let page = self
            .client()
            .query()
            .table_name(self.name())
            .index_name(DUE_INDEX)
            .key_condition_expression("due_shard = :shard AND due_at <= :now")
            .expression_attribute_values(":shard", text(due_shard.to_string()))
            .expression_attribute_values(":now", number(now.0))
            .limit(AT_ONCE)
            .send();
        let answer = Box::pin(page).await.map_err(StoreError::table("query what is due"))?;
        Ok(answer.items.unwrap_or_default().iter().filter_map(due).collect())
    }
}

/// The shard of the index that an item belongs to, from its name.
pub(super) fn due_shard(name: &str) -> String {
    (Sha256::digest(name.as_bytes())[0] % DUE_SHARDS).to_string()
}

/// Reads what an entry is about from its key; `None` for what nothing is known of.
fn due(item: &Item) -> Option<Due> {
    let reader = Reader(item);
    let (pk, sk) = (reader.maybe_text("pk")?, reader.maybe_text("sk")?);
    if let Some(rest) = pk.strip_prefix(RESPONSE_PREFIX) {
        let (project_id, response_id) = rest.split_once('#')?;
        return Some(Due::Response(ResponseKey {
            project_id: project_id.to_owned(),
            response_id: response_id.to_owned(),
        }));
    }
    if let Some(rest) = pk.strip_prefix(DELIVERY_PREFIX) {
        let (project_id, endpoint_id) = rest.split_once('#')?;
        let (project_id, endpoint_id) = (project_id.to_owned(), endpoint_id.to_owned());
        return Some(Due::Delivery(DeliveryKey { project_id, endpoint_id, delivery_id: sk }));
    }
    let (project_id, shard) = pk.strip_prefix("METER#")?.rsplit_once('#')?;
    Some(Due::Meter(MeterKey { project_id: project_id.to_owned(), period: sk, shard: shard.parse().ok()? }))
}
