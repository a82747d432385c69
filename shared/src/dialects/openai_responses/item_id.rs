//! Ids of items that name the response which has the item.
//!
//! A client may send back the id of an item alone. The response that has it is then found without an index.

use crate::model::clock::Timestamp;
use crate::model::id;

/// The prefix of a response's id, and the length of the rest.
const RESPONSE: &str = "resp_";
const RESPONSE_LETTERS: usize = 24;

/// A new id for a response. The ids of its items are made from it.
#[must_use]
pub fn new_response_id(now: Timestamp) -> String {
    id::new_ordered(RESPONSE, now)
}

/// Where items without an id get theirs from.
#[derive(Debug, Clone, Copy)]
pub enum NewIds<'a> {
    /// For items of a conversation: the ids sort by this time.
    At(Timestamp),
    /// For the input of the response with this id.
    InputOf(&'a str),
}

impl NewIds<'_> {
    /// An id with a prefix for the item at an index of its list.
    pub(super) fn make(self, prefix: &str, index: usize) -> String {
        match self {
            Self::At(now) => id::new_ordered(prefix, now),
            Self::InputOf(response_id) => format!("{prefix}{}i{index:03}", letters(response_id)),
        }
    }

    /// An id in place of one that cannot be part of a key. The same one gets the same id in each request, so that an item
    /// that a client sends again is still known. `None`: a conversation keeps its items under the ids that clients know.
    pub(super) fn replace(self, prefix: &str, given: &str) -> Option<String> {
        match self {
            Self::At(_) => None,
            Self::InputOf(_) => Some(id::derive(prefix, &[given])),
        }
    }
}

/// The id of an output item of a response: `prefix`, the letters of the response, and the index of the item.
pub(super) fn output_id(prefix: &str, response_id: &str, index: usize) -> String {
    format!("{prefix}{}{index:03}", letters(response_id))
}

fn letters(response_id: &str) -> &str {
    response_id.strip_prefix(RESPONSE).unwrap_or(response_id)
}

/// The response that an item belongs to, as the item's id tells it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ItemOrigin {
    pub response_id: String,
    /// Whether the item was sent with the request; otherwise the model wrote it.
    pub is_input: bool,
}

impl ItemOrigin {
    /// Reads an id that weir made for an item. `None`: it was made for a conversation, or by someone else.
    #[must_use]
    pub fn of(item_id: &str) -> Option<Self> {
        let (_, rest) = item_id.split_once('_')?;
        let (letters, index) = rest.split_at_checked(RESPONSE_LETTERS)?;
        let (is_input, index) = index.strip_prefix('i').map_or((false, index), |index| (true, index));
        let is_index = index.len() >= 3 && index.bytes().all(|byte| byte.is_ascii_digit());
        let is_made = is_index && letters.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_made.then(|| Self { response_id: format!("{RESPONSE}{letters}"), is_input })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_its_response() {
        let response_id = new_response_id(Timestamp(1_790_000_000_000));
        let origin = |is_input| Some(ItemOrigin { response_id: response_id.clone(), is_input });
        assert_eq!(ItemOrigin::of(&output_id("msg_", &response_id, 7)), origin(false));
        assert_eq!(ItemOrigin::of(&output_id("fc_", &response_id, 1_234)), origin(false));
        assert_eq!(ItemOrigin::of(&NewIds::InputOf(&response_id).make("msg_", 4_999)), origin(true));
    }

    #[test]
    fn other_ids_name_none() {
        let in_conversation = NewIds::At(Timestamp(1_790_000_000_000)).make("msg_", 0);
        for id in [
            "",
            "a",
            "msg_1",
            "call_abc",
            "msg_\u{e9}aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "resp_0123456789abcdefghijklmn",
            &in_conversation,
        ] {
            assert_eq!(ItemOrigin::of(id), None, "{id}");
        }
    }
}
