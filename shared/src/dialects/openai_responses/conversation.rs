//! Reads bodies of requests for conversations, and writes the objects that answer them.

use super::fields::{Fields, invalid, unsupported};
use super::item::{Item, parse_items};
use super::item_id::NewIds;
use super::members::check_known;
use super::metadata::metadata;
use crate::dialects::body::{missing, read_object};
use crate::model::clock::Timestamp;
use crate::model::invalid::Invalid;
use crate::model::object::Object;

/// OpenAI's limit of items that one request adds.
const MOST_ADDED: usize = 20;

/// A checked body of `POST /v1/conversations`.
#[derive(Debug, Clone, Default)]
pub struct NewConversation {
    pub metadata: Object,
    pub items: Vec<Item>,
}

impl NewConversation {
    /// Reads and checks a body. An empty body creates an empty conversation.
    ///
    /// # Errors
    /// If the body is not a JSON object, the metadata is invalid, or [`sent_items`] would refuse the items. The error
    /// names the path.
    pub fn parse(json: &[u8], now: Timestamp) -> Result<Self, Invalid> {
        if json.is_empty() {
            return Ok(Self::default());
        }
        let body = object(json, &["items", "metadata"])?;
        let items = items(&body, now)?.unwrap_or_default();
        Ok(Self { metadata: metadata(&body)?, items })
    }
}

/// Reads the items of a body of `POST /v1/conversations/{id}/items`.
///
/// # Errors
/// If there are no items or more than 20, one is a reference, or [`parse_items`] refuses one. The error names the path.
pub fn sent_items(json: &[u8], now: Timestamp) -> Result<Vec<Item>, Invalid> {
    items(&object(json, &["items"])?, now)?.ok_or_else(|| missing("items"))
}

/// Reads the metadata of a body of `POST /v1/conversations/{id}`.
///
/// # Errors
/// If the metadata is missing or invalid.
pub fn changed_metadata(json: &[u8]) -> Result<Object, Invalid> {
    let body = object(json, &["metadata"])?;
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

/// The answer to the deletion of a conversation.
#[must_use]
pub fn deleted_conversation(id: &str) -> Object {
    Object::default().with("id", id).with("object", "conversation.deleted").with("deleted", &true)
}

/// Reads a body that has no other members than `known`.
fn object(json: &[u8], known: &[&str]) -> Result<Object, Invalid> {
    let body = read_object(json)?;
    check_known(Fields::new(&body, ""), known)?;
    Ok(body)
}

fn items(body: &Object, now: Timestamp) -> Result<Option<Vec<Item>>, Invalid> {
    let Some(text) = Fields::new(body, "").text("items") else { return Ok(None) };
    let items = parse_items(text.as_bytes(), "items", NewIds::At(now))?;
    if items.len() > MOST_ADDED {
        return Err(invalid("items", format_args!("it has {} items, expected at most {MOST_ADDED}", items.len())));
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
    fn errors_name_the_member() {
        let message = r#"{"role":"user","content":"Hi"}"#;
        let many = format!(r#"{{"items":[{}]}}"#, vec![message; 21].join(","));
        for (json, param) in [
            ("{}", "items"),
            (r#"{"items":null}"#, "items"),
            (r#"{"items":{}}"#, "items"),
            (r#"{"items":[],"metadata":{}}"#, "metadata"),
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
        for (json, param) in [("{}", "metadata"), (r#"{"meta":{}}"#, "meta"), (r#"{"metadata":{"a":1}}"#, "metadata.a")]
        {
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
