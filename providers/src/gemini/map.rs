//! Writes a conversation as a request of `generateContent`.

use serde_json::Value;
use shared::model::object::Object;
use shared::model::provider::Failure;

use super::contents::{Contents, unsigned};
use super::family::Family;
use super::signatures::Signatures;
use super::thinking::thinking;
use super::wire::{
    Content, FunctionCallingConfig, FunctionDeclaration, GenerationConfig, Payload, Request, ToolConfig, Tools,
};
use crate::conversation::{Conversation, SystemText, Tool, ToolChoice, unsupported};

/// Gemini's limit of texts that end an answer.
const MAX_STOPS: usize = 5;

/// Gemini's limit of the name of a tool, in bytes.
const MAX_NAME: usize = 128;

/// # Errors
/// `Unsupported` if Gemini cannot express the request. `Refused` if the request is invalid.
pub(super) fn request<'a>(
    model: &str,
    body: &Object,
    conversation: &'a Conversation,
    signatures: &'a Signatures,
) -> Result<Request<'a>, Failure> {
    let family = Family::of(model);
    if conversation.stop.len() > MAX_STOPS {
        return Err(unsupported("stop", format!("Gemini takes at most {MAX_STOPS} texts that end an answer")));
    }
    let is_json = conversation.schema.is_some() || is_json_mode(body);
    Ok(Request {
        system_instruction: system(&conversation.system),
        contents: Contents::of(family, &conversation.turns, signatures)?,
        tools: tools(&conversation.tools)?,
        tool_config: tool_config(conversation),
        generation_config: GenerationConfig {
            max_output_tokens: conversation.max_tokens,
            stop_sequences: &conversation.stop,
            temperature: conversation.temperature.filter(|_| family.samples),
            top_p: conversation.top_p.filter(|_| family.samples),
            seed: body.get("seed"),
            thinking_config: thinking(family, conversation.effort),
            response_mime_type: is_json.then_some("application/json"),
            response_json_schema: conversation.schema.as_ref().map(|schema| &*schema.schema),
        },
        service_tier: service_tier(body),
    })
}

/// Whether the answer may be any JSON. Other providers with an API of their own have no such mode.
fn is_json_mode(body: &Object) -> bool {
    body.get::<Value>("response_format").is_some_and(|format| format["type"] == "json_object")
}

/// The body as all of these providers can express it.
pub(super) fn without_json_mode(body: &Object) -> Object {
    let mut rest = body.clone();
    if is_json_mode(body) {
        rest.remove("response_format");
    }
    rest
}

fn system(texts: &[SystemText]) -> Option<Content<'_>> {
    let parts: Vec<_> = texts.iter().map(|text| unsigned(Payload::Text(&text.text))).collect();
    (!parts.is_empty()).then_some(Content { role: None, parts })
}

fn tools(tools: &[Tool]) -> Result<Vec<Tools<'_>>, Failure> {
    let declarations: Vec<_> = tools.iter().map(declaration).collect::<Result<_, _>>()?;
    let list = (!declarations.is_empty()).then_some(Tools { function_declarations: declarations });
    Ok(list.into_iter().collect())
}

fn declaration(tool: &Tool) -> Result<FunctionDeclaration<'_>, Failure> {
    let Tool { name, description, parameters, .. } = tool;
    if !is_name(name) {
        let what = format!("Gemini takes no tool with the name `{name}`: names begin with a letter or `_`");
        return Err(unsupported("tools", what));
    }
    Ok(FunctionDeclaration { name, description: description.as_deref(), parameters_json_schema: parameters })
}

fn is_name(name: &str) -> bool {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
    begins && name.len() <= MAX_NAME && name.chars().all(fits)
}

fn tool_config(conversation: &Conversation) -> Option<ToolConfig<'_>> {
    if conversation.tools.is_empty() {
        return None;
    }
    let (mode, name) = match &conversation.tool_choice {
        ToolChoice::Default => return None,
        ToolChoice::Auto => ("AUTO", None),
        ToolChoice::None => ("NONE", None),
        ToolChoice::Required => ("ANY", None),
        ToolChoice::Function(name) => ("ANY", Some([name.as_str()])),
    };
    Some(ToolConfig { function_calling_config: FunctionCallingConfig { mode, allowed_function_names: name } })
}

/// The tiers with other prices than the default. A call is charged at the price of the tier that it asks for.
fn service_tier(body: &Object) -> Option<&'static str> {
    match body.get::<String>("service_tier")?.as_str() {
        "flex" => Some("flex"),
        "priority" => Some("priority"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tools_are_as_gemini_takes_them() {
        for name in ["a", "_a", "get_weather", "a.b:c-d", &"a".repeat(128)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "1a", "-a", "a b", "é", &"a".repeat(129)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
