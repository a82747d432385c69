//! Writes a chat call as a request for a response.

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;
use shared::model::catalog::Quirks;
use shared::model::object::Object;
use shared::model::provider::{Failure, ProviderRefusal, ProviderRequest};

use super::super::{request::leave_out, system, thoughts};
use super::{input, tools};
use crate::conversation::unsupported;

/// Asks for the reasoning in a form that comes back with the next call, because the provider stores none.
pub(super) const ENCRYPTED: &str = "reasoning.encrypted_content";
const LOGPROBS: &str = "message.output_text.logprobs";

/// The fewest output tokens that the Responses API accepts as a limit.
const FEWEST_OUTPUT_TOKENS: u64 = 16;

type AsksForNothing = fn(&Value) -> bool;

/// Members that change the answer and that the Responses API does not have, or that would make the provider keep something. Each has a
/// test for the values that change nothing.
const NOT_EXPRESSIBLE: [(&str, AsksForNothing); 16] = [
    ("n", |value| value == 1),
    ("stop", |value| value.as_array().is_some_and(Vec::is_empty)),
    ("logit_bias", |value| value.as_object().is_some_and(serde_json::Map::is_empty)),
    ("frequency_penalty", |value| value.as_f64() == Some(0.0)),
    ("presence_penalty", |value| value.as_f64() == Some(0.0)),
    ("modalities", |value| value.as_array().is_some_and(|kinds| kinds.iter().all(|kind| kind == "text"))),
    ("audio", Value::is_null),
    ("prediction", Value::is_null),
    ("functions", |value| value.as_array().is_some_and(Vec::is_empty)),
    ("function_call", Value::is_null),
    ("web_search_options", Value::is_null),
    ("background", |value| value == false),
    ("previous_response_id", Value::is_null),
    ("conversation", Value::is_null),
    ("prompt", Value::is_null),
    ("input", Value::is_null),
];

/// Members that this module writes in another way, and hints that the Responses API does not have.
const WRITTEN: [&str; 16] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "store",
    "include",
    "max_tokens",
    "max_completion_tokens",
    "reasoning_effort",
    "reasoning_summary",
    "reasoning",
    "verbosity",
    "response_format",
    "text",
    "tools",
    "tool_choice",
];

/// `seed` is a wish that providers need not fulfil. Anthropic's calls leave it out, too.
const LEFT_OUT: [&str; 2] = ["seed", "logprobs"];

/// # Errors
/// If the call asks for something that the Responses API does not have, or a message is not one of OpenAI's.
pub(super) fn body(call: &ProviderRequest, quirks: &Quirks, encrypted: bool) -> Result<Bytes, Failure> {
    let mut chat = call.body.clone();
    quirks.drop.iter().for_each(|path| leave_out(&mut chat, path));
    thoughts::send(&mut chat, &quirks.reasoning_in);
    system::adapt(&mut chat, quirks);
    refuse_inexpressible(&chat)?;
    let mut request = Object::default().with("model", &call.model).with("input", &input::items(&chat, quirks)?);
    copy_others(&chat, &mut request);
    if let Some(limit) = output_limit(&chat)? {
        request.set("max_output_tokens", &limit);
    }
    set_unless_empty(&mut request, "reasoning", reasoning(&chat));
    set_unless_empty(&mut request, "text", text(&chat));
    tools::write(&chat, &mut request)?;
    let mut include = Vec::new();
    include.extend(encrypted.then_some(ENCRYPTED));
    include.extend((chat.get("logprobs") == Some(true)).then_some(LOGPROBS));
    if !include.is_empty() {
        request.set("include", &include);
    }
    request.set("store", &false);
    if call.stream {
        request.set("stream", &true);
    }
    Ok(request.to_bytes())
}

fn refuse_inexpressible(chat: &Object) -> Result<(), Failure> {
    for (name, asks_for_nothing) in NOT_EXPRESSIBLE {
        let value: Value = chat.get(name).unwrap_or_default();
        if !value.is_null() && !asks_for_nothing(&value) {
            return Err(unsupported(
                name,
                format!("the Responses API of this provider cannot do what `{name}` asks for"),
            ));
        }
    }
    Ok(())
}

/// Copies the members that have the same name and meaning, and those that weir does not know.
fn copy_others(chat: &Object, request: &mut Object) {
    let is_written = |name: &str| WRITTEN.contains(&name) || LEFT_OUT.contains(&name);
    let is_refused = |name: &str| NOT_EXPRESSIBLE.iter().any(|(refused, _)| *refused == name);
    for (name, text) in chat.members().filter(|(name, text)| !is_written(name) && !is_refused(name) && *text != "null")
    {
        copy(text, request, name);
    }
}

/// Sets a member to the exact text of another.
pub(super) fn copy(text: &str, to: &mut Object, name: &str) {
    if let Ok(text) = RawValue::from_string(text.to_owned()) {
        to.set_raw(name, text);
    }
}

/// Copies a member that is there and not `null`.
pub(super) fn copy_member(from: &Object, name: &str, to: &mut Object, new_name: &str) {
    if let Some(text) = from.text(name).filter(|text| *text != "null") {
        copy(text, to, new_name);
    }
}

/// The smaller of both limits. A smaller one than the API accepts is refused here: more tokens than were asked for, and reserved, may
/// not be sent.
fn output_limit(chat: &Object) -> Result<Option<u64>, Failure> {
    let limits = ["max_completion_tokens", "max_tokens"].map(|name| (chat.get::<u64>(name), name));
    let smallest = limits.into_iter().filter_map(|(limit, name)| Some((limit?, name))).min();
    match smallest {
        Some((limit, name)) if limit < FEWEST_OUTPUT_TOKENS => {
            let what = format!("the Responses API of this provider takes no limit below {FEWEST_OUTPUT_TOKENS} tokens");
            Err(unsupported(name, what))
        }
        smallest => Ok(smallest.map(|(limit, _)| limit)),
    }
}

fn reasoning(chat: &Object) -> Object {
    let mut reasoning: Object = chat.get("reasoning").unwrap_or_default();
    copy_member(chat, "reasoning_effort", &mut reasoning, "effort");
    copy_member(chat, "reasoning_summary", &mut reasoning, "summary");
    reasoning
}

fn text(chat: &Object) -> Object {
    let mut text: Object = chat.get("text").unwrap_or_default();
    copy_member(chat, "verbosity", &mut text, "verbosity");
    if let Some(format) = chat.get::<Object>("response_format") {
        // A chat call has the members of a schema in an object of its own.
        let mut written = format.clone();
        written.remove("json_schema");
        written.extend(&format.get::<Object>("json_schema").unwrap_or_default());
        text.set("format", &written);
    }
    text
}

fn set_unless_empty(request: &mut Object, name: &str, value: Object) {
    if value.members().next().is_some() {
        request.set(name, &value);
    }
}

/// A failure whose `param` is named as in the chat call. Callers of responses get their names from these.
pub(super) fn in_chat(failure: Failure) -> Failure {
    match failure {
        Failure::Refused { status, refusal } => {
            let param = refusal.param.map(|param| chat_path(&param));
            Failure::Refused { status, refusal: ProviderRefusal { param, ..refusal } }
        }
        other => other,
    }
}

/// The item at a place of `input` is not the message at that place, so all of it is `messages`.
fn chat_path(param: &str) -> String {
    let (name, rest) = param.split_at(param.find(['.', '[']).unwrap_or(param.len()));
    match (name, rest) {
        ("input", _) => "messages".to_owned(),
        ("max_output_tokens", _) => "max_completion_tokens".to_owned(),
        ("reasoning", ".effort") => "reasoning_effort".to_owned(),
        ("reasoning", ".summary") => "reasoning_summary".to_owned(),
        ("text", ".verbosity") => "verbosity".to_owned(),
        ("text", rest) if rest.starts_with(".format") => match &rest[".format".len()..] {
            "" => "response_format".to_owned(),
            ".type" => "response_format.type".to_owned(),
            rest => format!("response_format.json_schema{rest}"),
        },
        _ => param.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_the_names_of_the_chat_call() {
        for (param, expected) in [
            ("input[3].content[0].image_url", "messages"),
            ("input", "messages"),
            ("max_output_tokens", "max_completion_tokens"),
            ("reasoning.effort", "reasoning_effort"),
            ("reasoning.summary", "reasoning_summary"),
            ("text.verbosity", "verbosity"),
            ("text.format", "response_format"),
            ("text.format.type", "response_format.type"),
            ("text.format.schema", "response_format.json_schema.schema"),
            ("tools[0].name", "tools[0].name"),
            ("temperature", "temperature"),
        ] {
            assert_eq!(chat_path(param), expected, "{param}");
        }
    }
}
