//! Conversations: what was said, kept for the responses that follow.

use super::error::Error;
use super::gateway::Gateway;
use crate::data::PlacedItem;
use crate::model::clock::Instant;
use crate::model::object::Object;
use crate::model::responses::Item;

impl Gateway {
    /// The items of a conversation in order.
    ///
    /// # Errors
    /// `NotFound`, `Internal`.
    pub(super) async fn conversation_items(&self, project_id: &str, id: &str) -> Result<Vec<Item>, Error> {
        let found = self.stores.conversation_items(project_id, id).await?;
        let (_, placed) = found.ok_or_else(|| not_found(id))?;
        let read = |placed: &PlacedItem| {
            Object::parse(&placed.item).map(Item).map_err(Error::internal("read an item of a conversation"))
        };
        placed.iter().map(read).collect()
    }

    /// Adds the turn that a response made at `at` to a conversation; again changes nothing. One that was deleted meanwhile
    /// stays deleted.
    ///
    /// # Errors
    /// If a store fails.
    pub(super) async fn append_turn(
        &self,
        project_id: &str,
        id: &str,
        at: Instant,
        items: Vec<Item>,
    ) -> Result<(), Error> {
        if self.stores.conversation(project_id, id).await?.is_none() {
            return Ok(());
        }
        let placed = PlacedItem::sequence(at, items.iter().map(|item| item.0.to_bytes()));
        Ok(self.stores.put_conversation_items(project_id, id, &placed).await?)
    }
}

fn not_found(id: &str) -> Error {
    Error::NotFound { kind: "conversation", id: id.to_owned() }
}
