//! Writes the members of a request other than its input as members of a chat call.

use std::collections::HashSet;

use serde_json::value::RawValue;

use super::fields::{Fields, invalid, not_one_of, quote_all, unsupported};
use crate::dialects::body::read_at;
use crate::dialects::parts::{Count, Name};
use crate::model::invalid::Invalid;
use crate::model::object::Object;

/// String members with the same meaning in both APIs.
const SAME_TEXTS: [&str; 5] =
    ["user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "service_tier"];

/// Reads the settings as members of a chat call. `metadata` is not sent to providers.
pub(super) fn read(fields: Fields<'_>, logprobs: bool) -> Result<Object, Invalid> {
    let mut chat = Object::default();
    tools(fields, &mut chat)?;
    if let Some(count) = fields.optional::<Count>("max_output_tokens")? {
        chat.set("max_completion_tokens", &count.0);
    }
    fields.number("temperature", 0.0, 2.0)?;
    fields.number("top_p", 0.0, 1.0)?;
    fields.optional::<Object>("prompt_cache_options")?;
    for name in SAME_TEXTS {
        fields.optional::<String>(name)?;
    }
    for name in SAME_TEXTS.iter().chain(&["temperature", "top_p", "prompt_cache_options"]) {
        copy(fields, name, &mut chat, name);
    }
    self::logprobs(fields, logprobs, &mut chat)?;
    text(fields, &mut chat)?;
    if let Some(reasoning) = fields.optional::<Object>("reasoning")? {
        let reasoning = Fields::new(&reasoning, "reasoning");
        reasoning.one_of("effort", &["none", "minimal", "low", "medium", "high", "xhigh", "max"])?;
        reasoning.one_of("summary", &["auto", "concise", "detailed"])?;
        copy(reasoning, "effort", &mut chat, "reasoning_effort");
    }
    Ok(chat)
}

/// Copies a member, if it is present, with its exact text.
fn copy(from: Fields<'_>, name: &str, to: &mut Object, new_name: &str) {
    if let Some(text) = from.text(name).and_then(|text| RawValue::from_string(text.to_owned()).ok()) {
        to.set_raw(new_name, text);
    }
}

fn logprobs(fields: Fields<'_>, included: bool, chat: &mut Object) -> Result<(), Invalid> {
    fields.number("top_logprobs", 0.0, 20.0)?;
    let top: u64 = fields.optional("top_logprobs")?.unwrap_or(0);
    if included || top > 0 {
        chat.set("logprobs", &true);
    }
    if top > 0 {
        chat.set("top_logprobs", &top);
    }
    Ok(())
}

fn text(fields: Fields<'_>, chat: &mut Object) -> Result<(), Invalid> {
    let Some(text) = fields.optional::<Object>("text")? else { return Ok(()) };
    let text = Fields::new(&text, "text");
    text.one_of("verbosity", &["low", "medium", "high"])?;
    copy(text, "verbosity", chat, "verbosity");
    let Some(format) = text.optional::<Object>("format")? else { return Ok(()) };
    let format = Fields::new(&format, "text.format");
    match format.required::<String>("type")?.as_str() {
        "text" => {}
        "json_object" => chat.set("response_format", &Object::default().with("type", "json_object")),
        "json_schema" => chat.set("response_format", &json_schema(format)?),
        other => return Err(not_one_of("text.format.type", other, &["text", "json_object", "json_schema"])),
    }
    Ok(())
}

fn json_schema(format: Fields<'_>) -> Result<Object, Invalid> {
    format.required::<Name>("name")?;
    format.required::<Object>("schema")?;
    format.optional::<String>("description")?;
    format.optional::<bool>("strict")?;
    let mut schema = Object::default();
    for name in ["name", "description", "schema", "strict"] {
        copy(format, name, &mut schema, name);
    }
    Ok(Object::default().with("type", "json_schema").with("json_schema", &schema))
}

/// Copies the tools and the members about tools. A chat call without tools must not have the latter.
fn tools(fields: Fields<'_>, chat: &mut Object) -> Result<(), Invalid> {
    let tools: Vec<Object> = fields.optional("tools")?.unwrap_or_default();
    let nested = tools.iter().enumerate().map(|(index, tool)| nest_tool(tool, index));
    let mut nested: Vec<(String, Object)> = nested.collect::<Result<_, _>>()?;
    let choice = choice(fields, &mut nested)?;
    fields.optional::<bool>("parallel_tool_calls")?;
    if nested.is_empty() {
        return Ok(());
    }
    chat.set("tools", &nested.iter().map(|(_, tool)| tool).collect::<Vec<_>>());
    if let Some(choice) = choice {
        chat.set_raw("tool_choice", choice);
    }
    copy(fields, "parallel_tool_calls", chat, "parallel_tool_calls");
    Ok(())
}

/// The name of a function, and the tool in the shape of a chat call.
fn nest_tool(tool: &Object, index: usize) -> Result<(String, Object), Invalid> {
    let at = format!("tools[{index}]");
    let fields = Fields::new(tool, &at);
    let kind: String = fields.required("type")?;
    if kind != "function" {
        let path = fields.path("type");
        let message = format!("Tools of the type '{kind}' are not supported, only {}.", quote_all(&["function"]));
        return Err(unsupported(path, message, "unsupported_tool"));
    }
    let name = fields.required::<Name>("name")?.0;
    fields.optional::<String>("description")?;
    fields.optional::<Object>("parameters")?;
    fields.optional::<bool>("strict")?;
    let mut function = Object::default();
    for member in ["name", "description", "parameters", "strict"] {
        copy(fields, member, &mut function, member);
    }
    Ok((name, Object::default().with("type", "function").with("function", &function)))
}

/// The choice in the shape of a chat call. Every provider understands a shorter list of tools, so a list of allowed
/// tools removes the others.
fn choice(fields: Fields<'_>, tools: &mut Vec<(String, Object)>) -> Result<Option<Box<RawValue>>, Invalid> {
    let Some(text) = fields.text("tool_choice") else { return Ok(None) };
    let simple = ["auto", "none", "required"];
    if text.starts_with('"') {
        let choice: String = fields.required("tool_choice")?;
        if !simple.contains(&choice.as_str()) {
            return Err(not_one_of("tool_choice", &choice, &simple));
        }
        return as_text(&choice, tools);
    }
    let object: Object = fields.required("tool_choice")?;
    let choice = Fields::new(&object, "tool_choice");
    match choice.required::<String>("type")?.as_str() {
        "function" => {
            let name = choice.required::<Name>("name")?.0;
            if !tools.iter().any(|(known, _)| *known == name) {
                return Err(invalid("tool_choice.name", format_args!("there is no function '{name}' in 'tools'")));
            }
            let function = Object::default().with("name", &name);
            let choice = Object::default().with("type", "function").with("function", &function);
            Ok(serde_json::value::to_raw_value(&choice).ok())
        }
        "allowed_tools" => {
            let mode = choice.one_of("mode", &["auto", "required"])?.unwrap_or_else(|| "auto".to_owned());
            let allowed = allowed_names(choice)?;
            tools.retain(|(name, _)| allowed.contains(name));
            as_text(&mode, tools)
        }
        other => Err(unsupported(
            "tool_choice.type",
            format!("Choices of the type '{other}' are not supported, only 'function' and 'allowed_tools'."),
            "unsupported_tool",
        )),
    }
}

fn as_text(choice: &str, tools: &[(String, Object)]) -> Result<Option<Box<RawValue>>, Invalid> {
    if choice == "required" && tools.is_empty() {
        return Err(invalid("tool_choice", "'required' needs at least one function in 'tools'"));
    }
    Ok(serde_json::value::to_raw_value(choice).ok())
}

/// The names of the allowed functions.
fn allowed_names(choice: Fields<'_>) -> Result<HashSet<String>, Invalid> {
    let tools: Vec<Box<RawValue>> = choice.required("tools")?;
    let name = |(index, tool): (usize, Box<RawValue>)| {
        let at = format!("tool_choice.tools[{index}]");
        let tool: Object = read_at(tool.get().as_bytes(), &at)?;
        let fields = Fields::new(&tool, &at);
        match fields.required::<String>("type")?.as_str() {
            "function" => Ok(fields.required::<Name>("name")?.0),
            other => Err(not_one_of(fields.path("type"), other, &["function"])),
        }
    };
    tools.into_iter().enumerate().map(name).collect()
}
