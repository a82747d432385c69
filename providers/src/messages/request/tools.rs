//! Tools and the choice among them.

use shared::model::object::Object;
use shared::model::provider::Failure;

use super::content::mark;
use super::history::History;
use super::{Accepts, present, refuse_others, required};
use crate::conversation::{invalid_request, unsupported};

/// A tool that finds other tools among those whose definitions are sent later. All definitions are sent here, so there is nothing to find.
const SEARCH: &str = "tool_search_tool_";

/// Writes `tools`, `tool_choice` and `parallel_tool_calls`.
///
/// # Errors
/// `Unsupported` for a tool that only Anthropic defines or runs. `Refused` if a tool or the choice is invalid.
pub(super) fn write(body: &Object, history: &History, accepts: Accepts, chat: &mut Object) -> Result<(), Failure> {
    let tools: Vec<Object> = present(body, "tools", "")?.unwrap_or_default();
    let mut functions = Vec::new();
    for (index, tool) in tools.iter().enumerate() {
        functions.extend(function(tool, &format!("tools[{index}]"), accepts)?);
    }
    let is_new = |added: &&Object| tools.iter().all(|tool| tool.text("name") != added.text("name"));
    for tool in history.tools.iter().filter(is_new) {
        functions.extend(function(tool, "messages", accepts)?);
    }
    if functions.is_empty() {
        // Servers refuse a choice among no tools.
        return Ok(());
    }
    chat.set("tools", &functions);
    match present(body, "tool_choice", "")? {
        Some(choice) => choose(&choice, chat),
        None => Ok(()),
    }
}

/// The function for a tool of the client.
fn function(tool: &Object, at: &str, accepts: Accepts) -> Result<Option<Object>, Failure> {
    match tool.get::<String>("type").as_deref() {
        None | Some("custom") => {}
        Some(kind) if kind.starts_with(SEARCH) => return Ok(None),
        Some(kind) => {
            return Err(unsupported(
                at,
                format!("{at}: tools of the type `{kind}` are not supported by this provider"),
            ));
        }
    }
    let mut function = Object::default().with("name", &required::<String>(tool, "name", at)?);
    if let Some(description) = tool.get::<String>("description") {
        function.set("description", &description);
    }
    function.set_raw("parameters", required(tool, "input_schema", at)?);
    if tool.get("strict").unwrap_or(false) {
        function.set("strict", &true);
    }
    let tool_mark = mark(tool).filter(|_| accepts.marks);
    let function = Object::default().with("type", "function").with("function", &function);
    Ok(Some(match tool_mark {
        Some(mark) => function.with("cache_control", &mark),
        None => function,
    }))
}

fn choose(choice: &Object, chat: &mut Object) -> Result<(), Failure> {
    let kind: String = required(choice, "type", "tool_choice")?;
    match kind.as_str() {
        "auto" | "none" => chat.set("tool_choice", &kind),
        "any" => chat.set("tool_choice", "required"),
        "tool" => {
            let named = Object::default().with("name", &required::<String>(choice, "name", "tool_choice")?);
            chat.set("tool_choice", &Object::default().with("type", "function").with("function", &named));
        }
        other => {
            return Err(invalid_request(
                "tool_choice.type",
                format!("tool_choice.type: `{other}` is no choice of a tool"),
            ));
        }
    }
    refuse_others(choice, "tool_choice", &["type", "name", "disable_parallel_tool_use"])?;
    if choice.get("disable_parallel_tool_use").unwrap_or(false) {
        chat.set("parallel_tool_calls", &false);
    }
    Ok(())
}
