//! Additions to a conversation: each item is added once, with its place.

use bytes::Bytes;
use futures_util::future::try_join_all;

use super::{
    Conversation, ConversationKey, ConversationRecords, EXISTS, MAX_CONCURRENT, StoredItem, read_conversation,
};
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
            let (Some(found), items) = self.load(key, &ids, now).await? else {
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
            let packed = self.pack_items(&found, &turn, new).await?;
            // Without the condition, two turns could take the same place, or add the same id twice.
            let change = set_last_at(turn.at)
                .only_if(format!("{EXISTS} AND last_at = :seen"))
                .values([(":now", number(now.seconds())), (":seen", number(found.last_at.0))]);
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
        now: Timestamp,
    ) -> Result<WriteOutcome, StoreError> {
        if let Some(found) = self.begin_turn(key, turn, now).await? {
            self.put_turn(&found, turn, new, now).await?;
            // A deletion looks for items after it has marked the conversation. It misses those that were put later.
            if self.get(key, now).await?.is_some() {
                return Ok(WriteOutcome::Written);
            }
        }
        self.remove_turn(key, turn, new).await?;
        Ok(WriteOutcome::Refused)
    }

    /// Moves the time of a conversation's last addition. Returns the conversation, unless it is gone.
    async fn begin_turn(
        &self,
        key: &ConversationKey,
        turn: &Turn,
        now: Timestamp,
    ) -> Result<Option<Conversation>, StoreError> {
        // Without the condition, a late turn would move `last_at` back, and later turns could stand before others.
        let change = set_last_at(turn.at)
            .only_if(format!("{EXISTS} AND last_at < :at"))
            .values([(":now", number(now.seconds()))])
            .returning(Returning::All);
        match self.table.update(keys::conversation(key), change).await? {
            // A refusal: another turn was added after this one began, or this turn is added again.
            UpdateOutcome::Written(head) | UpdateOutcome::Refused(Some(head)) => read_conversation(key, &head, now),
            UpdateOutcome::Refused(None) => Ok(None),
        }
    }

    async fn put_turn(
        &self,
        to: &Conversation,
        turn: &Turn,
        new: &[NewItem],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let numbered: Vec<_> = new.iter().enumerate().collect();
        for some in numbered.chunks(MAX_CONCURRENT) {
            let puts = some.iter().map(async |(n, new)| {
                // If the item exists or has a tombstone, no item would refer to its body in the bucket.
                let item_key = keys::conversation_item(&to.key, &new.id);
                if new.body.len() > INLINE_BYTES && self.table.get(item_key).await?.is_some() {
                    return Ok(());
                }
                let item = self.pack_item(to, turn, *n, new).await?;
                // A refusal means that the turn was added before: the item, or its tombstone, stays as it is.
                let values = [(":now", number(now.seconds()))];
                self.table.put_if(item, "attribute_not_exists(pk) OR expires_at <= :now", values).await.map(drop)
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

    /// Deletes those bodies of new items that [`Self::pack_item`] puts into the bucket: from all shelves, because the
    /// conversation that names the shelf may be gone.
    async fn delete_bodies(&self, folder: &str, new: &[NewItem]) -> Result<(), StoreError> {
        try_join_all(new.iter().map(|new| self.bodies.delete_body(folder, &new.body))).await.map(drop)
    }

    /// Makes the items of a turn for the table. Puts large bodies into the bucket.
    pub(super) async fn pack_items(
        &self,
        to: &Conversation,
        turn: &Turn,
        new: &[NewItem],
    ) -> Result<Vec<Item>, StoreError> {
        let items = new.iter().enumerate().map(|(n, new)| self.pack_item(to, turn, n, new));
        try_join_all(items).await
    }

    async fn pack_item(&self, to: &Conversation, turn: &Turn, n: usize, new: &NewItem) -> Result<Item, StoreError> {
        let expires_at = number(to.expires_at(turn.at));
        let mut item = keys::conversation_item(&to.key, &new.id)
            .with([("place", text(turn.place(n))), ("expires_at", expires_at)]);
        self.bodies.pack(to.shelf(), &folder(&to.key, &turn.id), &mut item, &new.body).await?;
        Ok(item)
    }
}

/// The update that moves the time of a conversation's last addition, and with it the end of its retention.
fn set_last_at(at: Timestamp) -> Change {
    let values = [(":at", number(at.0)), (":at_s", number(at.seconds()))];
    Change::new("SET last_at = :at, expires_at = kept_seconds + :at_s").values(values)
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
