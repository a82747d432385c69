//! Writes the members of a request other than its input and its tools as members of a chat call.

use serde_json::value::RawValue;

use super::fields::{Fields, not_one_of};
use crate::dialects::parts::{Count, Name};
use crate::model::invalid::Invalid;
use crate::model::object::Object;

/// String members with the same meaning in both APIs.
const SAME_TEXTS: [&str; 5] =
    ["user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "service_tier"];

/// Reads the settings as members of a chat call. `metadata` is not sent to providers.
pub(super) fn read(fields: Fields<'_>, logprobs: bool) -> Result<Object, Invalid> {
    let mut chat = Object::default();
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
        copy(reasoning, "summary", &mut chat, "reasoning_summary");
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
