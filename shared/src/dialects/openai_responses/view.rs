//! The members of an item that weir reads.

use serde_json::value::RawValue;

use super::compaction;
use super::fields::{Fields, TextOrList, invalid, quote_all, unsupported};
use super::part::{self, Part, Source};
use super::tools::{ToolKind, ToolName, Tools};
use crate::dialects::body::missing;
use crate::dialects::parts::Name;
use crate::model::invalid::Invalid;
use crate::model::object::Object;
use crate::model::reasoning::ReasoningDetails;

pub(super) const MESSAGE: &str = "message";
pub(super) const CALL: &str = "function_call";
pub(super) const OUTPUT: &str = "function_call_output";
pub(super) const CUSTOM_CALL: &str = "custom_tool_call";
pub(super) const CUSTOM_OUTPUT: &str = "custom_tool_call_output";
pub(super) const SEARCH_CALL: &str = "tool_search_call";
pub(super) const SEARCH_OUTPUT: &str = "tool_search_output";
pub(super) const ADDITIONAL_TOOLS: &str = "additional_tools";
pub(super) const REASONING: &str = "reasoning";
pub(super) const REFERENCE: &str = "item_reference";
pub(super) const COMPACTION: &str = "compaction";
pub(super) const COMPACTION_TRIGGER: &str = "compaction_trigger";

const KNOWN: [&str; 12] = [
    MESSAGE,
    CALL,
    OUTPUT,
    CUSTOM_CALL,
    CUSTOM_OUTPUT,
    SEARCH_CALL,
    SEARCH_OUTPUT,
    ADDITIONAL_TOOLS,
    REASONING,
    REFERENCE,
    COMPACTION,
    COMPACTION_TRIGGER,
];

/// Items of the tools that OpenAI runs, with the prefixes of their ids. A conversation that began at OpenAI has them, and its
/// messages say what the tools found.
const HOSTED: [(&str, &str); 7] = [
    ("web_search_call", "ws_"),
    ("image_generation_call", "ig_"),
    ("file_search_call", "fs_"),
    ("code_interpreter_call", "ci_"),
    ("mcp_call", "mcp_"),
    (MCP_TOOLS, "mcpl_"),
    (MCP_REQUEST, "mcpr_"),
];
pub(super) const MCP_TOOLS: &str = "mcp_list_tools";
pub(super) const MCP_REQUEST: &str = "mcp_approval_request";

/// An item, as far as weir reads it.
#[derive(Debug, Clone)]
pub(super) enum View {
    Message {
        role: String,
        source: Source,
        content: Vec<Part>,
    },
    Call {
        call_id: String,
        name: ToolName,
        kind: ToolKind,
        /// Text that should be JSON and is not checked. The input of a custom tool is any text.
        arguments: String,
    },
    Output {
        call_id: String,
        content: Vec<Part>,
    },
    /// Tools that the model can call from here on. Those that answer a search have the id of its call.
    Loaded {
        call_id: Option<String>,
        tools: Vec<Object>,
    },
    Reasoning {
        /// What the model thought, or else its summary. May be empty: some providers do not show it.
        text: String,
        /// What the model wants back.
        details: ReasoningDetails,
    },
    /// Stands for the turns before it.
    Compaction {
        /// For the model.
        message: String,
    },
    CompactionTrigger,
    /// A tool that OpenAI ran: kept and listed, and not sent to the model.
    Hosted {
        prefix: &'static str,
    },
    /// Refers to the item with this id.
    Reference {
        id: String,
    },
}

const SEARCH_PREFIX: &str = "tsc_";

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
            CALL => Self::call(fields, ToolKind::Function, "arguments"),
            CUSTOM_CALL => Self::call(fields, ToolKind::Custom, "input"),
            SEARCH_CALL => Self::search(fields),
            SEARCH_OUTPUT | ADDITIONAL_TOOLS => Self::loaded(fields),
            OUTPUT | CUSTOM_OUTPUT => {
                let content: TextOrList = fields.required("output")?;
                let content = part::read(&content, &fields.path("output"), Source::ToolOutput)?;
                Ok(Self::Output { call_id: name("call_id")?, content })
            }
            REASONING => {
                let texts = |member| -> Result<String, Invalid> {
                    let parts: Vec<Object> = fields.optional(member)?.unwrap_or_default();
                    Ok(parts.iter().filter_map(|part| part.get::<String>("text")).collect())
                };
                let (content, summary) = (texts("content")?, texts("summary")?);
                // Encrypted reasoning of other services is for them only.
                let encrypted: Option<String> = fields.optional("encrypted_content")?;
                let details = encrypted.as_deref().and_then(ReasoningDetails::from_carrier).unwrap_or_default();
                Ok(Self::Reasoning { text: if content.is_empty() { summary } else { content }, details })
            }
            REFERENCE => Ok(Self::Reference { id: name("id")? }),
            COMPACTION => {
                let content: String = fields.required("encrypted_content")?;
                Ok(Self::Compaction { message: compaction::message(&content, fields.path("encrypted_content"))? })
            }
            COMPACTION_TRIGGER => Ok(Self::CompactionTrigger),
            other => Self::hosted(other).ok_or_else(|| unknown(other, fields.path("type"))),
        }
    }

    fn hosted(kind: &str) -> Option<Self> {
        let (_, prefix) = HOSTED.into_iter().find(|(hosted, _)| *hosted == kind)?;
        Some(Self::Hosted { prefix })
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

    fn call(fields: Fields<'_>, kind: ToolKind, input: &str) -> Result<Self, Invalid> {
        let name = |member| fields.required::<Name>(member).map(|name| name.0);
        let namespace = fields.optional::<Name>("namespace")?.map(|name| name.0);
        let (call_id, arguments) = (name("call_id")?, fields.required(input)?);
        Ok(Self::Call { call_id, name: ToolName { namespace, name: name("name")? }, kind, arguments })
    }

    fn search(fields: Fields<'_>) -> Result<Self, Invalid> {
        let arguments = fields.required::<Box<RawValue>>("arguments")?.get().to_owned();
        Ok(match fields.optional::<Name>("call_id")? {
            None => Self::Hosted { prefix: SEARCH_PREFIX },
            Some(id) => Self::Call { call_id: id.0, name: ToolName::search(), kind: ToolKind::Search, arguments },
        })
    }

    fn loaded(fields: Fields<'_>) -> Result<Self, Invalid> {
        let tools: Vec<Object> = fields.required("tools")?;
        Tools::read(&tools, &fields.path("tools"))?;
        Ok(Self::Loaded { call_id: fields.optional::<Name>("call_id")?.map(|name| name.0), tools })
    }

    /// The prefix of new ids for items of this kind.
    pub(super) fn prefix(&self) -> &'static str {
        match self {
            Self::Call { kind: ToolKind::Function, .. } => "fc_",
            Self::Call { kind: ToolKind::Custom, .. } => "ctc_",
            Self::Call { kind: ToolKind::Search, .. } => SEARCH_PREFIX,
            Self::Output { .. } => "fco_",
            Self::Loaded { call_id: Some(_), .. } => "tso_",
            Self::Loaded { call_id: None, .. } => "at_",
            Self::Reasoning { .. } => "rs_",
            Self::Hosted { prefix } => prefix,
            Self::Compaction { .. } | Self::CompactionTrigger => "cmp_",
            Self::Message { .. } | Self::Reference { .. } => "msg_",
        }
    }
}

fn unknown(kind: &str, path: String) -> Invalid {
    let known: Vec<_> = KNOWN.into_iter().chain(HOSTED.map(|(kind, _)| kind)).collect();
    let known = quote_all(&known);
    let message = format!("Invalid value for '{path}': items of the type '{kind}' are not supported, only {known}.");
    unsupported(path, message, "unsupported_item")
}
