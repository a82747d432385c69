//! The order of a conversation: each turn is stored as parts, which name its items.
//!
//! A part is made in the transaction that stores and counts its items, and removed in the one that takes them off the counters.
//! So each item is stored and counts once, whatever dies in between and whoever repeats what.

use std::collections::BTreeMap;
use std::fmt;

use aws_sdk_dynamodb::types::AttributeValue;

use super::adding::Numbered;
use super::{Conversation, ConversationKey, Turn};
use crate::data::change::Change;
use crate::data::error::StoreError;
use crate::data::item::{Item, Reader, number, text};
use crate::data::keys;
use crate::model::clock::Timestamp;
use crate::model::storage::Stored;

/// The place of an item in its conversation. Places sort by time, then by turn, then by number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(super) at: Timestamp,
    pub(super) turn_id: String,
    pub(super) n: usize,
}

impl Place {
    /// The place of the first item in the same part.
    fn of_part(&self) -> Self {
        Self { n: self.n / MAX_ITEMS * MAX_ITEMS, ..self.clone() }
    }

    fn parse(raw: &str) -> Option<Self> {
        let mut parts = raw.split('#');
        let (at, turn_id, n) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { at: Timestamp(at.parse().ok()?), turn_id: turn_id.to_owned(), n: n.parse().ok()? })
    }

    /// Reads the place of an item.
    pub(super) fn read(reader: &Reader<'_>) -> Result<Self, StoreError> {
        Self::parse(&reader.text("place")?).ok_or_else(|| reader.damaged("place"))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:015}#{}#{:06}", self.at.0, self.turn_id, self.n)
    }
}

/// The most items in one part: a transaction has 100 writes and 4 MB at most, and an item 100 KB in the table.
pub(super) const MAX_ITEMS: usize = 30;

/// Items of a turn that follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TurnPart {
    /// The place of its first item.
    pub(super) first: Place,
    /// The ids of the items that are not deleted, by their number in the turn.
    pub(super) item_ids: BTreeMap<usize, String>,
    /// Counted for the items, and for the conversation in its first part.
    pub(super) stored: Stored,
    /// Unix seconds.
    pub(super) expires_at: u64,
}

impl TurnPart {
    /// A part of a turn whose first item is or would be the `first`th. It may have none: it shows that it was added.
    pub(super) fn new(to: &Conversation, turn: &Turn, first: usize, items: &[Numbered<'_>]) -> Self {
        Self {
            first: turn.place(first),
            item_ids: items.iter().map(|(n, item)| (*n, item.id.clone())).collect(),
            stored: Stored { bytes: items.iter().map(|(_, item)| item.bytes()).sum(), objects: items.len() as u64 },
            expires_at: to.expires_at(turn.at),
        }
    }

    pub(super) fn pack(&self, of: &ConversationKey) -> Item {
        let ids = self.item_ids.iter().map(|(n, id)| (n.to_string(), text(id))).collect();
        keys::conversation_turn(of, &self.first).with([
            ("item_ids", AttributeValue::M(ids)),
            ("json_bytes", number(self.stored.bytes)),
            ("objects", number(self.stored.objects)),
            ("expires_at", number(self.expires_at)),
        ])
    }

    pub(super) fn read(item: &Item) -> Result<Self, StoreError> {
        let reader = Reader(item);
        let sk = reader.text("sk")?;
        let first = sk.strip_prefix(keys::TURN_PREFIX).and_then(Place::parse).ok_or_else(|| reader.damaged("sk"))?;
        let damaged = || reader.damaged("item_ids");
        let ids = item.get("item_ids").and_then(|ids| ids.as_m().ok()).ok_or_else(damaged)?;
        let entry = |(n, id): (&String, &AttributeValue)| Some((n.parse().ok()?, id.as_s().ok()?.clone()));
        Ok(Self {
            first,
            item_ids: ids.iter().map(entry).collect::<Option<_>>().ok_or_else(damaged)?,
            stored: Stored { bytes: reader.number("json_bytes")?, objects: reader.number("objects")? },
            expires_at: reader.number("expires_at")?,
        })
    }

    /// The place of its `n`th item of the turn.
    pub(super) fn place(&self, n: usize) -> Place {
        Place { n, ..self.first.clone() }
    }
}

impl Turn {
    /// The place of the turn's `n`th item.
    pub(super) fn place(&self, n: usize) -> Place {
        Place { at: self.at, turn_id: self.id.clone(), n }
    }
}

/// The key of the part that names the item at a place.
pub(super) fn part_of(of: &ConversationKey, place: &Place) -> keys::Key {
    keys::conversation_turn(of, &place.of_part())
}

/// The change that takes an item with so many bytes from its part.
pub(super) fn without_item(place: &Place, bytes: u64) -> Change {
    // Without the condition, an item that expired at this moment would leave a part of negative numbers.
    let mut change = Change::new("REMOVE item_ids.#n ADD json_bytes :bytes, objects :one")
        .only_if("attribute_exists(pk)")
        .values([(":bytes", number(-i128::from(bytes))), (":one", number(-1))]);
    change.names.push(("#n", place.n.to_string()));
    change
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_sort_by_time_then_by_turn_then_by_number_and_read_back() {
        let place = |at, id: &str, n| Turn { at: Timestamp(at), id: id.to_owned() }.place(n);
        let places = [place(9, "b", 0), place(10, "a", 9), place(10, "a", 10), place(10, "ab", 0), place(10, "b", 0)];
        assert!(places.is_sorted(), "{places:?}");
        assert!(places.iter().map(Place::to_string).is_sorted(), "{places:?}");
        for place in places {
            assert_eq!(Place::parse(&place.to_string()), Some(place));
        }
        assert_eq!(Place::parse("000000000000010#a"), None);
    }
}
