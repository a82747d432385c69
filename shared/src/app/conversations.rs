//! Conversations: their items are the history of the responses that are made in them.

use futures_util::future::try_join_all;

use super::error::Error;
use crate::data::{AddItemsOutcome, Conversation, ConversationRecords, NewItem, StoredItem, Stores, Turn};
use crate::dialects::openai_responses::{self as responses, Item, ListQuery, NewConversation, is_id, list};
use crate::model::clock::{Clock, Timestamp};
use crate::model::id;
use crate::model::invalid::Invalid;
use crate::model::object::Object;
use crate::model::project::Caller;

/// Operations on the conversations of a project.
pub struct Conversations {
    records: ConversationRecords,
    clock: Clock,
}

impl Conversations {
    pub(super) fn new(stores: &Stores, clock: Clock) -> Self {
        Self { records: stores.conversations(), clock }
    }

    /// Creates a conversation with its first items, and returns it.
    pub async fn create(&self, caller: &Caller, new: NewConversation) -> Result<Object, Error> {
        let now = self.clock.now();
        let conversation = Conversation {
            project_id: caller.project.id.clone(),
            id: id::new("conv_"),
            created_at: now.seconds(),
            metadata: to_json(&new.metadata),
            last_at: now,
        };
        self.records.create(&conversation, &to_new_items(&new.items)).await?;
        to_object(&conversation)
    }

    /// Returns a conversation without its items.
    ///
    /// # Errors
    /// `NotFound` if the caller's project has no conversation with that id.
    pub async fn get(&self, caller: &Caller, id: &str) -> Result<Object, Error> {
        check_id(id)?;
        let found = self.records.get(&caller.project.id, id).await?;
        to_object(&found.ok_or_else(|| not_found(id))?)
    }

    /// Replaces the metadata of a conversation, and returns the conversation.
    ///
    /// # Errors
    /// The same as [`Conversations::get`].
    pub async fn update(&self, caller: &Caller, id: &str, metadata: &Object) -> Result<Object, Error> {
        check_id(id)?;
        let changed = self.records.set_metadata(&caller.project.id, id, &to_json(metadata)).await?;
        to_object(&changed.ok_or_else(|| not_found(id))?)
    }

    /// Deletes a conversation with its items. Responses that were made in it stay.
    ///
    /// # Errors
    /// The same as [`Conversations::get`]. A caller completes a failed deletion by repeating it.
    pub async fn delete(&self, caller: &Caller, id: &str) -> Result<Object, Error> {
        check_id(id)?;
        if !self.records.delete(&caller.project.id, id).await?.is_written() {
            return Err(not_found(id));
        }
        Ok(responses::deleted_conversation(id))
    }

    /// Adds items to the end of a conversation, all or none, and returns the list of the added items.
    ///
    /// # Errors
    /// - `NotFound` if the caller's project has no conversation with that id.
    /// - `Invalid` if the conversation already has an item with one of the ids.
    /// - `Contended` if too many requests add items at the same time.
    pub async fn add_items(&self, caller: &Caller, id: &str, items: Vec<Item>) -> Result<Object, Error> {
        check_id(id)?;
        let (project_id, now) = (&caller.project.id, self.clock.now());
        match self.records.add_items(project_id, id, now, &id::random(16), &to_new_items(&items)).await? {
            AddItemsOutcome::Added => Ok(list(&items, false)),
            AddItemsOutcome::Absent => Err(not_found(id)),
            AddItemsOutcome::Contended => Err(Error::Contended("the conversation")),
            AddItemsOutcome::Duplicate(item_id) => {
                let message =
                    format!("Item with id '{item_id}' is in the conversation already. Remove it and try again.");
                Err(Invalid { message, param: Some("items".to_owned()), code: Some("duplicate_item") }.into())
            }
        }
    }

    /// Returns a page of the items of a conversation.
    ///
    /// # Errors
    /// - `NotFound` if the caller's project has no conversation with that id.
    /// - `Invalid` if the page begins after an item that the conversation never had.
    pub async fn list_items(&self, caller: &Caller, id: &str, query: &ListQuery) -> Result<Object, Error> {
        check_id(id)?;
        let found = self.records.items(&caller.project.id, id).await?;
        let (_, items) = found.ok_or_else(|| not_found(id))?;
        let (page, has_more) = query.page(items, |item| item.id.clone(), |item| !item.deleted)?;
        Ok(list(&self.read_items(&page).await?, has_more))
    }

    /// Returns one item of a conversation.
    ///
    /// # Errors
    /// `NotFound` if there is no such conversation or no such item in it.
    pub async fn item(&self, caller: &Caller, id: &str, item_id: &str) -> Result<Object, Error> {
        let (_, item) = self.find_item(caller, id, item_id).await?;
        Ok(self.read_item(&item).await?.0)
    }

    /// Deletes an item of a conversation, and returns the conversation.
    ///
    /// # Errors
    /// The same as [`Conversations::item`].
    pub async fn delete_item(&self, caller: &Caller, id: &str, item_id: &str) -> Result<Object, Error> {
        let (conversation, item) = self.find_item(caller, id, item_id).await?;
        self.records.delete_item(&caller.project.id, id, &item, self.clock.now()).await?;
        to_object(&conversation)
    }

    /// Loads the history for a new response in the conversation: its items in order, and the time of the last addition.
    ///
    /// # Errors
    /// `NotFound` if the project has no conversation with that id.
    pub(super) async fn load_history(&self, project_id: &str, id: &str) -> Result<(Vec<Item>, Timestamp), Error> {
        check_id(id)?;
        let found = self.records.items(project_id, id).await?;
        let (conversation, mut items) = found.ok_or_else(|| not_found(id))?;
        items.retain(|item| !item.deleted);
        Ok((self.read_items(&items).await?, conversation.last_at))
    }

    /// Adds the turn of a response to a conversation. Adding the same turn again changes nothing. If the conversation was
    /// deleted while the response was made, nothing is added.
    pub(super) async fn append_turn(
        &self,
        project_id: &str,
        id: &str,
        turn: &Turn,
        items: &[Item],
    ) -> Result<(), Error> {
        if !self.records.add_turn(project_id, id, turn, &to_new_items(items)).await?.is_written() {
            tracing::info!("conversation of a response is gone, its turn was not added");
        }
        Ok(())
    }

    async fn find_item(&self, caller: &Caller, id: &str, item_id: &str) -> Result<(Conversation, StoredItem), Error> {
        check_id(id)?;
        let missing = || Error::NotFound { kind: "item", id: item_id.to_owned() };
        if !is_id(item_id) {
            return Err(missing());
        }
        let found = self.records.item(&caller.project.id, id, item_id).await?;
        let (conversation, item) = found.ok_or_else(|| not_found(id))?;
        Ok((conversation, item.ok_or_else(missing)?))
    }

    async fn read_items(&self, items: &[StoredItem]) -> Result<Vec<Item>, Error> {
        try_join_all(items.iter().map(|item| self.read_item(item))).await
    }

    async fn read_item(&self, item: &StoredItem) -> Result<Item, Error> {
        let body = self.records.item_body(item).await?;
        Object::parse(&body).map(Item).map_err(Error::internal("read an item of a conversation"))
    }
}

fn not_found(id: &str) -> Error {
    Error::NotFound { kind: "conversation", id: id.to_owned() }
}

/// Refuses text that cannot be an id, because ids become part of a table key.
fn check_id(id: &str) -> Result<(), Error> {
    if is_id(id) { Ok(()) } else { Err(not_found(id)) }
}

fn to_new_items(items: &[Item]) -> Vec<NewItem> {
    items.iter().map(|item| NewItem { id: item.id(), body: item.0.to_bytes() }).collect()
}

fn to_json(metadata: &Object) -> String {
    String::from_utf8_lossy(&metadata.to_bytes()).into_owned()
}

/// Builds the conversation object of OpenAI's API.
fn to_object(conversation: &Conversation) -> Result<Object, Error> {
    let metadata = Object::parse(conversation.metadata.as_bytes());
    let metadata = metadata.map_err(Error::internal("read the metadata of a conversation"))?;
    Ok(responses::conversation(&conversation.id, conversation.created_at, &metadata))
}
