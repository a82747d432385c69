//! Reads which tools a model may or must call.

use std::collections::HashSet;

use serde_json::value::RawValue;

use super::{SEARCH, Tool, ToolKind, ToolName, Tools, read};
use crate::dialects::body::read_at;
use crate::dialects::openai_responses::fields::{Fields, invalid, not_one_of, quote_all, unsupported};
use crate::dialects::parts::Name;
use crate::model::invalid::Invalid;
use crate::model::object::Object;

/// The choice in the shape of a chat call, and the only tools that are allowed.
type Choice = (Option<Box<RawValue>>, Option<HashSet<ToolName>>);

const SIMPLE: [&str; 3] = ["auto", "none", "required"];

/// Reads `tool_choice`. Every provider understands a shorter list of tools, so a list of allowed tools removes the others.
pub(super) fn read(request: Fields<'_>, tools: &Tools) -> Result<Choice, Invalid> {
    let Some(text) = request.text("tool_choice") else { return Ok((None, None)) };
    if text.starts_with('"') {
        let choice: String = request.required("tool_choice")?;
        if !SIMPLE.contains(&choice.as_str()) {
            return Err(not_one_of("tool_choice", &choice, &SIMPLE));
        }
        return Ok((as_text(&choice, tools.tools.is_empty())?, None));
    }
    let object: Object = request.required("tool_choice")?;
    let choice = Fields::new(&object, "tool_choice");
    match choice.required::<String>("type")?.as_str() {
        "allowed_tools" => {
            let mode = choice.one_of("mode", &["auto", "required"])?.unwrap_or_else(|| "auto".to_owned());
            let allowed = allowed_names(choice, tools)?;
            Ok((as_text(&mode, allowed.is_empty())?, Some(allowed)))
        }
        _ => Ok((Some(forced(one(choice, tools)?)), None)),
    }
}

fn as_text(choice: &str, is_empty: bool) -> Result<Option<Box<RawValue>>, Invalid> {
    if choice == "required" && is_empty {
        return Err(invalid("tool_choice", "'required' needs at least one function in 'tools'"));
    }
    Ok(serde_json::value::to_raw_value(choice).ok())
}

/// The choice of one tool in the shape of a chat call.
fn forced(tool: &Tool) -> Box<RawValue> {
    let kind = tool.kind.in_chat();
    let choice = Object::default().with("type", kind).with(kind, &Object::default().with("name", &tool.chat_name));
    serde_json::value::to_raw_value(&choice).unwrap_or_default()
}

/// The tool that an object with `type` and `name` names.
fn one<'a>(named: Fields<'_>, tools: &'a Tools) -> Result<&'a Tool, Invalid> {
    let kind: String = named.required("type")?;
    let wanted = match kind.as_str() {
        "function" => ToolKind::Function,
        "custom" => ToolKind::Custom,
        SEARCH => ToolKind::Search,
        other => {
            let known = quote_all(&["function", "custom", SEARCH, "allowed_tools"]);
            let message = format!("Choices of the type '{other}' are not supported, only {known}.");
            return Err(unsupported(named.path("type"), message, "unsupported_tool"));
        }
    };
    let (name, namespace) = match wanted {
        ToolKind::Search => (SEARCH.to_owned(), None),
        _ => (named.required::<Name>("name")?.0, named.optional::<Name>("namespace")?.map(|name| name.0)),
    };
    let fits = |tool: &&Tool| {
        let is_there = namespace.is_none() || tool.name.namespace == namespace;
        tool.kind == wanted && tool.name.name == name && is_there
    };
    // A name without a namespace may be that of a tool in one.
    let found = tools.tools.iter().filter(fits).min_by_key(|tool| tool.name.namespace.is_some());
    found.ok_or_else(|| invalid(named.path("name"), format_args!("there is no {kind} '{name}' in 'tools'")))
}

/// The names of the allowed tools that are offered.
fn allowed_names(choice: Fields<'_>, tools: &Tools) -> Result<HashSet<ToolName>, Invalid> {
    let list: Vec<Box<RawValue>> = choice.required("tools")?;
    let mut names = HashSet::new();
    for (index, entry) in list.iter().enumerate() {
        let at = format!("tool_choice.tools[{index}]");
        let entry: Object = read_at(entry.get().as_bytes(), &at)?;
        let fields = Fields::new(&entry, &at);
        if read::can_be_left_out(&fields.required::<String>("type")?) {
            continue;
        }
        names.insert(one(fields, tools)?.name.clone());
    }
    Ok(names)
}
