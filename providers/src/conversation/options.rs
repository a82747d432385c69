//! Reads the members of an OpenAI body other than its messages.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use shared::model::object::Object;
use shared::model::provider::Failure;

use super::arguments::of_arguments;
use super::cache::mark;
use super::{Effort, Schema, Tool, ToolChoice, invalid_request, schema, unsupported};

type AsksForNothing = fn(&Value) -> bool;

/// Members that change the answer and that no provider with an API of its own has. Each has a test for the values that
/// change nothing.
const NOT_EXPRESSIBLE: [(&str, AsksForNothing); 11] = [
    ("n", |value| value == 1),
    ("logprobs", |value| value == false),
    ("top_logprobs", |value| value == 0),
    ("logit_bias", |value| value.as_object().is_some_and(serde_json::Map::is_empty)),
    ("frequency_penalty", |value| value.as_f64() == Some(0.0)),
    ("presence_penalty", |value| value.as_f64() == Some(0.0)),
    ("modalities", |value| value.as_array().is_some_and(|kinds| kinds.iter().all(|kind| kind == "text"))),
    ("audio", Value::is_null),
    ("prediction", Value::is_null),
    ("functions", Value::is_null),
    ("web_search_options", Value::is_null),
];

pub(super) fn refuse_inexpressible(body: &Object) -> Result<(), Failure> {
    for (name, asks_for_nothing) in NOT_EXPRESSIBLE {
        let value: Value = body.get(name).unwrap_or_default();
        if !value.is_null() && !asks_for_nothing(&value) {
            return Err(unsupported(name, format!("this provider cannot do what `{name}` asks for")));
        }
    }
    Ok(())
}

/// Reads a member that is absent, `null`, or a `T`.
pub(super) fn read_member<T: DeserializeOwned>(
    body: &Object,
    name: &str,
    expected: &str,
) -> Result<Option<T>, Failure> {
    let Some(text) = body.text(name) else { return Ok(None) };
    serde_json::from_str(text).map_err(|_| invalid_request(name, format!("`{name}` must be {expected}")))
}

#[derive(Deserialize)]
struct ToolEntry {
    #[serde(rename = "type")]
    kind: String,
    function: Option<FunctionEntry>,
    #[serde(default)]
    cache_control: Value,
}

#[derive(Deserialize)]
struct FunctionEntry {
    name: String,
    description: Option<String>,
    parameters: Option<Box<RawValue>>,
    strict: Option<bool>,
    #[serde(default)]
    cache_control: Value,
}

pub(super) fn tools(body: &Object) -> Result<Vec<Tool>, Failure> {
    let entries: Vec<ToolEntry> = read_member(body, "tools", "an array of tools")?.unwrap_or_default();
    entries.into_iter().map(tool).collect()
}

fn tool(entry: ToolEntry) -> Result<Tool, Failure> {
    let Some(function) = entry.function.filter(|_| entry.kind == "function") else {
        return Err(unsupported("tools", format!("tools of the type `{}` cannot be expressed", entry.kind)));
    };
    let strict = function.strict.unwrap_or(false);
    let parameters = of_arguments(function.parameters)?;
    let parameters = if strict { schema::constrained(parameters) } else { parameters };
    let cache = match mark(&entry.cache_control, "tools")? {
        Some(mark) => Some(mark),
        None => mark(&function.cache_control, "tools")?,
    };
    Ok(Tool { name: function.name, description: function.description, parameters, strict, cache })
}

pub(super) fn tool_choice(body: &Object) -> Result<ToolChoice, Failure> {
    let choice: Value = body.get("tool_choice").unwrap_or_default();
    if let Some(name) = choice.pointer("/function/name").and_then(Value::as_str) {
        return Ok(ToolChoice::Function(name.to_owned()));
    }
    match choice.as_str() {
        None if choice.is_null() => Ok(ToolChoice::Default),
        Some("auto") => Ok(ToolChoice::Auto),
        Some("none") => Ok(ToolChoice::None),
        Some("required") => Ok(ToolChoice::Required),
        _ => Err(unsupported("tool_choice", "only `auto`, `none`, `required` and a function can be expressed")),
    }
}

pub(super) fn max_tokens(body: &Object) -> Result<Option<u32>, Failure> {
    let expected = "a whole number of tokens";
    let new = read_member(body, "max_completion_tokens", expected)?;
    Ok(new.or(read_member(body, "max_tokens", expected)?))
}

pub(super) fn stop(body: &Object) -> Result<Vec<String>, Failure> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stop {
        One(String),
        Several(Vec<String>),
    }
    Ok(match read_member(body, "stop", "a string or an array of strings")? {
        None => Vec::new(),
        Some(Stop::One(text)) => vec![text],
        Some(Stop::Several(texts)) => texts,
    })
}

pub(super) fn effort(body: &Object) -> Result<Option<Effort>, Failure> {
    let effort: Option<String> = read_member(body, "reasoning_effort", "a string")?;
    Ok(Some(match effort.as_deref() {
        None => return Ok(None),
        Some("none") => Effort::None,
        Some("minimal") => Effort::Minimal,
        Some("low") => Effort::Low,
        Some("medium") => Effort::Medium,
        Some("high") => Effort::High,
        Some("xhigh") => Effort::XHigh,
        Some("max") => Effort::Max,
        Some(other) => return Err(invalid_request("reasoning_effort", format!("`{other}` is no reasoning effort"))),
    }))
}

pub(super) fn schema(body: &Object) -> Result<Option<Schema>, Failure> {
    #[derive(Deserialize)]
    struct Format {
        #[serde(rename = "type")]
        kind: String,
        json_schema: Option<JsonSchema>,
    }
    #[derive(Deserialize)]
    struct JsonSchema {
        name: String,
        schema: Option<Box<RawValue>>,
    }
    let Some(format) = read_member::<Format>(body, "response_format", "an object with a `type`")? else {
        return Ok(None);
    };
    match (format.kind.as_str(), format.json_schema) {
        ("text", _) => Ok(None),
        ("json_schema", Some(JsonSchema { name, schema: Some(schema) })) => {
            Ok(Some(Schema { name, schema: schema::constrained(schema) }))
        }
        ("json_schema", _) => {
            Err(invalid_request("response_format", "`response_format.json_schema` needs a `name` and a `schema`"))
        }
        (kind, _) => {
            Err(unsupported("response_format", format!("the format `{kind}` cannot be expressed; use `json_schema`")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::Conversation;

    /// Adds `member` to a request and compares the failure.
    #[track_caller]
    fn check(member: &str, param: &str, expected: &str) {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"a"}}],{member}}}"#);
        let failure = Conversation::parse(&Object::parse(body.as_bytes()).unwrap()).unwrap_err();
        let named = match &failure {
            Failure::Unsupported { param, .. } => param.clone(),
            Failure::Refused { refusal, .. } => refusal.param.clone(),
            _ => None,
        };
        assert_eq!((named.as_deref(), failure.to_string().as_str()), (Some(param), expected));
    }

    #[test]
    fn names_members_that_cannot_be_expressed() {
        check(r#""n":2"#, "n", "this provider cannot do what `n` asks for");
        check(r#""logprobs":true"#, "logprobs", "this provider cannot do what `logprobs` asks for");
        check(r#""modalities":["text","audio"]"#, "modalities", "this provider cannot do what `modalities` asks for");
        check(
            r#""presence_penalty":0.5"#,
            "presence_penalty",
            "this provider cannot do what `presence_penalty` asks for",
        );
        check(
            r#""tools":[{"type":"custom","custom":{"name":"a"}}]"#,
            "tools",
            "tools of the type `custom` cannot be expressed",
        );
        check(
            r#""response_format":{"type":"json_object"}"#,
            "response_format",
            "the format `json_object` cannot be expressed; use `json_schema`",
        );
    }

    #[test]
    fn refuses_invalid_requests() {
        check(
            r#""max_tokens":"many""#,
            "max_tokens",
            "the provider refused with 400: `max_tokens` must be a whole number of tokens",
        );
        check(
            r#""reasoning_effort":"huge""#,
            "reasoning_effort",
            "the provider refused with 400: `huge` is no reasoning effort",
        );
        check(r#""tools":{}"#, "tools", "the provider refused with 400: `tools` must be an array of tools");
    }

    #[test]
    fn values_that_ask_for_nothing_are_fine() {
        let body = br#"{"messages":[],"n":1,"logprobs":false,"logit_bias":{},"frequency_penalty":0,"presence_penalty":0.0,"modalities":["text"],"audio":null,"stop":null}"#;
        assert!(Conversation::parse(&Object::parse(body).unwrap()).is_ok());
    }
}
