//! What weir reads of an item.

use super::fields::{Fields, TextOrList, invalid, quoted, unsupported};
use super::part::{self, Part, Source};
use crate::dialects::parts::{Name, missing};
use crate::model::invalid::Invalid;
use crate::model::object::Object;

pub(super) const MESSAGE: &str = "message";
pub(super) const CALL: &str = "function_call";
pub(super) const OUTPUT: &str = "function_call_output";
pub(super) const REASONING: &str = "reasoning";
pub(super) const REFERENCE: &str = "item_reference";

/// What weir reads of an item.
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
        /// JSON text, which nobody checked.
        arguments: String,
    },
    Output {
        call_id: String,
        content: Vec<Part>,
    },
    Reasoning,
    /// Stands for the item with this id.
    Reference {
        id: String,
    },
}

/// The `type` of an item; without one, what has a role is a message and what has only an id is a reference.
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
    /// Reads the item that is found at the path `at`.
    ///
    /// # Errors
    /// An item that weir does not know, or a member that is missing or wrong: said with its path.
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
                let known = quoted(&[MESSAGE, CALL, OUTPUT, REASONING, REFERENCE]);
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
                let known = quoted(&["user", "assistant", "system", "developer"]);
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

    /// What new ids of such items begin with.
    pub(super) fn prefix(&self) -> &'static str {
        match self {
            Self::Call { .. } => "fc_",
            Self::Output { .. } => "fco_",
            Self::Reasoning => "rs_",
            Self::Message { .. } | Self::Reference { .. } => "msg_",
        }
    }
}
