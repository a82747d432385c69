//! The items of a conversation: they are read and deleted.

use bytes::Bytes;

use super::{Conversation, ConversationKey, ConversationRecords, has_expired, read_conversation};
use crate::data::change::{Change, WriteOutcome};
use crate::data::error::StoreError;
use crate::data::item::{Item, Reader, number, text};
use crate::data::keys;
use crate::model::clock::Timestamp;

/// An item of a conversation. [`ConversationRecords::item_body`] reads its body.
#[derive(Debug, Clone)]
pub struct StoredItem {
    pub id: String,
    /// The item was deleted, or has expired. The table remembers it for a while, so that lists can continue after it.
    pub deleted: bool,
    pub(super) place: String,
    item: Item,
}

/// A deleted item is remembered this long: lists continue after it, and a turn that is added again does not restore it.
const TOMBSTONE_SECONDS: u64 = 2 * 86_400;

impl ConversationRecords {
    /// Returns a conversation with its items in order, or `None` if it does not exist. One query.
    pub async fn items(
        &self,
        key: &ConversationKey,
        now: Timestamp,
    ) -> Result<Option<(Conversation, Vec<StoredItem>)>, StoreError> {
        let partition = keys::conversation(key).pk;
        let (found, mut items) = read_all(key, &self.table.query_partition(&partition).await?, now)?;
        items.sort_by(|one, other| one.place.cmp(&other.place));
        Ok(found.map(|conversation| (conversation, items)))
    }

    /// Returns the body of an item as JSON.
    pub async fn item_body(&self, stored: &StoredItem) -> Result<Bytes, StoreError> {
        self.bodies.unpack(&stored.item).await
    }

    /// Returns a conversation, or `None` if it does not exist, and with it one of its items, or `None` if the item does
    /// not exist, was deleted or has expired.
    pub async fn item(
        &self,
        key: &ConversationKey,
        item_id: &str,
        now: Timestamp,
    ) -> Result<Option<(Conversation, Option<StoredItem>)>, StoreError> {
        let (found, items) = self.load(key, &[item_id], now).await?;
        Ok(found.map(|conversation| (conversation, items.into_iter().find(|item| !item.deleted))))
    }

    /// Deletes an item, unless it is deleted already.
    pub async fn delete_item(
        &self,
        key: &ConversationKey,
        stored: &StoredItem,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        match self.bury_item(key, &stored.id, &stored.place, now).await? {
            WriteOutcome::Written => self.bodies.delete_packed(&stored.item).await,
            WriteOutcome::Refused => Ok(()),
        }
    }

    /// Replaces an item by a tombstone. `Refused`: no item with this id has this place.
    pub(super) async fn bury_item(
        &self,
        key: &ConversationKey,
        item_id: &str,
        place: &str,
        now: Timestamp,
    ) -> Result<WriteOutcome, StoreError> {
        // Without the condition on the place, the removal of one turn would delete an item that another turn added.
        let change = Change::new("SET deleted = :one, expires_at = :expires REMOVE body, blob_key")
            .only_if("attribute_exists(pk) AND place = :place")
            .values([
                (":one", number(1)),
                (":expires", number(now.seconds() + TOMBSTONE_SECONDS)),
                (":place", text(place)),
            ]);
        Ok(self.table.update(keys::conversation_item(key, item_id), change).await?.into())
    }

    /// Loads a conversation, and those of the named items that exist.
    pub(super) async fn load(
        &self,
        key: &ConversationKey,
        item_ids: &[&str],
        now: Timestamp,
    ) -> Result<(Option<Conversation>, Vec<StoredItem>), StoreError> {
        let items = item_ids.iter().map(|item_id| keys::conversation_item(key, item_id));
        let all = std::iter::once(keys::conversation(key)).chain(items).collect();
        read_all(key, &self.table.get_all(all).await?, now)
    }
}

/// Reads the items of a conversation's partition. One of them may be the conversation itself.
fn read_all(
    key: &ConversationKey,
    all: &[Item],
    now: Timestamp,
) -> Result<(Option<Conversation>, Vec<StoredItem>), StoreError> {
    let (mut found, mut items) = (None, Vec::new());
    for item in all {
        let reader = Reader(item);
        match reader.text("sk")?.strip_prefix(keys::ITEM_PREFIX) {
            None => found = read_conversation(key, item, now)?,
            Some(item_id) => items.push(StoredItem {
                id: item_id.to_owned(),
                deleted: reader.maybe_number::<u8>("deleted")?.is_some() || has_expired(&reader, now)?,
                place: reader.text("place")?,
                item: item.clone(),
            }),
        }
    }
    Ok((found, items))
}
