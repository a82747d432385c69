//! Writes the tools of a chat call as those of a request for a response.

use serde_json::json;
use shared::model::object::Object;
use shared::model::provider::Failure;

use super::request::{copy, copy_member};
use crate::conversation::invalid_request;

/// Sets the members about tools. Tools that run at the provider pass as they are: [`crate::openai`] passes them, too, and a budget pays
/// for none that the models file does not allow.
pub(super) fn write(chat: &Object, request: &mut Object) -> Result<(), Failure> {
    if let Some(text) = chat.text("tools").filter(|text| *text != "null") {
        let tools: Vec<Object> =
            serde_json::from_str(text).map_err(|_| invalid_request("tools", "`tools` must be an array of tools"))?;
        request.set("tools", &tools.into_iter().map(tool).collect::<Vec<_>>());
    }
    match chat.get::<Object>("tool_choice") {
        Some(choice) => request.set("tool_choice", &self::choice(choice)),
        None => copy_member(chat, "tool_choice", request, "tool_choice"),
    }
    Ok(())
}

fn tool(tool: Object) -> Object {
    match tool.get::<String>("type").as_deref() {
        Some("function") => function(tool),
        Some("custom") => custom(tool),
        _ => tool,
    }
}

/// Without `strict`, a chat call is not strict, and a request for a response is.
fn function(mut tool: Object) -> Object {
    let mut function = unwrapped(&mut tool, "function");
    if function.text("strict").is_none_or(|text| text == "null") {
        function.set("strict", &false);
    }
    if function.text("parameters").is_none_or(|text| text == "null") {
        function.set("parameters", &json!({"type": "object", "properties": {}}));
    }
    joined(tool, &function)
}

fn custom(mut tool: Object) -> Object {
    let mut custom = unwrapped(&mut tool, "custom");
    if let Some(mut format) = custom.get::<Object>("format") {
        let grammar = unwrapped(&mut format, "grammar");
        custom.set("format", &joined(format, &grammar));
    }
    joined(tool, &custom)
}

fn choice(mut choice: Object) -> Object {
    let Some(kind) = choice.get::<String>("type") else { return choice };
    let mut inner = unwrapped(&mut choice, &kind);
    if let Some(tools) = inner.get::<Vec<Object>>("tools") {
        inner.set("tools", &tools.into_iter().map(self::choice).collect::<Vec<_>>());
    }
    joined(choice, &inner)
}

/// Takes the object out that has the members of a tool in a chat call.
fn unwrapped(tool: &mut Object, name: &str) -> Object {
    let inner = tool.get(name).unwrap_or_default();
    tool.remove(name);
    // It is a mark of Anthropic's.
    tool.remove("cache_control");
    inner
}

fn joined(mut outer: Object, inner: &Object) -> Object {
    for (name, text) in inner.members().filter(|(name, _)| *name != "cache_control") {
        copy(text, &mut outer, name);
    }
    outer
}
