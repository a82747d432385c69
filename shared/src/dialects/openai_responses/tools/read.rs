//! Reads a tool of a request.

use serde_json::value::RawValue;

use super::{SEARCH, Tool, ToolKind, ToolName};
use crate::dialects::body::read_at;
use crate::dialects::openai_responses::fields::{Fields, invalid, quote_all, unsupported};
use crate::dialects::parts::Name;
use crate::model::invalid::Invalid;
use crate::model::object::Object;

/// The types of tools that weir passes on.
const KINDS: [&str; 4] = ["function", "custom", "namespace", SEARCH];

/// Whether OpenAI runs tools of this type, and a model can do its work without them. Agents offer them to every model. A
/// model without `mcp`, `file_search` or `code_interpreter` would answer something else than its caller asked for.
pub(super) fn can_be_left_out(kind: &str) -> bool {
    kind.starts_with("web_search") || kind == "image_generation"
}

/// Reads one entry of a list of tools: a namespace has several tools. `None`: it is left out.
pub(super) fn tool(fields: Fields<'_>) -> Result<Option<Vec<Tool>>, Invalid> {
    match fields.required::<String>("type")?.as_str() {
        "namespace" => namespace(fields).map(Some),
        // Functions with `defer_loading`, which the server would search, are offered at once.
        SEARCH if fields.one_of("execution", &["server", "client"])?.as_deref() != Some("client") => Ok(None),
        SEARCH => Ok(Some(vec![search(fields)?])),
        kind if can_be_left_out(kind) => Ok(None),
        _ => Ok(Some(vec![named_tool(fields, None)?])),
    }
}

/// A function or a custom tool.
fn named_tool(fields: Fields<'_>, namespace: Option<&str>) -> Result<Tool, Invalid> {
    let kind: String = fields.required("type")?;
    let (kind, chat) = match kind.as_str() {
        "function" => (ToolKind::Function, function(fields)?),
        "custom" => (ToolKind::Custom, custom(fields)?),
        other => {
            let path = fields.path("type");
            let message = format!("Tools of the type '{other}' are not supported, only {}.", quote_all(&KINDS));
            return Err(unsupported(path, message, "unsupported_tool"));
        }
    };
    let name = fields.required::<Name>("name")?.0;
    let name = ToolName { namespace: namespace.map(str::to_owned), name };
    Ok(Tool { name, kind, chat_name: String::new(), chat })
}

fn function(fields: Fields<'_>) -> Result<Object, Invalid> {
    fields.required::<Name>("name")?;
    fields.optional::<String>("description")?;
    fields.optional::<Object>("parameters")?;
    fields.optional::<bool>("strict")?;
    Ok(copied(fields, &["description", "parameters", "strict"]))
}

fn custom(fields: Fields<'_>) -> Result<Object, Invalid> {
    fields.required::<Name>("name")?;
    fields.optional::<String>("description")?;
    let mut chat = copied(fields, &["description"]);
    let Some(format) = fields.optional::<Object>("format")? else { return Ok(chat) };
    let at = fields.path("format");
    let format = Fields::new(&format, &at);
    if format.one_of("type", &["text", "grammar"])?.as_deref() == Some("grammar") {
        format.required::<String>("definition")?;
        format.one_of("syntax", &["lark", "regex"])?;
        let grammar = copied(format, &["definition", "syntax"]);
        chat.set("format", &Object::default().with("type", "grammar").with("grammar", &grammar));
    }
    Ok(chat)
}

/// The function by which a model asks the client for more tools.
fn search(fields: Fields<'_>) -> Result<Tool, Invalid> {
    fields.optional::<String>("description")?;
    fields.optional::<Object>("parameters")?;
    let chat = copied(fields, &["description", "parameters"]);
    Ok(Tool { name: ToolName::search(), kind: ToolKind::Search, chat_name: String::new(), chat })
}

/// The tools of a namespace. The first of them tells the model what the namespace is for.
fn namespace(fields: Fields<'_>) -> Result<Vec<Tool>, Invalid> {
    let name = fields.required::<Name>("name")?.0;
    let description: Option<String> = fields.optional("description")?;
    let list: Vec<Box<RawValue>> = fields.required("tools")?;
    if list.is_empty() {
        return Err(invalid(fields.path("tools"), "a namespace has at least one tool"));
    }
    let tool = |(index, tool): (usize, Box<RawValue>)| {
        let at = format!("{}[{index}]", fields.path("tools"));
        let tool: Object = read_at(tool.get().as_bytes(), &at)?;
        named_tool(Fields::new(&tool, &at), Some(&name))
    };
    let mut tools: Vec<Tool> = list.into_iter().enumerate().map(tool).collect::<Result<_, _>>()?;
    if let (Some(about), Some(first)) = (description.filter(|text| !text.is_empty()), tools.first_mut()) {
        let own: String = first.chat.get("description").unwrap_or_default();
        first.chat.set("description", format!("{own}\n\nAll tools of '{name}': {about}").trim_start());
    }
    Ok(tools)
}

/// Copies members, with their exact text.
fn copied(from: Fields<'_>, names: &[&str]) -> Object {
    let mut copy = Object::default();
    for name in names {
        if let Some(text) = from.text(name).and_then(|text| RawValue::from_string(text.to_owned()).ok()) {
            copy.set_raw(name, text);
        }
    }
    copy
}

/// The tool as the response shows it: with all members of OpenAI's functions. OpenAI's default for `strict` is true. A chat
/// call's default is false, so the response shows false.
pub(super) fn shown(tool: &Object) -> Object {
    let mut tool = tool.clone();
    if tool.get::<String>("type").as_deref() == Some("function") {
        for (name, default) in [("description", "null"), ("parameters", "null"), ("strict", "false")] {
            let is_absent = tool.text(name).is_none_or(|text| text == "null");
            if let Some(default) = RawValue::from_string(default.to_owned()).ok().filter(|_| is_absent) {
                tool.set_raw(name, default);
            }
        }
    }
    tool
}
