//! Conversations: items that responses are made from and added to, in order.
//!
//! An item is found by its id, so that no id is there twice, and carries its place. Whatever is added stands after all that
//! was there when it was begun, whichever clocks were asked: the conversation remembers the last place that was taken.
//!
//! A conversation that is to be deleted is marked first: nobody reads it or adds to it from then on. The mark goes last,
//! so that whoever deletes it again goes on where a process died. Who was adding items when the mark came takes them back.

mod items;

use futures_util::future::try_join_all;

pub use items::{Added, KeptItem, NewItem, Turn};

use super::Stores;
use super::error::StoreError;
use super::item::{Item, Reader, number, text};
use super::keys;
use super::table::{Change, Outcome, Returning, Write};
use crate::model::clock::Timestamp;

/// A conversation without its items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    pub project_id: String,
    pub id: String,
    /// Unix seconds.
    pub created_at: u64,
    /// As JSON.
    pub metadata: String,
    /// Nothing in it was added later.
    pub last_at: Timestamp,
}

impl Stores {
    /// Creates a conversation with its first items, all or nothing.
    ///
    /// # Errors
    /// If a store fails.
    pub async fn create_conversation(&self, new: &Conversation, items: &[NewItem]) -> Result<(), StoreError> {
        let mut head = keys::conversation(&new.project_id, &new.id).into_item();
        head.insert("created_at".to_owned(), number(new.created_at));
        head.insert("metadata".to_owned(), text(&new.metadata));
        head.insert("last_at".to_owned(), number(new.last_at.0));
        let turn = Turn { at: new.last_at, id: new.id.clone() };
        let items = self.packed_items(&new.project_id, &new.id, &turn, items).await?;
        let writes = std::iter::once(head).chain(items).map(Write::Put).collect();
        if self.table.transact(writes).await? {
            return Ok(());
        }
        Err(StoreError::table("create the conversation")("its transaction was cancelled"))
    }

    /// A conversation.
    ///
    /// # Errors
    /// If the table fails or the item is damaged.
    pub async fn conversation(&self, project_id: &str, id: &str) -> Result<Option<Conversation>, StoreError> {
        let item = self.table.get(keys::conversation(project_id, id)).await?;
        item.map_or(Ok(None), |item| conversation(project_id, id, &item))
    }

    /// Changes the metadata of a conversation; `None` if it does not exist.
    ///
    /// # Errors
    /// If the table fails or the item is damaged.
    pub async fn set_conversation_metadata(
        &self,
        project_id: &str,
        id: &str,
        metadata: &str,
    ) -> Result<Option<Conversation>, StoreError> {
        let change = Change {
            update: "SET metadata = :metadata".to_owned(),
            condition: IS_THERE.to_owned(),
            values: vec![(":metadata", text(metadata))],
            returning: Returning::All,
            ..Change::default()
        };
        match self.table.update(keys::conversation(project_id, id), change).await? {
            Outcome::Done(item) => conversation(project_id, id, &item),
            Outcome::Refused(_) => Ok(None),
        }
    }

    /// Deletes a conversation and its items; it is gone for its readers at once. `false` if it does not exist.
    ///
    /// # Errors
    /// If a store fails; doing it again goes on.
    pub async fn delete_conversation(&self, project_id: &str, id: &str) -> Result<bool, StoreError> {
        let key = keys::conversation(project_id, id);
        let mark = Change {
            update: "SET deleted = :one".to_owned(),
            condition: "attribute_exists(pk)".to_owned(),
            values: vec![(":one", number(1))],
            ..Change::default()
        };
        if matches!(self.table.update(key.clone(), mark).await?, Outcome::Refused(_)) {
            return Ok(false);
        }
        let items = self.table.query_prefix(&key.pk, keys::ITEM_PREFIX).await?;
        for some in items.chunks(MOST_AT_ONCE) {
            let gone = some.iter().map(async |item| {
                self.drop_kept(item).await?;
                self.table.delete(keys::Key { pk: key.pk.clone(), sk: Reader(item).text("sk")? }).await
            });
            try_join_all(gone).await?;
        }
        self.table.delete(key).await?;
        Ok(true)
    }
}

/// The condition of every change of a conversation: it exists, and is not about to be deleted.
const IS_THERE: &str = "attribute_exists(pk) AND attribute_not_exists(deleted)";

/// Writes of one request that run at once.
const MOST_AT_ONCE: usize = 50;

/// Reads a conversation; `None` for one that is about to be deleted.
fn conversation(project_id: &str, id: &str, item: &Item) -> Result<Option<Conversation>, StoreError> {
    let reader = Reader(item);
    if reader.maybe_number::<u8>("deleted")?.is_some() {
        return Ok(None);
    }
    Ok(Some(Conversation {
        project_id: project_id.to_owned(),
        id: id.to_owned(),
        created_at: reader.number("created_at")?,
        metadata: reader.text("metadata")?,
        last_at: Timestamp(reader.number("last_at")?),
    }))
}
