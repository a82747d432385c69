//! Additions to a conversation: each item is added once, with its place.

use std::collections::HashSet;

use bytes::Bytes;
use futures_util::future::try_join_all;

use super::turns::{MAX_ITEMS, TurnPart, part_of};
use super::{Conversation, ConversationKey, ConversationRecords, EXISTS, MAX_TRIES, StoredItem, read_conversation};
use crate::data::change::{Change, Write, WriteOutcome};
use crate::data::error::{Contended, StoreError};
use crate::data::item::{Item, number, text};
use crate::data::keys;
use crate::data::stored::StoredChange;
use crate::data::table::conflict_pause;
use crate::model::clock::Timestamp;

/// Items that are added together: their time, and an id that no other turn has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    pub at: Timestamp,
    pub id: String,
}

/// An item to be added.
#[derive(Debug, Clone)]
pub struct NewItem {
    pub id: String,
    /// As JSON.
    pub body: Bytes,
}

/// An item to be added, and its number in its turn.
pub(super) type Numbered<'a> = (usize, &'a NewItem);

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

impl ConversationRecords {
    /// Adds up to [`MAX_ITEMS`] items to a conversation, all or nothing. `turn_id` is the id of their [`Turn`]. The items of
    /// concurrent callers follow each other.
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
        let numbered: Vec<_> = new.iter().enumerate().collect();
        for tried in 0..=MAX_TRIES {
            let (Some(found), items) = self.load(key, &ids, now).await? else {
                return Ok(AddItemsOutcome::Absent);
            };
            // The SDK repeats a write whose answer was lost: this call itself may have put the items.
            let is_ours = |item: &StoredItem| item.place.turn_id == turn_id;
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
            if self.put_part(&found, &turn, 0, &numbered, now).await?.is_written() {
                return Ok(AddItemsOutcome::Added);
            }
            conflict_pause(tried).await;
        }
        Ok(AddItemsOutcome::Contended)
    }

    /// Adds those items of a turn that the conversation never had, the first with each id; another call with the same turn changes nothing. `Refused`:
    /// the conversation does not exist. No item of the turn stays then.
    pub async fn add_turn(
        &self,
        key: &ConversationKey,
        turn: &Turn,
        new: &[NewItem],
        now: Timestamp,
    ) -> Result<WriteOutcome, StoreError> {
        // DynamoDB takes no two writes of one item in a transaction.
        let mut ids = HashSet::new();
        let numbered: Vec<Numbered<'_>> = new.iter().filter(|item| ids.insert(&item.id)).enumerate().collect();
        let parts: Vec<&[Numbered<'_>]> = match numbered.is_empty() {
            true => vec![&[]],
            false => numbered.chunks(MAX_ITEMS).collect(),
        };
        for (n, items) in parts.into_iter().enumerate() {
            if !self.add_part(key, turn, n * MAX_ITEMS, items, now).await?.is_written() {
                self.delete_bodies(&folder(key, &turn.id), new).await?;
                return Ok(WriteOutcome::Refused);
            }
        }
        Ok(WriteOutcome::Written)
    }

    /// Adds a part of a turn, unless it was added before. `Refused`: the conversation does not exist.
    async fn add_part(
        &self,
        key: &ConversationKey,
        turn: &Turn,
        first: usize,
        items: &[Numbered<'_>],
        now: Timestamp,
    ) -> Result<WriteOutcome, StoreError> {
        let part_key = part_of(key, &turn.place(first));
        for tried in 0..MAX_TRIES {
            let ids = items.iter().map(|(_, item)| keys::conversation_item(key, &item.id));
            let wanted = [keys::conversation(key), part_key.clone()].into_iter().chain(ids).collect();
            let there = self.table.get_all(wanted).await?;
            let with_sk = |sk: &str| there.iter().find(|item| item.get("sk") == Some(&text(sk)));
            let head = with_sk(&keys::conversation(key).sk);
            let Some(found) = head.map(|head| read_conversation(key, head, now)).transpose()?.flatten() else {
                return Ok(WriteOutcome::Refused);
            };
            if with_sk(&part_key.sk).is_some() {
                return Ok(WriteOutcome::Written);
            }
            let is_new = |id: &str| match with_sk(&keys::conversation_item(key, id).sk) {
                Some(item) => StoredItem::read(item, now).map(|item| item.is_none_or(|item| item.has_expired(now))),
                None => Ok(true),
            };
            let mut new = Vec::with_capacity(items.len());
            for item in items {
                new.extend(is_new(&item.1.id)?.then_some(*item));
            }
            if self.put_part(&found, turn, first, &new, now).await?.is_written() {
                return Ok(WriteOutcome::Written);
            }
            conflict_pause(tried).await;
        }
        Err(StoreError::table("add the turn")(Contended("its transactions were cancelled")))
    }

    /// Puts items of a turn, with the part that names them, and counts them, in one transaction. `Refused`: the conversation
    /// was changed or deleted since it was read, it has one of the items by now, or another transaction came first.
    async fn put_part(
        &self,
        to: &Conversation,
        turn: &Turn,
        first: usize,
        items: &[Numbered<'_>],
        now: Timestamp,
    ) -> Result<WriteOutcome, StoreError> {
        let part = TurnPart::new(to, turn, first, items);
        let mut writes = vec![keep_order(to, turn.at, now)];
        let packed = self.pack_items(to, turn, items).await?;
        // Without the condition, an id could be in two turns.
        let absent = "attribute_not_exists(pk) OR attribute_exists(deleted) OR expires_at <= :now";
        let put = |item| Write::PutIf(item, absent, vec![(":now", number(now.seconds()))]);
        writes.extend(packed.into_iter().map(put));
        self.transact_part(writes, to, &part).await
    }

    /// Makes some writes in one transaction with a part of a turn, and adds the part's bytes and objects to the counter.
    pub(super) async fn transact_part(
        &self,
        mut writes: Vec<Write>,
        to: &Conversation,
        part: &TurnPart,
    ) -> Result<WriteOutcome, StoreError> {
        writes.push(Write::Create(part.pack(&to.key)));
        writes.push(StoredChange::added(to.expiry(part.first.at), part.stored).write(&to.key.project_id));
        self.table.transact(writes).await
    }

    /// Deletes those bodies of new items that [`Self::pack_item`] puts into the bucket: from all shelves, because the
    /// conversation that names the shelf may be gone.
    async fn delete_bodies(&self, folder: &str, new: &[NewItem]) -> Result<(), StoreError> {
        try_join_all(new.iter().map(|new| self.bodies.delete_body(folder, &new.body))).await.map(drop)
    }

    /// Makes items of a turn for the table. Puts large bodies into the bucket.
    pub(super) async fn pack_items(
        &self,
        to: &Conversation,
        turn: &Turn,
        new: &[Numbered<'_>],
    ) -> Result<Vec<Item>, StoreError> {
        try_join_all(new.iter().map(|(n, new)| self.pack_item(to, turn, *n, new))).await
    }

    async fn pack_item(&self, to: &Conversation, turn: &Turn, n: usize, new: &NewItem) -> Result<Item, StoreError> {
        let mut item = keys::conversation_item(&to.key, &new.id).with([
            ("place", text(turn.place(n).to_string())),
            ("json_bytes", number(new.bytes())),
            ("expires_at", number(to.expires_at(turn.at))),
        ]);
        self.bodies.pack(to.shelf(), &folder(&to.key, &turn.id), &mut item, &new.body).await?;
        Ok(item)
    }
}

impl NewItem {
    pub(super) fn bytes(&self) -> u64 {
        self.body.len() as u64
    }
}

/// The write that moves the time of a conversation's last addition, and with it the end of its retention. A turn that is added
/// late does not move it back: later turns could stand before others.
fn keep_order(found: &Conversation, at: Timestamp, now: Timestamp) -> Write {
    let (key, now) = (keys::conversation(&found.key), number(now.seconds()));
    if at <= found.last_at {
        return Write::Check(key, EXISTS, vec![(":now", now)]);
    }
    // Without the condition, two turns could take the same place, or add the same id twice.
    let change = Change::new("SET last_at = :at, expires_at = kept_seconds + :at_s")
        .only_if(format!("{EXISTS} AND last_at = :seen"))
        .values([(":at", number(at.0)), (":at_s", number(at.seconds()))])
        .values([(":now", now), (":seen", number(found.last_at.0))]);
    Write::Change(key, change)
}

/// The folder of a turn's bodies in the bucket. No two turns share one, so deleting one turn's bodies spares the others.
fn folder(ConversationKey { project_id, conversation_id }: &ConversationKey, turn_id: &str) -> String {
    format!("{project_id}/{conversation_id}/{turn_id}")
}
