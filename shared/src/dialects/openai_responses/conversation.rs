//! Bodies of requests about conversations, and the objects that answer them.

use super::fields::{Fields, invalid, unsupported};
use super::item::{Item, parse_items};
use super::metadata::metadata;
use crate::dialects::parts::missing;
use crate::model::clock::Timestamp;
use crate::model::invalid::Invalid;
use crate::model::object::Object;

/// Items that one request may add, as OpenAI has it.
const MOST_ITEMS: usize = 20;

/// A checked body of `POST /v1/conversations`.
#[derive(Debug, Clone, Default)]
pub struct NewConversation {
    pub metadata: Object,
    pub items: Vec<Item>,
}

impl NewConversation {
    /// Reads and checks a body; no body at all is an empty conversation.
    ///
    /// # Errors
    /// Not JSON, not an object, wrong metadata, or items as [`sent_items`] refuses them: said with the path.
    pub fn parse(json: &[u8], now: Timestamp) -> Result<Self, Invalid> {
        if json.is_empty() {
            return Ok(Self::default());
        }
        let body = object(json)?;
        let items = items(&body, now)?.unwrap_or_default();
        Ok(Self { metadata: metadata(&body)?, items })
    }
}

/// The items of a body of `POST /v1/conversations/{id}/items`.
///
/// # Errors
/// No items, more than 20, a reference, or an item as [`parse_items`] refuses it: said with the path.
pub fn sent_items(json: &[u8], now: Timestamp) -> Result<Vec<Item>, Invalid> {
    items(&object(json)?, now)?.ok_or_else(|| missing("items"))
}

/// The metadata of a body of `POST /v1/conversations/{id}`.
///
/// # Errors
/// If there is none, or it is wrong.
pub fn changed_metadata(json: &[u8]) -> Result<Object, Invalid> {
    let body = object(json)?;
    if body.text("metadata").is_none() {
        return Err(missing("metadata"));
    }
    metadata(&body)
}

/// A conversation object; `created_at` in Unix seconds.
#[must_use]
pub fn conversation(id: &str, created_at: u64, metadata: &Object) -> Object {
    let head = Object::default().with("id", id).with("object", "conversation");
    head.with("created_at", &created_at).with("metadata", metadata)
}

/// What answers the deletion of a conversation.
#[must_use]
pub fn conversation_deleted(id: &str) -> Object {
    Object::default().with("id", id).with("object", "conversation.deleted").with("deleted", &true)
}

fn object(json: &[u8]) -> Result<Object, Invalid> {
    Object::parse(json).map_err(|error| crate::dialects::openai_chat::not_json(&error))
}

fn items(body: &Object, now: Timestamp) -> Result<Option<Vec<Item>>, Invalid> {
    let Some(text) = Fields::new(body, "").text("items") else { return Ok(None) };
    let items = parse_items(text.as_bytes(), "items", now)?;
    if items.len() > MOST_ITEMS {
        return Err(invalid("items", format_args!("it has {} items, expected at most {MOST_ITEMS}", items.len())));
    }
    if let Some(index) = items.iter().position(Item::is_reference) {
        let message = "A conversation keeps items, not references to them: send the item itself.";
        return Err(unsupported(format!("items[{index}]"), message, "unsupported_value"));
    }
    Ok(Some(items))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let message = r#"{"role":"user","content":"Hi"}"#;
        let many = format!(r#"{{"items":[{}]}}"#, vec![message; 21].join(","));
        for (json, param) in [
            ("{}", "items"),
            (r#"{"items":null}"#, "items"),
            (r#"{"items":{}}"#, "items"),
            (many.as_str(), "items"),
            (r#"{"items":[{"type":"item_reference","id":"msg_1"}]}"#, "items[0]"),
            (r#"{"items":[{"role":"user","content":"Hi","id":"a/b"}]}"#, "items[0].id"),
            (
                r#"{"items":[{"role":"user","content":"Hi","id":"a"},{"role":"user","content":"Ho","id":"a"}]}"#,
                "items[1].id",
            ),
        ] {
            assert_eq!(sent_items(json.as_bytes(), Timestamp(0)).unwrap_err().param.as_deref(), Some(param), "{json}");
        }
        for (json, param) in [("{}", "metadata"), (r#"{"metadata":{"a":1}}"#, "metadata.a")] {
            assert_eq!(changed_metadata(json.as_bytes()).unwrap_err().param.as_deref(), Some(param), "{json}");
        }
        assert_eq!(NewConversation::parse(b"[]", Timestamp(0)).unwrap_err().param, None);
    }

    #[test]
    fn a_conversation_may_begin_with_nothing() {
        for json in ["", "{}", r#"{"items":null,"metadata":null}"#, r#"{"items":[]}"#] {
            let new = NewConversation::parse(json.as_bytes(), Timestamp(0)).unwrap();
            assert_eq!((new.items.len(), new.metadata.to_bytes()), (0, "{}".into()), "{json}");
        }
    }
}
