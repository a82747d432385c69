//! The members of an item that weir reads.

use super::fields::{Fields, TextOrList, invalid, quote_all, unsupported};
use super::part::{self, Part, Source};
use crate::dialects::body::missing;
use crate::dialects::parts::Name;
use crate::model::invalid::Invalid;
use crate::model::object::Object;

pub(super) const MESSAGE: &str = "message";
pub(super) const CALL: &str = "function_call";
pub(super) const OUTPUT: &str = "function_call_output";
pub(super) const REASONING: &str = "reasoning";
pub(super) const REFERENCE: &str = "item_reference";

/// An item, as far as weir reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum View {
    Message {
        role: String,
        source: Source,
        content: Vec<Part>,
    },
    Call {
        call_id: String,
        name: String,
        /// Text that should be JSON. It is not checked.
        arguments: String,
    },
    Output {
        call_id: String,
        content: Vec<Part>,
    },
    Reasoning,
    /// Refers to the item with this id.
    Reference {
        id: String,
    },
}

/// The `type` of an item. An item without a type is a message if it has a role, and a reference if it has only an id.
pub(super) fn kind(fields: Fields<'_>) -> Result<String, Invalid> {
    if let Some(kind) = fields.optional::<String>("type")? {
        return Ok(kind);
    }
    match (fields.text("role"), fields.text("id")) {
        (Some(_), _) => Ok(MESSAGE.to_owned()),
        (None, Some(_)) => Ok(REFERENCE.to_owned()),
        (None, None) => Err(missing(&fields.path("type"))),
    }
}

impl View {
    /// Reads the item at the path `at`.
    ///
    /// # Errors
    /// If the item has an unknown type, or a member is missing or invalid. The error names the path.
    pub(super) fn read(item: &Object, at: &str) -> Result<Self, Invalid> {
        let fields = Fields::new(item, at);
        let name = |member| fields.required::<Name>(member).map(|name| name.0);
        let kind = kind(fields)?;
        match kind.as_str() {
            MESSAGE => Self::message(fields),
            CALL => Ok(Self::Call {
                call_id: name("call_id")?,
                name: name("name")?,
                arguments: fields.required("arguments")?,
            }),
            OUTPUT => {
                let content: TextOrList = fields.required("output")?;
                let content = part::read(&content, &fields.path("output"), Source::ToolOutput)?;
                Ok(Self::Output { call_id: name("call_id")?, content })
            }
            REASONING => {
                for member in ["summary", "content"] {
                    fields.optional::<Vec<Object>>(member)?;
                }
                Ok(Self::Reasoning)
            }
            REFERENCE => Ok(Self::Reference { id: name("id")? }),
            other => {
                let known = quote_all(&[MESSAGE, CALL, OUTPUT, REASONING, REFERENCE]);
                let path = fields.path("type");
                let message =
                    format!("Invalid value for '{path}': items of the type '{other}' are not supported, only {known}.");
                Err(unsupported(path, message, "unsupported_item"))
            }
        }
    }

    fn message(fields: Fields<'_>) -> Result<Self, Invalid> {
        let role: String = fields.required("role")?;
        let source = match role.as_str() {
            "user" => Source::User,
            "assistant" => Source::Assistant,
            "system" | "developer" => Source::Instructions,
            other => {
                let known = quote_all(&["user", "assistant", "system", "developer"]);
                return Err(invalid(
                    fields.path("role"),
                    format_args!("'{other}' is no role, expected one of {known}"),
                ));
            }
        };
        let content: TextOrList = fields.required("content")?;
        let content = part::read(&content, &fields.path("content"), source)?;
        Ok(Self::Message { role, source, content })
    }

    /// The prefix of new ids for items of this kind.
    pub(super) fn prefix(&self) -> &'static str {
        match self {
            Self::Call { .. } => "fc_",
            Self::Output { .. } => "fco_",
            Self::Reasoning => "rs_",
            Self::Message { .. } | Self::Reference { .. } => "msg_",
        }
    }
}
