//! Tools that come and go within a conversation: `tool_addition` and `tool_removal`, a beta.
//!
//! A chat completion has one list of tools. Each tool of the conversation is in it, and a text says from where on it counts.

use serde_json::Value;
use shared::model::object::Object;

use super::content::Part;

/// The text for a block.
pub(super) fn parts(block: &Object, kind: &str) -> Vec<Part> {
    let mut names = Vec::new();
    for member in ["tool", "tools", "tool_name", "tool_names"] {
        collect(&block.get(member).unwrap_or_default(), &mut names);
    }
    if names.is_empty() {
        return Vec::new();
    }
    let word = if kind == "tool_addition" { "From here on you can use" } else { "From here on you must not use" };
    vec![Part::text(format!("{word}: {}.", names.join(", ")))]
}

/// Names, which are texts, or the name of a tool or of a reference to one.
fn collect(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::String(name) => names.push(format!("`{name}`")),
        Value::Array(values) => values.iter().for_each(|value| collect(value, names)),
        Value::Object(members) => {
            let name = members.get("name").or_else(|| members.get("tool_name"));
            collect(name.unwrap_or(&Value::Null), names);
        }
        _ => {}
    }
}

/// The definitions of tools in a block. References to other tools have no schema.
pub(super) fn definitions(block: &Object) -> Vec<Object> {
    let one: Option<Object> = block.get("tool");
    let several: Vec<Object> = block.get("tools").unwrap_or_default();
    one.into_iter().chain(several).filter(|tool| tool.text("input_schema").is_some()).collect()
}
