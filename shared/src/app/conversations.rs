//! Conversations: their items are the history of the responses that are made in them.

use std::sync::Arc;

use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::admission::Admission;
use super::error::Error;
use super::generation::LOST_AFTER_MS;
use super::storage::Storage;
use crate::data::{
    AddItemsOutcome, Conversation, ConversationKey, ConversationRecords, ItemPageOutcome, ItemQuery, NewItem,
    StoredItem, Stores, Turn, UNTIL_DELETED_SECONDS,
};
use crate::dialects::openai_responses::{
    Item, ListQuery, MAX_CONTEXT_BYTES, NewConversation, Order, check_bytes, is_id,
};
use crate::model::clock::{Clock, Timestamp};
use crate::model::id;
use crate::model::invalid::Invalid;
use crate::model::object::Object;
use crate::model::project::{Caller, Policy, Project};
use crate::model::retention::Retention;
use crate::model::storage::Stored;

/// Operations on the conversations of a project.
pub struct Conversations {
    records: ConversationRecords,
    admission: Arc<Admission>,
    storage: Storage,
    clock: Clock,
}

impl Conversations {
    pub(super) fn new(stores: &Stores, clock: Clock, admission: Arc<Admission>) -> Self {
        let storage = Storage::new(stores, clock.clone());
        Self { records: stores.conversations(), admission, storage, clock }
    }

    /// Creates a conversation with its first items.
    ///
    /// # Errors
    /// `Invalid` if the project keeps nothing; `Refused` by a limit of requests per minute; `StorageFull`.
    pub async fn create(&self, caller: &Caller, new: NewConversation) -> Result<Conversation, Error> {
        require_retention(&caller.project.policy)?;
        let items = to_new_items(&new.items);
        let more = stored_by(&items).plus(Stored { bytes: 0, objects: 1 });
        self.admit(caller, more).await?;
        let now = self.clock.now();
        let conversation = Conversation {
            key: ConversationKey { project_id: caller.project.id.clone(), conversation_id: id::new("conv_") },
            created_at: now.seconds(),
            metadata: new.metadata,
            last_at: now,
            kept_seconds: caller.project.policy.retention.map_or(UNTIL_DELETED_SECONDS, Retention::seconds),
        };
        self.records.create(&conversation, &items).await?;
        Ok(conversation)
    }

    /// Returns a conversation without its items.
    ///
    /// # Errors
    /// `NotFound` if the caller's project has no conversation with that id.
    pub async fn get(&self, caller: &Caller, id: &str) -> Result<Conversation, Error> {
        self.records.get(&key(&caller.project.id, id)?, self.clock.now()).await?.ok_or_else(|| not_found(id))
    }

    /// Replaces the metadata of a conversation.
    ///
    /// # Errors
    /// The same as [`Conversations::get`]; `Invalid` if the project keeps nothing; `Refused` by a limit of requests per minute.
    pub async fn update(&self, caller: &Caller, id: &str, metadata: &Object) -> Result<Conversation, Error> {
        require_retention(&caller.project.policy)?;
        let key = key(&caller.project.id, id)?;
        self.admission.count(caller).await?;
        let now = self.clock.now();
        self.records.set_metadata(&key, metadata, now).await?.ok_or_else(|| not_found(id))
    }

    /// Deletes a conversation with its items. Responses that were made in it stay.
    ///
    /// # Errors
    /// The same as [`Conversations::get`]. A deletion that fails is completed by the sweeper, or by repeating it.
    pub async fn delete(&self, caller: &Caller, id: &str) -> Result<(), Error> {
        let (key, now) = (key(&caller.project.id, id)?, self.clock.now());
        let deleted = self.records.delete(&key, now, now.plus_ms(LOST_AFTER_MS)).await?;
        if deleted.is_written() { Ok(()) } else { Err(not_found(id)) }
    }

    /// Adds items to the end of a conversation, all or none.
    ///
    /// # Errors
    /// - `NotFound` if the caller's project has no conversation with that id.
    /// - `Invalid` if the conversation already has an item with one of the ids, or the project keeps nothing.
    /// - `Refused` by a limit of requests per minute; `StorageFull`.
    /// - `Contended` if too many requests add items at the same time.
    pub async fn add_items(&self, caller: &Caller, id: &str, items: &[Item]) -> Result<(), Error> {
        require_retention(&caller.project.policy)?;
        let key = key(&caller.project.id, id)?;
        let items = to_new_items(items);
        self.admit(caller, stored_by(&items)).await?;
        let now = self.clock.now();
        match self.records.add_items(&key, now, &id::random(16), &items).await? {
            AddItemsOutcome::Added => Ok(()),
            AddItemsOutcome::Absent => Err(not_found(id)),
            AddItemsOutcome::Contended => Err(Error::Contended("the conversation")),
            AddItemsOutcome::Duplicate(item_id) => {
                let message =
                    format!("Item with id '{item_id}' is in the conversation already. Remove it and try again.");
                Err(Invalid { message, param: Some("items".to_owned()), code: Some("duplicate_item") }.into())
            }
        }
    }

    /// Counts a request, and checks that its project may store so much more.
    async fn admit(&self, caller: &Caller, more: Stored) -> Result<(), Error> {
        let (counted, has_room) =
            tokio::join!(self.admission.count(caller), self.storage.require_room(&caller.project, more));
        counted.and(has_room)
    }

    /// Returns a page of the items of a conversation, and whether more items follow. A page ends early where its items have
    /// many bytes.
    ///
    /// # Errors
    /// - `NotFound` if the caller's project has no conversation with that id.
    /// - `Invalid` if the page begins after an item that the conversation never had.
    pub async fn list_items(&self, caller: &Caller, id: &str, query: &ListQuery) -> Result<(Vec<Item>, bool), Error> {
        let wanted = ItemQuery {
            newest_first: query.order == Order::Descending,
            after: query.after.as_deref().filter(|after| is_id(after)),
            limit: query.limit,
            max_bytes: MAX_PAGE_BYTES,
        };
        if wanted.after.is_none() && query.after.is_some() {
            return Err(query.unknown_after().into());
        }
        match self.records.page(&key(&caller.project.id, id)?, wanted, self.clock.now()).await? {
            ItemPageOutcome::Found(page) => Ok((self.read_items(&page.items).await?, page.has_more)),
            ItemPageOutcome::Absent => Err(not_found(id)),
            ItemPageOutcome::UnknownAfter => Err(query.unknown_after().into()),
        }
    }

    /// Returns one item of a conversation.
    ///
    /// # Errors
    /// `NotFound` if there is no such conversation or no such item in it.
    pub async fn item(&self, caller: &Caller, id: &str, item_id: &str) -> Result<Item, Error> {
        let (_, item) = self.find_item(caller, id, item_id).await?;
        self.read_item(&item).await
    }

    /// Deletes an item of a conversation, and returns the conversation.
    ///
    /// # Errors
    /// The same as [`Conversations::item`].
    pub async fn delete_item(&self, caller: &Caller, id: &str, item_id: &str) -> Result<Conversation, Error> {
        let (conversation, item) = self.find_item(caller, id, item_id).await?;
        self.records.delete_item(&conversation, &item, self.clock.now()).await?;
        Ok(conversation)
    }

    /// Loads the history for a new response in the conversation: its items in order, and the time of the last addition.
    ///
    /// # Errors
    /// `NotFound` if the project has no conversation with that id; `Invalid` if its items are too large for a context.
    pub(super) async fn load_history(&self, project_id: &str, id: &str) -> Result<(Vec<Item>, Timestamp), Error> {
        let found = self.records.history(&key(project_id, id)?, MAX_CONTEXT_BYTES as u64, self.clock.now()).await?;
        let found = found.ok_or_else(|| not_found(id))?;
        check_bytes(usize::try_from(found.bytes).unwrap_or(usize::MAX))?;
        let reads: Vec<_> = found.items.iter().map(|item| self.read_item(item)).collect();
        let history = stream::iter(reads).buffered(READ_AT_ONCE).try_collect().await?;
        Ok((history, found.conversation.last_at))
    }

    /// Checks that a project may store another turn in a conversation, before a response is made for one. Its bytes are not
    /// known yet.
    ///
    /// # Errors
    /// `StorageFull`; `NotFound` for text that cannot be the id of a conversation.
    pub(super) async fn require_room_for_turn(&self, project: &Project, id: &str) -> Result<(), Error> {
        key(&project.id, id)?;
        self.storage.require_room(project, Stored { bytes: 1, objects: 1 }).await
    }

    /// Adds the turn of a response to a conversation, without references: the items that they name are in the turn or in the
    /// conversation. Adding the same turn again changes nothing. If the conversation was deleted while the response was made,
    /// nothing is added.
    pub(super) async fn append_turn(&self, key: &ConversationKey, turn: &Turn, items: &[Item]) -> Result<(), Error> {
        let said: Vec<Item> = items.iter().filter(|item| !item.is_reference()).cloned().collect();
        if !self.records.add_turn(key, turn, &to_new_items(&said), self.clock.now()).await?.is_written() {
            tracing::info!("conversation of a response is gone, its turn was not added");
        }
        Ok(())
    }

    async fn find_item(&self, caller: &Caller, id: &str, item_id: &str) -> Result<(Conversation, StoredItem), Error> {
        let key = key(&caller.project.id, id)?;
        let missing = || Error::not_found("item", item_id);
        if !is_id(item_id) {
            return Err(missing());
        }
        let (conversation, item) =
            self.records.item(&key, item_id, self.clock.now()).await?.ok_or_else(|| not_found(id))?;
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

/// Refuses to add to conversations where nothing is kept.
pub(super) fn require_retention(policy: &Policy) -> Result<(), Invalid> {
    if !policy.keeps_nothing() {
        return Ok(());
    }
    let message = "This project keeps no content (`policy.retention` is \"none\"), so it has no conversations. Send the \
                   earlier turns in `input`, or ask the operator for a retention of days.";
    Err(Invalid { message: message.to_owned(), param: Some("conversation".to_owned()), code: Some("nothing_is_kept") })
}

/// A page ends after the item that reaches so many bytes. A Lambda function answers with 6 MB at most, and an item has less.
const MAX_PAGE_BYTES: u64 = 3 * 1024 * 1024;

/// Items that are read at the same time: an item can be as large as a request.
const READ_AT_ONCE: usize = 8;

fn not_found(id: &str) -> Error {
    Error::not_found("conversation", id)
}

/// The key of a conversation. Text that cannot be an id is refused, because ids become part of a table key.
fn key(project_id: &str, id: &str) -> Result<ConversationKey, Error> {
    let key = || ConversationKey { project_id: project_id.to_owned(), conversation_id: id.to_owned() };
    if is_id(id) { Ok(key()) } else { Err(not_found(id)) }
}

fn to_new_items(items: &[Item]) -> Vec<NewItem> {
    items.iter().map(|item| NewItem { id: item.id(), body: item.0.to_bytes() }).collect()
}

fn stored_by(items: &[NewItem]) -> Stored {
    Stored { bytes: items.iter().map(|item| item.body.len() as u64).sum(), objects: items.len() as u64 }
}
