//! Items: the inputs and outputs of responses.

use std::collections::HashSet;

use serde_json::value::RawValue;

use super::fields::{Fields, TextOrList, invalid};
use super::item_id::NewIds;
use super::part::{self, Source};
use super::view::{self, View};
use crate::dialects::body::read_at;
use crate::dialects::parts::MOST_ITEMS;
use crate::model::file::is_file_id;
use crate::model::invalid::Invalid;
use crate::model::object::Object;

/// One input or output item, with `id` and `type`.
#[derive(Debug, Clone, Default)]
pub struct Item(pub Object);

impl Item {
    /// The id. Empty only in items that do not come from [`parse_items`] or a [`super::EventBuilder`].
    #[must_use]
    pub fn id(&self) -> String {
        self.0.get("id").unwrap_or_default()
    }

    /// The value of `type`, such as `message`.
    #[must_use]
    pub fn kind(&self) -> String {
        self.0.get("type").unwrap_or_default()
    }

    /// Whether the item may have tools.
    pub(super) fn may_bring_tools(&self) -> bool {
        matches!(self.kind().as_str(), view::ADDITIONAL_TOOLS | view::SEARCH_OUTPUT)
    }

    /// The ids of the uploaded files that its parts name, and their paths in the item.
    pub(super) fn uploaded_files(&self) -> Vec<(String, String)> {
        let contents = CONTENTS.into_iter().filter_map(|member| Some((member, self.0.get::<Vec<Object>>(member)?)));
        let parts = contents.flat_map(|(member, parts)| parts.into_iter().enumerate().map(move |part| (member, part)));
        let named = parts.filter_map(|(member, (index, part))| {
            let id = part.get::<String>("file_id").filter(|id| is_file_id(id))?;
            Some((id, format!("{member}[{index}].file_id")))
        });
        named.collect()
    }

    /// Whether the item asks for a compaction.
    #[must_use]
    pub fn is_trigger(&self) -> bool {
        self.kind() == view::COMPACTION_TRIGGER
    }

    /// Whether this is a reference to a stored item with the same id.
    #[must_use]
    pub fn is_reference(&self) -> bool {
        self.kind() == view::REFERENCE
    }
}

impl serde::Serialize for Item {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// Reads the JSON list of items at `path` of a body.
///
/// Normalises the items. Every item has an `id` and a `type`, most have a `status`, and contents are lists of parts. Items without an id get one of `ids`, and so do items of a response whose id cannot be kept:
/// clients send ids that other services made. References stay as they are.
///
/// # Errors
/// If this is not a list, it has more than 5,000 items, an item is unknown or invalid, two items or two references
/// have the same id, or the id of a reference or of a conversation's item is none of weir's shape. The error names the path.
pub fn parse_items(json: &[u8], path: &str, ids: NewIds<'_>) -> Result<Vec<Item>, Invalid> {
    let list: Vec<Box<RawValue>> = read_at(json, path)?;
    if list.len() > MOST_ITEMS {
        return Err(invalid(path, format_args!("it has {} items, expected at most {MOST_ITEMS}", list.len())));
    }
    let mut seen = HashSet::new();
    let item = |(index, raw): (usize, Box<RawValue>)| {
        let at = format!("{path}[{index}]");
        let item = normalise(&read_at(raw.get().as_bytes(), &at)?, &at, ids, index)?;
        if !seen.insert((item.is_reference(), item.id())) {
            return Err(invalid(format!("{at}.id"), format_args!("the id '{}' is there twice", item.id())));
        }
        Ok(item)
    };
    list.into_iter().enumerate().map(item).collect()
}

/// A user's message with one text. A string as input has this meaning.
pub(super) fn user_text(text: &str, ids: NewIds<'_>) -> Item {
    let content = [Object::default().with("type", "input_text").with("text", text)];
    let head = Object::default().with("id", &ids.make("msg_", 0)).with("type", view::MESSAGE);
    Item(head.with("status", "completed").with("role", "user").with("content", &content))
}

/// The members with parts: of a message, and of the output of a tool.
const CONTENTS: [&str; 2] = ["content", "output"];

/// Types of items without a status.
const STATELESS: [&str; 6] = [
    view::REASONING,
    view::ADDITIONAL_TOOLS,
    view::COMPACTION,
    view::COMPACTION_TRIGGER,
    view::MCP_TOOLS,
    view::MCP_REQUEST,
];

fn normalise(object: &Object, at: &str, ids: NewIds<'_>, index: usize) -> Result<Item, Invalid> {
    let fields = Fields::new(object, at);
    let kind = view::kind(fields)?;
    let view = View::read(object, at)?;
    if let View::Reference { id } = &view {
        if !is_id(id) {
            return Err(not_an_id(fields.path("id")));
        }
        return Ok(Item(Object::default().with("id", id).with("type", view::REFERENCE)));
    }
    let given = fields.optional::<String>("id")?.filter(|id| !id.is_empty());
    let id = match given {
        None => ids.make(view.prefix(), index),
        Some(id) if is_id(&id) => id,
        Some(id) => {
            let replaced = ids.replace(view.prefix(), &id);
            replaced.ok_or_else(|| not_an_id(fields.path("id")))?
        }
    };
    let mut item = Object::default();
    item.set("id", &id);
    item.set("type", &kind);
    let status = match view {
        // Those of OpenAI's tools are many, such as `searching`.
        View::Hosted { .. } => fields.optional("status")?,
        _ => fields.one_of("status", &["in_progress", "completed", "incomplete"])?,
    };
    let has_status = !STATELESS.contains(&kind.as_str());
    if let Some(status) = status.as_deref().or(has_status.then_some("completed")) {
        item.set("status", status);
    }
    let mut rest = object.clone();
    for name in ["id", "type", "status"] {
        rest.remove(name);
    }
    item.extend(&rest);
    match &view {
        View::Message { source, .. } => item.set("content", &part::normalise(&fields.required("content")?, *source)),
        View::Output { .. } => {
            if let output @ TextOrList::List(_) = fields.required("output")? {
                item.set("output", &part::normalise(&output, Source::ToolOutput));
            }
        }
        View::Reasoning { .. } if fields.text("summary").is_none() => item.set("summary", &[(); 0]),
        _ => {}
    }
    Ok(Item(item))
}

/// Whether `text` can be the id of an item or a conversation. Ids become parts of keys, so they are short and have no
/// separators.
#[must_use]
pub fn is_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=128).contains(&text.len()) && text.bytes().all(fits)
}

fn not_an_id(path: String) -> Invalid {
    invalid(path, "expected 1 to 128 letters, digits, '_' and '-'")
}
