//! Reading a conversation in order: a page of it, or all of it up to a number of bytes.

use std::collections::VecDeque;

use super::turns::{Place, TurnPart, part_of};
use super::{Conversation, ConversationKey, ConversationRecords, StoredItem, read_conversation};
use crate::data::error::StoreError;
use crate::data::keys;
use crate::data::table::{ItemStream, MAX_BATCH};
use crate::model::clock::Timestamp;

/// The wanted page of a conversation's items.
#[derive(Debug, Clone, Copy)]
pub struct ItemQuery<'a> {
    pub newest_first: bool,
    /// The id of the item before the page.
    pub after: Option<&'a str>,
    /// The most items on the page.
    pub limit: usize,
    /// A page ends after the item that reaches so many bytes.
    pub max_bytes: u64,
}

/// A page of a conversation's items.
#[derive(Debug, Clone, Default)]
pub struct ItemPage {
    pub items: Vec<StoredItem>,
    pub has_more: bool,
}

/// The outcome of [`ConversationRecords::page`].
#[derive(Debug, Clone)]
pub enum ItemPageOutcome {
    Found(ItemPage),
    /// The conversation does not exist.
    Absent,
    /// The conversation has no item with the id after which the page begins, and had none in the last two days.
    UnknownAfter,
}

/// The items of a conversation, in order.
#[derive(Debug, Clone)]
pub struct History {
    pub conversation: Conversation,
    pub items: Vec<StoredItem>,
    /// The bytes of all bodies. If they are more than the caller allowed, there may be more items.
    pub bytes: u64,
}

impl ConversationRecords {
    /// Returns the items of a conversation in order, but stops where they have more than `max_bytes`. `None`: it does not
    /// exist. One query.
    pub async fn history(
        &self,
        key: &ConversationKey,
        max_bytes: u64,
        now: Timestamp,
    ) -> Result<Option<History>, StoreError> {
        let head = keys::conversation(key);
        let last = format!("{}{}", keys::ITEM_PREFIX, char::MAX);
        let mut found = ItemStream::of(self.table.query_between(&head.pk, &head.sk, &last));
        let Some(first) = found.next().await? else { return Ok(None) };
        let Some(conversation) = read_conversation(key, &first, now)? else { return Ok(None) };
        let mut history = History { conversation, items: Vec::new(), bytes: 0 };
        while history.bytes <= max_bytes
            && let Some(item) = found.next().await?
        {
            let Some(item) = StoredItem::read(&item, now)?.filter(|item| !item.deleted) else { continue };
            history.bytes += item.bytes;
            history.items.push(item);
        }
        history.items.sort_by(|one, other| one.place.cmp(&other.place));
        Ok(Some(history))
    }

    /// Returns a page of a conversation's items. It reads the order and the items of about a page.
    pub async fn page(
        &self,
        key: &ConversationKey,
        query: ItemQuery<'_>,
        now: Timestamp,
    ) -> Result<ItemPageOutcome, StoreError> {
        let (Some(_), named) = self.load(key, query.after.as_slice(), now).await? else {
            return Ok(ItemPageOutcome::Absent);
        };
        let after = named.into_iter().next().map(|item| item.place);
        if after.is_none() && query.after.is_some() {
            return Ok(ItemPageOutcome::UnknownAfter);
        }
        let mut ids = self.ids_after(key, after, query);
        let (mut page, mut bytes) = (ItemPage::default(), 0);
        loop {
            // One more than the page has shows whether more follow.
            let some = ids.next(MAX_BATCH.min(query.limit + 1 - page.items.len()), now).await?;
            if some.is_empty() {
                return Ok(ItemPageOutcome::Found(page));
            }
            for item in self.items_in_order(key, &some, query.newest_first, now).await? {
                if page.items.len() == query.limit || bytes >= query.max_bytes {
                    page.has_more = true;
                    return Ok(ItemPageOutcome::Found(page));
                }
                bytes += item.bytes;
                page.items.push(item);
            }
        }
    }

    /// Reads those of the named items that are not deleted. An item can be absent whose turn is being added.
    async fn items_in_order(
        &self,
        key: &ConversationKey,
        ids: &[String],
        newest_first: bool,
        now: Timestamp,
    ) -> Result<Vec<StoredItem>, StoreError> {
        let wanted = ids.iter().map(|id| keys::conversation_item(key, id)).collect();
        let found = self.table.get_all(wanted).await?;
        let items = found.iter().map(|item| StoredItem::read(item, now)).collect::<Result<Vec<_>, _>>()?;
        let mut items: Vec<_> = items.into_iter().flatten().filter(|item| !item.deleted).collect();
        items.sort_by(|one, other| one.place.cmp(&other.place));
        if newest_first {
            items.reverse();
        }
        Ok(items)
    }

    fn ids_after(&self, key: &ConversationKey, after: Option<Place>, query: ItemQuery<'_>) -> ItemIds {
        let partition = keys::conversation(key).pk;
        let (mut from, mut to) = (keys::TURN_PREFIX.to_owned(), format!("{}{}", keys::TURN_PREFIX, char::MAX));
        if let Some(place) = &after {
            let edge = if query.newest_first { &mut to } else { &mut from };
            *edge = part_of(key, place).sk;
        }
        // Most parts name one item or two.
        let parts = self.table.query_between(&partition, &from, &to).scan_index_forward(!query.newest_first);
        let parts = ItemStream::of(parts.limit(i32::try_from(query.limit + 1).unwrap_or(i32::MAX)));
        ItemIds { parts, newest_first: query.newest_first, after, read: VecDeque::new() }
    }
}

/// The ids of a conversation's items in the order of a page, read as they are needed.
struct ItemIds {
    parts: ItemStream,
    newest_first: bool,
    after: Option<Place>,
    read: VecDeque<String>,
}

impl ItemIds {
    /// The next ids, up to a number of them.
    async fn next(&mut self, count: usize, now: Timestamp) -> Result<Vec<String>, StoreError> {
        while self.read.len() < count
            && let Some(part) = self.parts.next().await?
        {
            let part = TurnPart::read(&part)?;
            if part.expires_at > now.seconds() {
                self.append(part);
            }
        }
        let count = count.min(self.read.len());
        Ok(self.read.drain(..count).collect())
    }

    fn append(&mut self, part: TurnPart) {
        let place = |n| part.place(n);
        let follows = |n: usize| match (&self.after, self.newest_first) {
            (None, _) => true,
            (Some(after), false) => place(n) > *after,
            (Some(after), true) => place(n) < *after,
        };
        let ids = part.item_ids.iter().filter(|(n, _)| follows(**n)).map(|(_, id)| id.clone());
        match self.newest_first {
            false => self.read.extend(ids),
            true => self.read.extend(ids.rev()),
        }
    }
}
