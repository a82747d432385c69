//! Additions to a conversation: each item is added once, with its place.

use bytes::Bytes;
use futures_util::future::try_join_all;

use super::{ConversationKey, ConversationRecords, EXISTS, MAX_CONCURRENT, StoredItem, read_conversation};
use crate::data::bucket::INLINE_BYTES;
use crate::data::change::{Change, Returning, UpdateOutcome, Write, WriteOutcome};
use crate::data::error::StoreError;
use crate::data::item::{Item, number, text};
use crate::data::keys;
use crate::data::table::conflict_pause;
use crate::model::clock::Timestamp;

/// Items that are added together: their time, and an id that no other turn has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    pub at: Timestamp,
    pub id: String,
}

impl Turn {
    /// The place of the turn's `n`th item. Places sort by time, then by turn, then by number.
    fn place(&self, n: usize) -> String {
        format!("{:015}#{}#{n:06}", self.at.0, self.id)
    }
}

/// An item to be added.
#[derive(Debug, Clone)]
pub struct NewItem {
    pub id: String,
    /// As JSON.
    pub body: Bytes,
}

/// The outcome of [`ConversationRecords::add_items`]. In all cases but the first, nothing was added.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddItemsOutcome {
    Added,
    /// The conversation does not exist.
    Absent,
    /// The conversation has an item with this id already.
    Duplicate(String),
    /// Too many other callers added items at the same time.
    Contended,
}

const MAX_TRIES: u32 = 12;

impl ConversationRecords {
    /// Adds items to a conversation, all or nothing. `turn_id` is the id of their [`Turn`]. The items of concurrent
    /// callers follow each other.
    pub async fn add_items(
        &self,
        key: &ConversationKey,
        now: Timestamp,
        turn_id: &str,
        new: &[NewItem],
    ) -> Result<AddItemsOutcome, StoreError> {
        let outcome = self.try_add_items(key, now, turn_id, new).await?;
        if outcome != AddItemsOutcome::Added {
            self.delete_bodies(&folder(key, turn_id), new).await?;
        }
        Ok(outcome)
    }

    async fn try_add_items(
        &self,
        key: &ConversationKey,
        now: Timestamp,
        turn_id: &str,
        new: &[NewItem],
    ) -> Result<AddItemsOutcome, StoreError> {
        let ids: Vec<&str> = new.iter().map(|item| item.id.as_str()).collect();
        for tried in 0..=MAX_TRIES {
            let (Some(found), items) = self.load(key, &ids).await? else {
                return Ok(AddItemsOutcome::Absent);
            };
            // The SDK repeats a write whose answer was lost: this call itself may have put some of the items.
            let is_ours = |item: &StoredItem| item.place.split('#').nth(1) == Some(turn_id);
            if let Some(duplicate) = items.iter().find(|item| !item.deleted && !is_ours(item)) {
                return Ok(AddItemsOutcome::Duplicate(duplicate.id.clone()));
            }
            if items.iter().any(is_ours) {
                return Ok(AddItemsOutcome::Added);
            }
            if tried == MAX_TRIES {
                break;
            }
            let turn = Turn { at: now.max(found.last_at.plus_ms(1)), id: turn_id.to_owned() };
            let packed = self.pack_items(key, &turn, new).await?;
            // Without the condition, two turns could take the same place, or add the same id twice.
            let change = Change::new("SET last_at = :at")
                .only_if(format!("{EXISTS} AND last_at = :seen"))
                .values([(":at", number(turn.at.0)), (":seen", number(found.last_at.0))]);
            let head = Write::Change(keys::conversation(key), change);
            let writes = std::iter::once(head).chain(packed.into_iter().map(Write::Put)).collect();
            if self.table.transact(writes).await?.is_written() {
                return Ok(AddItemsOutcome::Added);
            }
            conflict_pause(tried).await;
        }
        Ok(AddItemsOutcome::Contended)
    }

    /// Adds those items of a turn that are not there yet; another call with the same turn changes nothing. `Refused`:
    /// the conversation does not exist. No item of the turn stays then.
    pub async fn add_turn(
        &self,
        key: &ConversationKey,
        turn: &Turn,
        new: &[NewItem],
    ) -> Result<WriteOutcome, StoreError> {
        // Without the condition, a late turn would move `last_at` back, and later turns could stand before others.
        let change = Change::new("SET last_at = :at")
            .only_if(format!("{EXISTS} AND last_at < :at"))
            .values([(":at", number(turn.at.0))])
            .returning(Returning::Changed);
        let exists = match self.table.update(keys::conversation(key), change).await? {
            UpdateOutcome::Written(_) => true,
            // Another turn was added after this one began, or this turn is added again.
            UpdateOutcome::Refused(Some(head)) => read_conversation(key, &head)?.is_some(),
            UpdateOutcome::Refused(None) => false,
        };
        if exists {
            self.put_turn(key, turn, new).await?;
            // A deletion looks for items after it has marked the conversation. It misses those that were put later.
            if self.get(key).await?.is_some() {
                return Ok(WriteOutcome::Written);
            }
        }
        self.remove_turn(key, turn, new).await?;
        Ok(WriteOutcome::Refused)
    }

    async fn put_turn(&self, key: &ConversationKey, turn: &Turn, new: &[NewItem]) -> Result<(), StoreError> {
        let numbered: Vec<_> = new.iter().enumerate().collect();
        for some in numbered.chunks(MAX_CONCURRENT) {
            let puts = some.iter().map(async |(n, new)| {
                // If the item exists or has a tombstone, no item would refer to its body in the bucket.
                let item_key = keys::conversation_item(key, &new.id);
                if new.body.len() > INLINE_BYTES && self.table.get(item_key).await?.is_some() {
                    return Ok(());
                }
                let item = self.pack_item(key, turn, *n, new).await?;
                // A refusal means that the turn was added before: the item, or its tombstone, stays as it is.
                self.table.put_new(item).await.map(drop)
            });
            try_join_all(puts).await?;
        }
        Ok(())
    }

    /// Removes the items of a turn that were put, or may have been.
    async fn remove_turn(&self, key: &ConversationKey, turn: &Turn, new: &[NewItem]) -> Result<(), StoreError> {
        self.delete_bodies(&folder(key, &turn.id), new).await?;
        let places: Vec<_> = new.iter().enumerate().map(|(n, new)| (&*new.id, turn.place(n))).collect();
        for some in places.chunks(MAX_CONCURRENT) {
            let removals = some.iter().map(|(item_id, place)| self.bury_item(key, item_id, place, turn.at));
            try_join_all(removals).await?;
        }
        Ok(())
    }

    /// Deletes those bodies of new items that [`Self::pack_item`] puts into the bucket.
    async fn delete_bodies(&self, folder: &str, new: &[NewItem]) -> Result<(), StoreError> {
        try_join_all(new.iter().map(|new| self.bodies.delete_permanent(folder, &new.body))).await.map(drop)
    }

    /// Makes the items of a turn for the table. Puts large bodies into the bucket.
    pub(super) async fn pack_items(
        &self,
        key: &ConversationKey,
        turn: &Turn,
        new: &[NewItem],
    ) -> Result<Vec<Item>, StoreError> {
        let items = new.iter().enumerate().map(|(n, new)| self.pack_item(key, turn, n, new));
        try_join_all(items).await
    }

    async fn pack_item(&self, key: &ConversationKey, turn: &Turn, n: usize, new: &NewItem) -> Result<Item, StoreError> {
        let mut item = keys::conversation_item(key, &new.id).with([("place", text(turn.place(n)))]);
        self.bodies.pack_permanently(&folder(key, &turn.id), &mut item, &new.body).await?;
        Ok(item)
    }
}

/// The folder of a turn's bodies in the bucket. No two turns share one, so deleting one turn's bodies spares the others.
fn folder(ConversationKey { project_id, conversation_id }: &ConversationKey, turn_id: &str) -> String {
    format!("{project_id}/{conversation_id}/{turn_id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_sort_by_time_then_by_turn_then_by_number() {
        let place = |at, id: &str, n| Turn { at: Timestamp(at), id: id.to_owned() }.place(n);
        let places = [place(9, "b", 0), place(10, "a", 9), place(10, "a", 10), place(10, "b", 0)];
        assert!(places.is_sorted(), "{places:?}");
    }
}
