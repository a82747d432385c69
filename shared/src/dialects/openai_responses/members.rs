//! The members that a request may have. A member that weir does not know could change the answer, so it is refused.

use super::fields::{Fields, invalid, unsupported};
use crate::dialects::unknown::{refused, unknown};
use crate::model::invalid::Invalid;
use crate::model::object::Object;

/// OpenAI's members of a request for a response.
const RESPONSE: [&str; 31] = [
    "background",
    "context_management",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "moderation",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// Members that change nothing here: of Codex, of OpenAI's programs, and of requests that only count tokens.
const IGNORED: [&str; 5] = ["client_metadata", "background_options", "access_programs", "image", "personality"];

const REASONING: [&str; 5] = ["effort", "summary", "generate_summary", "context", "mode"];
const TEXT: [&str; 2] = ["format", "verbosity"];
const FORMAT: [&str; 5] = ["type", "name", "description", "schema", "strict"];

/// Members that change the answer and that weir does not support. Each has a hint for the caller.
const UNSUPPORTED: [(&str, &str); 4] = [
    ("prompt", "Stored prompts are not supported: send their text in 'instructions' and 'input'."),
    ("moderation", "Moderation within a response is not supported: use '/v1/moderations'."),
    ("context_management", "Context management is not supported: send a shorter 'input'."),
    ("multi_agent", "Several agents within a response are not supported: make a response for each."),
];

/// Members of chat completions that have another name here.
const MOVED: [(&str, &str); 10] = [
    ("messages", "input"),
    ("max_tokens", "max_output_tokens"),
    ("max_completion_tokens", "max_output_tokens"),
    ("response_format", "text.format"),
    ("verbosity", "text.verbosity"),
    ("reasoning_effort", "reasoning.effort"),
    ("functions", "tools"),
    ("function_call", "tool_choice"),
    ("logprobs", "top_logprobs"),
    ("system", "instructions"),
];

/// Members of chat completions that responses do not have.
const OF_CHAT_ALONE: [&str; 11] = [
    "audio",
    "frequency_penalty",
    "logit_bias",
    "modalities",
    "n",
    "prediction",
    "presence_penalty",
    "seed",
    "stop",
    "top_k",
    "web_search_options",
];

/// The fewest output tokens that a request may ask for, as at OpenAI.
const FEWEST_OUTPUT_TOKENS: u64 = 16;
/// The most characters of a name or a key, as at OpenAI.
const MOST_CHARACTERS: usize = 64;
const TIERS: [&str; 7] = ["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"];

/// Refuses members whose effect weir lacks. A request that was stored may have others, which did nothing.
pub(super) fn check_supported(fields: Fields<'_>) -> Result<(), Invalid> {
    match UNSUPPORTED.iter().find(|(name, _)| fields.text(name).is_some()) {
        Some((name, message)) => Err(unsupported(*name, *message, "unsupported_parameter")),
        None => Ok(()),
    }
}

/// Refuses unknown members, and values that OpenAI refuses and that an earlier version of weir accepted.
pub(super) fn check(fields: Fields<'_>) -> Result<(), Invalid> {
    let known = || RESPONSE.iter().chain(&IGNORED).copied();
    if let Some(name) = fields.names().find(|name| !known().any(|known| known == *name)) {
        return Err(unknown_in_response(name));
    }
    check_nested(fields, "reasoning", &REASONING)?;
    check_nested(fields, "text", &TEXT)?;
    if let Some(text) = fields.optional("text")? {
        let text = Fields::new(&text, "text");
        check_nested(text, "format", &FORMAT)?;
    }
    fields.one_of("service_tier", &TIERS)?;
    check_limits(fields)
}

/// Refuses unknown members of the object that a body has or that is at a path of it.
pub(super) fn check_known(fields: Fields<'_>, known: &[&str]) -> Result<(), Invalid> {
    match fields.names().find(|name| !known.contains(name)) {
        Some(name) => Err(unknown(fields.at(), name, known.iter().copied())),
        None => Ok(()),
    }
}

fn check_nested(fields: Fields<'_>, name: &str, known: &[&str]) -> Result<(), Invalid> {
    let Some(object) = fields.optional(name)? else { return Ok(()) };
    check_known(Fields::new(&object, &fields.path(name)), known)
}

fn unknown_in_response(name: &str) -> Invalid {
    if let Some((_, new)) = MOVED.iter().find(|(old, _)| *old == name) {
        return refused(name, Some(&format!("Did you mean '{new}'?")));
    }
    if OF_CHAT_ALONE.contains(&name) {
        return refused(name, Some("Only '/v1/chat/completions' has it."));
    }
    unknown("", name, RESPONSE)
}

fn check_limits(fields: Fields<'_>) -> Result<(), Invalid> {
    if let Some(asked) = fields.optional::<u64>("max_output_tokens")?.filter(|asked| *asked < FEWEST_OUTPUT_TOKENS) {
        let reason = format!("{asked} is below the minimum of {FEWEST_OUTPUT_TOKENS}");
        return Err(Invalid { code: Some("integer_below_min_value"), ..invalid("max_output_tokens", reason) });
    }
    check_length(fields, "safety_identifier")?;
    check_namespaces(fields)
}

/// Refuses a text that is longer than OpenAI takes.
pub(super) fn check_length(fields: Fields<'_>, name: &str) -> Result<(), Invalid> {
    let length = fields.optional::<String>(name)?.map_or(0, |text| text.chars().count());
    if length > MOST_CHARACTERS {
        let reason = format!("it has {length} characters, expected at most {MOST_CHARACTERS}");
        return Err(Invalid { code: Some("string_above_max_length"), ..invalid(fields.path(name), reason) });
    }
    Ok(())
}

fn check_namespaces(fields: Fields<'_>) -> Result<(), Invalid> {
    // Other lists are refused where the tools are read.
    let tools = fields.optional::<Vec<Object>>("tools").ok().flatten().unwrap_or_default();
    let is_namespace = |tool: &Object| tool.get::<String>("type").as_deref() == Some("namespace");
    let mut namespaces = tools.iter().enumerate().filter(|(_, tool)| is_namespace(tool));
    namespaces.try_for_each(|(index, tool)| {
        let at = format!("{}[{index}]", fields.path("tools"));
        check_length(Fields::new(tool, &at), "name")
    })
}
