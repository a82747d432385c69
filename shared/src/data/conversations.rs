//! Conversations: items that responses are made from and added to, in order.

use bytes::Bytes;
use futures_util::future::try_join_all;

use super::Stores;
use super::error::StoreError;
use super::item::{Item, Reader, number, text};
use super::keys::{self, Key};
use super::table::{Change, Outcome};
use crate::model::clock::Instant;

/// A conversation without its items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    pub project_id: String,
    pub id: String,
    /// Unix seconds.
    pub created_at: u64,
    /// As JSON.
    pub metadata: String,
}

/// An item of a conversation, and its place among the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedItem {
    pub place: u64,
    /// As JSON.
    pub item: Bytes,
}

/// Items that one turn may add.
pub const MAX_TURN: u64 = 1_000;

impl PlacedItem {
    /// The places of items that were added at one time: after all that were added before.
    pub fn sequence(at: Instant, items: impl IntoIterator<Item = Bytes>) -> Vec<Self> {
        (0..MAX_TURN).zip(items).map(|(n, item)| Self { place: at.0 * MAX_TURN + n, item }).collect()
    }
}

impl Stores {
    /// Creates a conversation.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn create_conversation(&self, new: &Conversation) -> Result<(), StoreError> {
        let mut item = keys::conversation(&new.project_id, &new.id).into_item();
        item.insert("created_at".to_owned(), number(new.created_at));
        item.insert("metadata".to_owned(), text(&new.metadata));
        self.table.put(item).await
    }

    /// A conversation.
    ///
    /// # Errors
    /// If the table fails or the item is damaged.
    pub async fn conversation(&self, project_id: &str, id: &str) -> Result<Option<Conversation>, StoreError> {
        let item = self.table.get(keys::conversation(project_id, id)).await?;
        item.map(|item| conversation(project_id, id, &item)).transpose()
    }

    /// Changes the metadata of a conversation. `false` if it does not exist.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn set_conversation_metadata(
        &self,
        project_id: &str,
        id: &str,
        metadata: &str,
    ) -> Result<bool, StoreError> {
        let change = Change {
            update: "SET metadata = :metadata".to_owned(),
            condition: "attribute_exists(pk)".to_owned(),
            values: vec![(":metadata", text(metadata))],
            ..Change::default()
        };
        Ok(matches!(self.table.update(keys::conversation(project_id, id), change).await?, Outcome::Done(_)))
    }

    /// A conversation with its items in order; `None` if it does not exist. One query.
    ///
    /// # Errors
    /// If a store fails or an item is damaged.
    pub async fn conversation_items(
        &self,
        project_id: &str,
        id: &str,
    ) -> Result<Option<(Conversation, Vec<PlacedItem>)>, StoreError> {
        let pk = keys::conversation(project_id, id).pk;
        let mut found = None;
        let mut placed = Vec::new();
        for item in self.table.query_prefix(&pk, "").await? {
            let sk = Reader(&item).text("sk")?;
            match sk.strip_prefix(keys::ITEM_PREFIX) {
                None => found = Some(conversation(project_id, id, &item)?),
                Some(place) => {
                    let place = place.parse().map_err(|_| Reader(&item).damaged("sk"))?;
                    placed.push(PlacedItem { place, item: self.unpack(&item).await? });
                }
            }
        }
        Ok(found.map(|conversation| (conversation, placed)))
    }

    /// Puts items in their places; doing it again changes nothing.
    ///
    /// # Errors
    /// If a store fails; some may have been put.
    pub async fn put_conversation_items(
        &self,
        project_id: &str,
        id: &str,
        items: &[PlacedItem],
    ) -> Result<(), StoreError> {
        let puts = items.iter().map(async |placed| {
            let mut item = keys::conversation_item(project_id, id, placed.place).into_item();
            self.pack_for_good(project_id, &mut item, &placed.item).await?;
            self.table.put(item).await
        });
        try_join_all(puts).await.map(drop)
    }

    /// Deletes one item.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn delete_conversation_item(&self, project_id: &str, id: &str, place: u64) -> Result<(), StoreError> {
        self.table.delete(keys::conversation_item(project_id, id, place)).await
    }

    /// Deletes a conversation and its items; the conversation first, so that it is gone at once.
    ///
    /// # Errors
    /// If the table fails; doing it again goes on.
    pub async fn delete_conversation(&self, project_id: &str, id: &str) -> Result<(), StoreError> {
        let key = keys::conversation(project_id, id);
        self.table.delete(key.clone()).await?;
        let mut gone = Vec::new();
        for item in self.table.query_prefix(&key.pk, keys::ITEM_PREFIX).await? {
            gone.push(self.table.delete(Key { pk: key.pk.clone(), sk: Reader(&item).text("sk")? }));
        }
        try_join_all(gone).await.map(drop)
    }
}

fn conversation(project_id: &str, id: &str, item: &Item) -> Result<Conversation, StoreError> {
    let reader = Reader(item);
    Ok(Conversation {
        project_id: project_id.to_owned(),
        id: id.to_owned(),
        created_at: reader.number("created_at")?,
        metadata: reader.text("metadata")?,
    })
}
