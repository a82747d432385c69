//! The items of a conversation: added once, each with its place; taken away.

use bytes::Bytes;
use futures_util::future::try_join_all;

use super::{Conversation, MOST_AT_ONCE, conversation};
use crate::data::Stores;
use crate::data::error::StoreError;
use crate::data::item::{Item, Reader, number, text};
use crate::data::keys;
use crate::data::table::{Change, Outcome, Returning, Write};
use crate::model::clock::Instant;

/// Items that are added together: when, and a name that no others have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    pub at: Instant,
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
                None => found = Some(conversation(project_id, id, &item)?),
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
        now: Instant,
        name: &str,
        new: &[NewItem],
    ) -> Result<Added, StoreError> {
        let ids: Vec<&str> = new.iter().map(|item| item.id.as_str()).collect();
        for tried in 0..MAX_TRIES {
            let (Some(found), items) = self.look_up(project_id, id, &ids).await? else { return Ok(Added::Absent) };
            // The SDK repeats a write whose answer was lost: what is there may be what this call has put.
            let ours = |item: &&KeptItem| item.place.split('#').nth(1) == Some(name);
            if let Some(taken) = items.iter().find(|item| !item.deleted && !ours(item)) {
                return Ok(Added::Taken(taken.id.clone()));
            }
            if items.iter().any(|item| ours(&item)) {
                return Ok(Added::Done);
            }
            let turn = Turn { at: now.max(found.last_at.plus_ms(1)), id: name.to_owned() };
            let packed = self.packed_items(project_id, id, &turn, new).await?;
            let change = Change {
                update: "SET last_at = :at".to_owned(),
                condition: "last_at = :seen".to_owned(),
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
    /// not exist.
    ///
    /// # Errors
    /// If a store fails; some items may have been added.
    pub async fn add_turn(&self, project_id: &str, id: &str, turn: &Turn, new: &[NewItem]) -> Result<bool, StoreError> {
        let change = Change {
            update: "SET last_at = :at".to_owned(),
            condition: "attribute_exists(pk) AND last_at < :at".to_owned(),
            values: vec![(":at", number(turn.at.0))],
            returning: Returning::Changed,
            ..Change::default()
        };
        // Refused with an item: something was added after this turn had begun, or the turn is added again.
        let head = self.table.update(keys::conversation(project_id, id), change).await?;
        if matches!(head, Outcome::Refused(None)) {
            return Ok(false);
        }
        let packed = self.packed_items(project_id, id, turn, new).await?;
        for some in packed.chunks(MOST_AT_ONCE) {
            let puts = some.iter().map(|item| self.table.put_if(item.clone(), "attribute_not_exists(pk)", Vec::new()));
            try_join_all(puts).await?;
        }
        Ok(true)
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
        now: Instant,
    ) -> Result<(), StoreError> {
        let change = Change {
            update: "SET deleted = :one, expires_at = :expires REMOVE body, blob_key".to_owned(),
            condition: "attribute_exists(pk) AND place = :place".to_owned(),
            values: vec![
                (":one", number(1)),
                (":expires", number(now.seconds() + TOMBSTONE_SECONDS)),
                (":place", text(&kept.place)),
            ],
            ..Change::default()
        };
        self.table.update(keys::conversation_item(project_id, id, &kept.id), change).await?;
        self.drop_kept(&kept.item).await
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
                None => found = Some(conversation(project_id, id, &item)?),
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
        let packed = new.iter().enumerate().map(async |(n, new)| {
            let mut item = keys::conversation_item(project_id, id, &new.id).into_item();
            item.insert("place".to_owned(), text(turn.place(n)));
            self.pack_for_good(&format!("{project_id}/{id}"), &mut item, &new.body).await?;
            Ok(item)
        });
        try_join_all(packed).await
    }
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
        let place = |at, id: &str, n| Turn { at: Instant(at), id: id.to_owned() }.place(n);
        let places = [place(9, "b", 0), place(10, "a", 9), place(10, "a", 10), place(10, "b", 0)];
        assert!(places.is_sorted(), "{places:?}");
    }
}
