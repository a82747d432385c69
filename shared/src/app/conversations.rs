//! Conversations: what was said, kept for the responses that follow.

use futures_util::future::try_join_all;

use super::error::Error;
use super::gateway::Gateway;
use crate::data::{Added, Conversation, KeptItem, NewItem, Turn};
use crate::dialects::openai_responses::{self as responses, Item, ListQuery, NewConversation, is_id, list};
use crate::model::clock::Timestamp;
use crate::model::id;
use crate::model::invalid::Invalid;
use crate::model::object::Object;
use crate::model::project::Caller;

impl Gateway {
    /// Creates a conversation with its first items.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn create_conversation(&self, caller: &Caller, new: NewConversation) -> Result<Object, Error> {
        let now = self.clock.now();
        let conversation = Conversation {
            project_id: caller.project.id.clone(),
            id: id::new("conv_"),
            created_at: now.seconds(),
            metadata: text(&new.metadata),
            last_at: now,
        };
        self.stores.create_conversation(&conversation, &kept(&new.items)).await?;
        shown(&conversation)
    }

    /// A conversation without its items.
    ///
    /// # Errors
    /// `NotFound`, also for another project's; `Internal`.
    pub async fn conversation(&self, caller: &Caller, id: &str) -> Result<Object, Error> {
        check(id)?;
        let found = self.stores.conversation(&caller.project.id, id).await?;
        shown(&found.ok_or_else(|| not_found(id))?)
    }

    /// Replaces the metadata of a conversation.
    ///
    /// # Errors
    /// `NotFound`, `Internal`.
    pub async fn update_conversation(&self, caller: &Caller, id: &str, metadata: &Object) -> Result<Object, Error> {
        check(id)?;
        let changed = self.stores.set_conversation_metadata(&caller.project.id, id, &text(metadata)).await?;
        shown(&changed.ok_or_else(|| not_found(id))?)
    }

    /// Deletes a conversation with its items. Responses that were made in it stay.
    ///
    /// # Errors
    /// `NotFound`, `Internal`; done again it goes on.
    pub async fn delete_conversation(&self, caller: &Caller, id: &str) -> Result<Object, Error> {
        check(id)?;
        if !self.stores.delete_conversation(&caller.project.id, id).await? {
            return Err(not_found(id));
        }
        Ok(responses::deleted_conversation(id))
    }

    /// Adds items to the end of a conversation, all or none, and answers with the list of them.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` if an item with one of the ids is there already; `Contended`, `Internal`.
    pub async fn add_items(&self, caller: &Caller, id: &str, items: Vec<Item>) -> Result<Object, Error> {
        check(id)?;
        let (project_id, now) = (&caller.project.id, self.clock.now());
        match self.stores.add_items(project_id, id, now, &id::random(16), &kept(&items)).await? {
            Added::Done => Ok(list(&items, false)),
            Added::Absent => Err(not_found(id)),
            Added::Contended => Err(Error::Contended("the conversation")),
            Added::Taken(item_id) => {
                let message =
                    format!("Item with id '{item_id}' is in the conversation already. Remove it and try again.");
                Err(Invalid { message, param: Some("items".to_owned()), code: Some("duplicate_item") }.into())
            }
        }
    }

    /// A page of the items of a conversation.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` if the page begins after an item that was never there; `Internal`.
    pub async fn list_items(&self, caller: &Caller, id: &str, query: &ListQuery) -> Result<Object, Error> {
        check(id)?;
        let found = self.stores.conversation_items(&caller.project.id, id).await?;
        let (_, items) = found.ok_or_else(|| not_found(id))?;
        let (page, has_more) = query.page(items, |item| item.id.clone(), |item| !item.deleted)?;
        Ok(list(&self.read_items(&page).await?, has_more))
    }

    /// One item of a conversation.
    ///
    /// # Errors
    /// `NotFound`, `Internal`.
    pub async fn item(&self, caller: &Caller, id: &str, item_id: &str) -> Result<Object, Error> {
        let (_, item) = self.find_item(caller, id, item_id).await?;
        Ok(self.read_item(&item).await?.0)
    }

    /// Takes an item out of a conversation and answers with the conversation.
    ///
    /// # Errors
    /// `NotFound`, `Internal`.
    pub async fn delete_item(&self, caller: &Caller, id: &str, item_id: &str) -> Result<Object, Error> {
        let (conversation, item) = self.find_item(caller, id, item_id).await?;
        self.stores.delete_conversation_item(&caller.project.id, id, &item, self.clock.now()).await?;
        shown(&conversation)
    }

    /// What a response in the conversation is made from: its items in order; and when the last of them was added.
    ///
    /// # Errors
    /// `NotFound`, `Internal`.
    pub(super) async fn said(&self, project_id: &str, id: &str) -> Result<(Vec<Item>, Timestamp), Error> {
        check(id)?;
        let found = self.stores.conversation_items(project_id, id).await?;
        let (conversation, mut items) = found.ok_or_else(|| not_found(id))?;
        items.retain(|item| !item.deleted);
        Ok((self.read_items(&items).await?, conversation.last_at))
    }

    /// Adds the turn of a response to a conversation; again changes nothing. One that was deleted meanwhile stays deleted.
    ///
    /// # Errors
    /// If a store fails.
    pub(super) async fn append_turn(
        &self,
        project_id: &str,
        id: &str,
        turn: &Turn,
        items: &[Item],
    ) -> Result<(), Error> {
        if !self.stores.add_turn(project_id, id, turn, &kept(items)).await? {
            tracing::info!("conversation of a response is gone, its turn was not added");
        }
        Ok(())
    }

    async fn find_item(&self, caller: &Caller, id: &str, item_id: &str) -> Result<(Conversation, KeptItem), Error> {
        check(id)?;
        let missing = || Error::NotFound { kind: "item", id: item_id.to_owned() };
        if !is_id(item_id) {
            return Err(missing());
        }
        let found = self.stores.conversation_item(&caller.project.id, id, item_id).await?;
        let (conversation, item) = found.ok_or_else(|| not_found(id))?;
        Ok((conversation, item.ok_or_else(missing)?))
    }

    async fn read_items(&self, items: &[KeptItem]) -> Result<Vec<Item>, Error> {
        try_join_all(items.iter().map(|item| self.read_item(item))).await
    }

    async fn read_item(&self, item: &KeptItem) -> Result<Item, Error> {
        let body = self.stores.kept_body(item).await?;
        Object::parse(&body).map(Item).map_err(Error::internal("read an item of a conversation"))
    }
}

fn not_found(id: &str) -> Error {
    Error::NotFound { kind: "conversation", id: id.to_owned() }
}

/// An id becomes part of a key of the table; what cannot be one belongs to nothing.
fn check(id: &str) -> Result<(), Error> {
    if is_id(id) { Ok(()) } else { Err(not_found(id)) }
}

fn kept(items: &[Item]) -> Vec<NewItem> {
    items.iter().map(|item| NewItem { id: item.id(), body: item.0.to_bytes() }).collect()
}

fn text(metadata: &Object) -> String {
    String::from_utf8_lossy(&metadata.to_bytes()).into_owned()
}

fn shown(conversation: &Conversation) -> Result<Object, Error> {
    let metadata = Object::parse(conversation.metadata.as_bytes());
    let metadata = metadata.map_err(Error::internal("read the metadata of a conversation"))?;
    Ok(responses::conversation(&conversation.id, conversation.created_at, &metadata))
}
