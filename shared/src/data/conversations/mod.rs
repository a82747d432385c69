//! Conversations: ordered items that responses are made from, and that responses add to.
//!
//! The key of an item is its id, so that no id occurs twice; an attribute holds its place. The parts of the turns name the items
//! in order, so that a page reads about a page. Added items stand after all items that were there when their turn began,
//! whatever the clocks of the instances say: the conversation remembers its last place.
//!
//! A deletion marks the conversation first: from then on no instance reads it or adds to it. The mark is due and
//! disappears last, so that the sweeper, or a second deletion, can finish after a process died.
//!
//! A conversation keeps the retention that its project had when it was made: each item for that long after it was added,
//! and the conversation for that long after its last addition. So no item outlives its conversation.

mod adding;
mod deleting;
mod items;
mod reading;
mod turns;

pub use adding::{AddItemsOutcome, NewItem, Turn};
pub use items::StoredItem;
pub use reading::{History, ItemPage, ItemPageOutcome, ItemQuery};
pub(super) use turns::Place;
use turns::{TurnPart, part_of};

use super::bodies::Bodies;
use super::bucket::Shelf;
use super::change::{Change, Returning, UpdateOutcome, Write};
use super::error::{Contended, StoreError};
use super::item::{Item, Reader, number, text};
use super::keys;
use super::stored::Expiry;
use super::table::{Table, conflict_pause};
use crate::model::clock::Timestamp;
use crate::model::object::Object;
use crate::model::retention::DAY_SECONDS;

/// The key of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationKey {
    pub project_id: String,
    pub conversation_id: String,
}

/// A conversation without its items.
#[derive(Debug, Clone)]
pub struct Conversation {
    pub key: ConversationKey,
    /// Unix seconds.
    pub created_at: u64,
    pub metadata: Object,
    /// When the last turn was added. No item has a later place.
    pub last_at: Timestamp,
    /// How long each item is kept after it was added.
    pub kept_seconds: u64,
}

/// A hundred years: conversations of projects without a retention are kept until they are deleted.
pub const UNTIL_DELETED_SECONDS: u64 = 36_525 * DAY_SECONDS;

impl Conversation {
    /// When DynamoDB may delete items that are added at a time, in Unix seconds.
    fn expires_at(&self, added_at: Timestamp) -> u64 {
        added_at.seconds() + self.kept_seconds
    }

    /// When items that are added at a time expire, for the counters of what is stored.
    fn expiry(&self, added_at: Timestamp) -> Expiry {
        if self.is_permanent() { Expiry::Never } else { Expiry::at(self.expires_at(added_at)) }
    }

    fn shelf(&self) -> Shelf {
        if self.is_permanent() { Shelf::Permanent } else { Shelf::of(self.kept_seconds) }
    }

    fn is_permanent(&self) -> bool {
        self.kept_seconds >= UNTIL_DELETED_SECONDS
    }
}

/// The conversations of all projects.
#[derive(Clone, Debug)]
pub struct ConversationRecords {
    pub(super) table: Table,
    pub(super) bodies: Bodies,
}

impl ConversationRecords {
    /// Creates a conversation with up to [`turns::MAX_ITEMS`] items, all or nothing.
    pub async fn create(&self, new: &Conversation, items: &[NewItem]) -> Result<(), StoreError> {
        let head = keys::conversation(&new.key).with([
            ("created_at", number(new.created_at)),
            ("metadata", text(to_text(&new.metadata))),
            ("last_at", number(new.last_at.0)),
            ("kept_seconds", number(new.kept_seconds)),
            ("expires_at", number(new.expires_at(new.last_at))),
        ]);
        let turn = Turn { at: new.last_at, id: new.key.conversation_id.clone() };
        let numbered: Vec<_> = items.iter().enumerate().collect();
        let mut part = TurnPart::new(new, &turn, 0, &numbered);
        part.stored.objects += 1; // The conversation itself.
        let items = self.pack_items(new, &turn, &numbered).await?;
        let writes: Vec<_> = std::iter::once(head).chain(items).map(Write::Put).collect();
        for tried in 0..MAX_TRIES {
            if self.transact_part(writes.clone(), new, &part).await?.is_written() {
                return Ok(());
            }
            // The SDK repeats a write whose answer was lost: this call itself may have made the conversation.
            if self.table.get(part_of(&new.key, &turn.place(0))).await?.is_some() {
                return Ok(());
            }
            conflict_pause(tried).await;
        }
        Err(StoreError::table("create the conversation")(Contended("its transactions were cancelled")))
    }

    /// Returns a conversation, unless it is absent, marked as deleted, or has expired by `now`.
    pub async fn get(&self, key: &ConversationKey, now: Timestamp) -> Result<Option<Conversation>, StoreError> {
        let item = self.table.get(keys::conversation(key)).await?;
        item.map_or(Ok(None), |item| read_conversation(key, &item, now))
    }

    /// Replaces the metadata of a conversation. Returns `None` if the conversation does not exist.
    pub async fn set_metadata(
        &self,
        key: &ConversationKey,
        metadata: &Object,
        now: Timestamp,
    ) -> Result<Option<Conversation>, StoreError> {
        let change = Change::new("SET metadata = :metadata")
            .only_if(EXISTS)
            .values([(":metadata", text(to_text(metadata))), (":now", number(now.seconds()))])
            .returning(Returning::All);
        match self.table.update(keys::conversation(key), change).await? {
            UpdateOutcome::Written(item) => read_conversation(key, &item, now),
            UpdateOutcome::Refused(_) => Ok(None),
        }
    }
}

/// The condition of every change of a conversation. Without it, an update would bring a deleted conversation back.
const EXISTS: &str = "attribute_exists(pk) AND attribute_not_exists(deleted) AND expires_at > :now";

/// Times that a transaction is tried while others come first.
const MAX_TRIES: u32 = 12;

/// Reads a conversation. Returns `None` for one that is marked as deleted, or has expired by `now`.
fn read_conversation(key: &ConversationKey, item: &Item, now: Timestamp) -> Result<Option<Conversation>, StoreError> {
    let reader = Reader(item);
    if reader.maybe_number::<u8>("deleted")?.is_some() || has_expired(&reader, now)? {
        return Ok(None);
    }
    read_any_conversation(key, item).map(Some)
}

/// Reads a conversation, also one that is marked as deleted.
fn read_any_conversation(key: &ConversationKey, item: &Item) -> Result<Conversation, StoreError> {
    let reader = Reader(item);
    let metadata = Object::parse(reader.text("metadata")?.as_bytes()).map_err(|_| reader.damaged("metadata"))?;
    Ok(Conversation {
        key: key.clone(),
        created_at: reader.number("created_at")?,
        metadata,
        last_at: Timestamp(reader.number("last_at")?),
        kept_seconds: reader.number("kept_seconds")?,
    })
}

/// Whether the time of a conversation, an item or a tombstone is over. DynamoDB deletes it some time later.
fn has_expired(reader: &Reader<'_>, now: Timestamp) -> Result<bool, StoreError> {
    Ok(reader.number::<u64>("expires_at")? <= now.seconds())
}

fn to_text(metadata: &Object) -> String {
    String::from_utf8_lossy(&metadata.to_bytes()).into_owned()
}
