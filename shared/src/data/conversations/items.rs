//! The items of a conversation: added once, each with its place; taken away.

use bytes::Bytes;
use futures_util::future::try_join_all;

use super::{Conversation, IS_THERE, MOST_AT_ONCE, conversation};
use crate::data::Stores;
use crate::data::bucket::INLINE_BYTES;
use crate::data::error::StoreError;
use crate::data::item::{Item, Reader, number, text};
use crate::data::keys;
use crate::data::packed::deflate;
use crate::data::table::{Change, Outcome, Returning, Write};
use crate::model::clock::Timestamp;

/// Items that are added together: when, and a name that no others have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    pub at: Timestamp,
    pub id: String,
}

impl Turn {
    /// The place of an item of this turn. Places sort by time, then by turn, then by number.
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

/// An item of a conversation; [`Stores::kept_body`] reads what it says.
#[derive(Debug, Clone)]
pub struct KeptItem {
    pub id: String,
    /// It was taken away, and is remembered for a while for those who list the items after it.
    pub deleted: bool,
    place: String,
    item: Item,
}

/// What became of an addition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    Done,
    /// There is no such conversation.
    Absent,
    /// An item with this id is there already. Nothing was added.
    Taken(String),
    /// Too many others added to it at the same time. Nothing was added.
    Contended,
}

/// A deleted item is remembered this long: lists go on after it, and a turn that is added again does not bring it back.
const TOMBSTONE_SECONDS: u64 = 2 * 86_400;

const MAX_TRIES: usize = 12;

impl Stores {
    /// A conversation with its items in order; `None` if it does not exist. One query.
    ///
    /// # Errors
    /// If the table fails or an item is damaged.
    pub async fn conversation_items(
        &self,
        project_id: &str,
        id: &str,
    ) -> Result<Option<(Conversation, Vec<KeptItem>)>, StoreError> {
        let key = keys::conversation(project_id, id);
        let (mut found, mut items) = (None, Vec::new());
        for item in self.table.partition(&key.pk).await? {
            match kept(&item)? {
                None => found = conversation(project_id, id, &item)?,
                Some(place) => items.push(place),
            }
        }
        items.sort_by(|one, other| one.place.cmp(&other.place));
        Ok(found.map(|conversation| (conversation, items)))
    }

    /// What an item says, as JSON.
    ///
    /// # Errors
    /// If a store fails or the item is damaged.
    pub async fn kept_body(&self, kept: &KeptItem) -> Result<Bytes, StoreError> {
        self.unpack(&kept.item).await
    }

    /// One item of a conversation, unless it was deleted; the conversation with it. `None` if there is no conversation.
    ///
    /// # Errors
    /// If the table fails or an item is damaged.
    pub async fn conversation_item(
        &self,
        project_id: &str,
        id: &str,
        item_id: &str,
    ) -> Result<Option<(Conversation, Option<KeptItem>)>, StoreError> {
        let (found, items) = self.look_up(project_id, id, &[item_id]).await?;
        Ok(found.map(|conversation| (conversation, items.into_iter().find(|item| !item.deleted))))
    }

    /// Adds items to a conversation, all or nothing. Those who ask for it at the same time follow each other.
    ///
    /// # Errors
    /// If a store fails.
    pub async fn add_items(
        &self,
        project_id: &str,
        id: &str,
        now: Timestamp,
        name: &str,
        new: &[NewItem],
    ) -> Result<Added, StoreError> {
        let added = self.try_to_add(project_id, id, now, name, new).await?;
        if added != Added::Done {
            self.drop_bodies(&folder(project_id, id, name), new).await?;
        }
        Ok(added)
    }

    async fn try_to_add(
        &self,
        project_id: &str,
        id: &str,
        now: Timestamp,
        name: &str,
        new: &[NewItem],
    ) -> Result<Added, StoreError> {
        let ids: Vec<&str> = new.iter().map(|item| item.id.as_str()).collect();
        for tried in 0..=MAX_TRIES {
            let (Some(found), items) = self.look_up(project_id, id, &ids).await? else { return Ok(Added::Absent) };
            // The SDK repeats a write whose answer was lost: what is there may be what this call has put.
            let ours = |item: &&KeptItem| item.place.split('#').nth(1) == Some(name);
            if let Some(taken) = items.iter().find(|item| !item.deleted && !ours(item)) {
                return Ok(Added::Taken(taken.id.clone()));
            }
            if items.iter().any(|item| ours(&item)) {
                return Ok(Added::Done);
            }
            if tried == MAX_TRIES {
                break;
            }
            let turn = Turn { at: now.max(found.last_at.plus_ms(1)), id: name.to_owned() };
            let packed = self.packed_items(project_id, id, &turn, new).await?;
            let change = Change {
                update: "SET last_at = :at".to_owned(),
                condition: format!("{IS_THERE} AND last_at = :seen"),
                values: vec![(":at", number(turn.at.0)), (":seen", number(found.last_at.0))],
                ..Change::default()
            };
            let head = Write::Change(keys::conversation(project_id, id), change);
            let writes = std::iter::once(head).chain(packed.into_iter().map(Write::Put)).collect();
            if self.table.transact(writes).await? {
                return Ok(Added::Done);
            }
            crate::data::table::conflict_pause(u32::try_from(tried).unwrap_or(u32::MAX)).await;
        }
        Ok(Added::Contended)
    }

    /// Adds the items of a turn that are not there yet; doing it again changes nothing. `false` if the conversation does
    /// not exist: then nothing of the turn stays.
    ///
    /// # Errors
    /// If a store fails; some items may have been added.
    pub async fn add_turn(&self, project_id: &str, id: &str, turn: &Turn, new: &[NewItem]) -> Result<bool, StoreError> {
        let change = Change {
            update: "SET last_at = :at".to_owned(),
            condition: format!("{IS_THERE} AND last_at < :at"),
            values: vec![(":at", number(turn.at.0))],
            returning: Returning::Changed,
            ..Change::default()
        };
        let is_there = match self.table.update(keys::conversation(project_id, id), change).await? {
            Outcome::Done(_) => true,
            // Something was added after this turn had begun, or the turn is added again.
            Outcome::Refused(Some(head)) => conversation(project_id, id, &head)?.is_some(),
            Outcome::Refused(None) => false,
        };
        if is_there {
            self.put_turn(project_id, id, turn, new).await?;
            // Who deletes it looks for items when it is marked: what was put after that is taken back here.
            if self.conversation(project_id, id).await?.is_some() {
                return Ok(true);
            }
        }
        self.take_back(project_id, id, turn, new).await?;
        Ok(false)
    }

    async fn put_turn(&self, project_id: &str, id: &str, turn: &Turn, new: &[NewItem]) -> Result<(), StoreError> {
        let numbered: Vec<_> = new.iter().enumerate().collect();
        for some in numbered.chunks(MOST_AT_ONCE) {
            let puts = some.iter().map(async |(n, new)| {
                // The body of what is there already, or was, would lie in the bucket for nobody.
                let key = keys::conversation_item(project_id, id, &new.id);
                if new.body.len() > INLINE_BYTES && self.table.get(key).await?.is_some() {
                    return Ok(false);
                }
                let item = self.packed_item(project_id, id, turn, *n, new).await?;
                self.table.put_if(item, "attribute_not_exists(pk)", Vec::new()).await
            });
            try_join_all(puts).await?;
        }
        Ok(())
    }

    /// Takes away what was put of a turn, or may have been.
    async fn take_back(&self, project_id: &str, id: &str, turn: &Turn, new: &[NewItem]) -> Result<(), StoreError> {
        self.drop_bodies(&folder(project_id, id, &turn.id), new).await?;
        let places: Vec<_> = new.iter().enumerate().map(|(n, new)| (&*new.id, turn.place(n))).collect();
        for some in places.chunks(MOST_AT_ONCE) {
            let gone = some.iter().map(|(item_id, place)| self.take_away(project_id, id, item_id, place, turn.at));
            try_join_all(gone).await?;
        }
        Ok(())
    }

    /// Takes an item away.
    ///
    /// # Errors
    /// If a store fails.
    pub async fn delete_conversation_item(
        &self,
        project_id: &str,
        id: &str,
        kept: &KeptItem,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if self.take_away(project_id, id, &kept.id, &kept.place, now).await? {
            self.drop_kept(&kept.item).await?;
        }
        Ok(())
    }

    /// Leaves of an item that it was there. `false` if it is not in this place any more.
    async fn take_away(
        &self,
        project_id: &str,
        id: &str,
        item_id: &str,
        place: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let change = Change {
            update: "SET deleted = :one, expires_at = :expires REMOVE body, blob_key".to_owned(),
            condition: "attribute_exists(pk) AND place = :place".to_owned(),
            values: vec![
                (":one", number(1)),
                (":expires", number(now.seconds() + TOMBSTONE_SECONDS)),
                (":place", text(place)),
            ],
            ..Change::default()
        };
        let outcome = self.table.update(keys::conversation_item(project_id, id, item_id), change).await?;
        Ok(matches!(outcome, Outcome::Done(_)))
    }

    /// Deletes those bodies of new items that [`Stores::packed_item`] puts into the bucket.
    async fn drop_bodies(&self, folder: &str, new: &[NewItem]) -> Result<(), StoreError> {
        let packed = new.iter().map(|new| deflate(&new.body));
        let large = packed.filter(|packed| packed.len() > INLINE_BYTES);
        try_join_all(large.map(async |packed| self.bucket.drop_body(folder, &packed).await)).await?;
        Ok(())
    }

    /// A conversation, and those of the items that are there.
    async fn look_up(
        &self,
        project_id: &str,
        id: &str,
        item_ids: &[&str],
    ) -> Result<(Option<Conversation>, Vec<KeptItem>), StoreError> {
        let items = item_ids.iter().map(|item_id| keys::conversation_item(project_id, id, item_id));
        let (mut found, mut items_found) = (None, Vec::new());
        for item in
            self.table.get_all(std::iter::once(keys::conversation(project_id, id)).chain(items).collect()).await?
        {
            match kept(&item)? {
                None => found = conversation(project_id, id, &item)?,
                Some(kept) => items_found.push(kept),
            }
        }
        Ok((found, items_found))
    }

    /// New items as the table takes them; large ones are in the bucket then.
    pub(super) async fn packed_items(
        &self,
        project_id: &str,
        id: &str,
        turn: &Turn,
        new: &[NewItem],
    ) -> Result<Vec<Item>, StoreError> {
        let packed = new.iter().enumerate().map(|(n, new)| self.packed_item(project_id, id, turn, n, new));
        try_join_all(packed).await
    }

    async fn packed_item(
        &self,
        project_id: &str,
        id: &str,
        turn: &Turn,
        n: usize,
        new: &NewItem,
    ) -> Result<Item, StoreError> {
        let mut item = keys::conversation_item(project_id, id, &new.id).into_item();
        item.insert("place".to_owned(), text(turn.place(n)));
        self.pack_for_good(&folder(project_id, id, &turn.id), &mut item, &new.body).await?;
        Ok(item)
    }
}

/// Where bodies of a turn lie in the bucket. No two turns share one: what is deleted of one is not another's.
fn folder(project_id: &str, id: &str, turn_id: &str) -> String {
    format!("{project_id}/{id}/{turn_id}")
}

/// An item of a conversation's partition; `None` for the conversation itself.
fn kept(item: &Item) -> Result<Option<KeptItem>, StoreError> {
    let reader = Reader(item);
    let sk = reader.text("sk")?;
    let Some(id) = sk.strip_prefix(keys::ITEM_PREFIX) else { return Ok(None) };
    Ok(Some(KeptItem {
        id: id.to_owned(),
        deleted: reader.maybe_number::<u8>("deleted")?.is_some(),
        place: reader.text("place")?,
        item: item.clone(),
    }))
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
