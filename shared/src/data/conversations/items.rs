//! The items of a conversation: they are read one by one, and deleted.

use bytes::Bytes;

use super::turns::{Place, part_of, without_item};
use super::{Conversation, ConversationKey, ConversationRecords, MAX_TRIES, has_expired, read_conversation};
use crate::data::change::{Change, Write};
use crate::data::error::{Contended, StoreError};
use crate::data::item::{Item, Reader, number, text};
use crate::data::keys;
use crate::data::stored::StoredChange;
use crate::data::table::conflict_pause;
use crate::model::clock::Timestamp;
use crate::model::storage::Stored;

/// An item of a conversation. [`ConversationRecords::item_body`] reads its body.
#[derive(Debug, Clone)]
pub struct StoredItem {
    pub id: String,
    /// The item was deleted, or has expired. The table remembers it for a while, so that lists can continue after it.
    pub deleted: bool,
    /// When the table may forget it, in Unix seconds.
    expires_at: u64,
    /// The bytes of its body.
    pub(super) bytes: u64,
    pub(super) place: Place,
    item: Item,
}

/// A deleted item is remembered this long: lists continue after it, and a turn that is added again does not restore it.
const TOMBSTONE_SECONDS: u64 = 2 * 86_400;

impl ConversationRecords {
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
    pub async fn delete_item(&self, of: &Conversation, stored: &StoredItem, now: Timestamp) -> Result<(), StoreError> {
        let key = &of.key;
        for tried in 0..MAX_TRIES {
            let removed = Stored { bytes: stored.bytes, objects: 1 };
            let counted = StoredChange::removed(of.expiry(stored.place.at), removed);
            let writes = vec![
                Write::Change(keys::conversation_item(key, &stored.id), bury(&stored.place, now)),
                Write::Change(part_of(key, &stored.place), without_item(&stored.place, stored.bytes)),
                counted.write(&key.project_id),
            ];
            if self.table.transact(writes).await?.is_written() {
                return self.bodies.delete_packed(&stored.item).await;
            }
            // A refusal: it was deleted, its conversation was, or another transaction came first.
            let there = self.item(key, &stored.id, now).await?.and_then(|(_, item)| item);
            if there.is_none_or(|item| item.place != stored.place) {
                return Ok(());
            }
            conflict_pause(tried).await;
        }
        Err(StoreError::table("delete the item")(Contended("its transactions were cancelled")))
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
        let (mut found, mut items) = (None, Vec::new());
        for item in self.table.get_all(all).await? {
            match StoredItem::read(&item, now)? {
                Some(item) => items.push(item),
                None => found = read_conversation(key, &item, now)?,
            }
        }
        Ok((found, items))
    }
}

impl StoredItem {
    /// Whether the table may forget it: its retention is over, or the time for which its deletion is remembered.
    pub(super) fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now.seconds()
    }

    /// Reads an item of a conversation's partition. Returns `None` if it is the conversation itself.
    pub(super) fn read(item: &Item, now: Timestamp) -> Result<Option<Self>, StoreError> {
        let reader = Reader(item);
        let sk = reader.text("sk")?;
        let Some(id) = sk.strip_prefix(keys::ITEM_PREFIX) else { return Ok(None) };
        Ok(Some(Self {
            id: id.to_owned(),
            deleted: reader.maybe_number::<u8>("deleted")?.is_some() || has_expired(&reader, now)?,
            expires_at: reader.number("expires_at")?,
            bytes: reader.number("json_bytes")?,
            place: Place::read(&reader)?,
            item: item.clone(),
        }))
    }
}

/// The change that replaces an item by a tombstone.
fn bury(place: &Place, now: Timestamp) -> Change {
    // Without the condition on the place, a deletion that comes late would delete the item that was added since.
    Change::new("SET deleted = :one, expires_at = :expires REMOVE body, blob_key")
        .only_if("attribute_exists(pk) AND place = :place AND attribute_not_exists(deleted)")
        .values([
            (":one", number(1)),
            (":expires", number(now.seconds() + TOMBSTONE_SECONDS)),
            (":place", text(place.to_string())),
        ])
}
