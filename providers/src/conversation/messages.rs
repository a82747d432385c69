//! Reads OpenAI's messages as system texts and turns.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use shared::model::object::Object;
use shared::model::provider::Failure;

use super::cache::mark;
use super::content::{Content, parts};
use super::thoughts::thoughts;
use super::{CacheMark, Part, PartKind, Role, SystemText, Turn, ids, invalid_request, unsupported};

#[derive(Deserialize)]
struct Message {
    role: String,
    content: Option<Content>,
    tool_calls: Option<Vec<ToolCall>>,
    tool_call_id: Option<String>,
    reasoning_details: Option<Box<RawValue>>,
    #[serde(default)]
    function_call: Value,
    /// Stands for a mark on the last part.
    #[serde(default)]
    cache_control: Value,
}

#[derive(Deserialize)]
struct ToolCall {
    id: String,
    function: Option<Function>,
    #[serde(default)]
    cache_control: Value,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    arguments: String,
}

pub(super) fn parse(body: &Object) -> Result<(Vec<SystemText>, Vec<Turn>), Failure> {
    let text = body.text("messages").ok_or_else(|| invalid_request("messages", "`messages` is missing"))?;
    let messages: Vec<Message> = serde_json::from_str(text)
        .map_err(|error| invalid_request("messages", format!("`messages` is not understood: {error}")))?;
    let mut system = Vec::new();
    let mut turns: Vec<Turn> = Vec::new();
    for (index, message) in messages.into_iter().enumerate() {
        let at = format!("messages[{index}]");
        let mark = mark(&message.cache_control, &at)?;
        let (role, mut parts) = match message.role.as_str() {
            "system" | "developer" => {
                system.extend(texts(marked(parts(message.content, &at)?, mark), &at)?);
                continue;
            }
            "user" => (Role::User, parts(message.content, &at)?),
            "assistant" => (Role::Assistant, assistant(message, &at)?),
            "tool" => (Role::User, vec![tool_result(message, &at)?]),
            "function" => {
                return Err(unsupported(at, "messages of the role `function` cannot be expressed; use `tool`"));
            }
            other => return Err(invalid_request(at, format!("`{other}` is no role of a message"))),
        };
        parts = marked(parts, mark);
        match turns.last_mut() {
            _ if parts.is_empty() => {}
            Some(turn) if turn.role == role => turn.parts.extend(parts),
            _ => turns.push(Turn { role, parts }),
        }
    }
    trim_prefill(&mut turns);
    Ok((system, turns))
}

/// Sets the mark of a message on its last part.
fn marked(mut parts: Vec<Part>, mark: Option<CacheMark>) -> Vec<Part> {
    if let Some(last) = parts.last_mut() {
        last.cache = last.cache.or(mark);
    }
    parts
}

/// A conversation may end with the beginning of the answer. Anthropic refuses one that ends with white space.
fn trim_prefill(turns: &mut [Turn]) {
    let Some(Turn { role: Role::Assistant, parts }) = turns.last_mut() else { return };
    if let Some(Part { kind: PartKind::Text(text), .. }) = parts.last_mut() {
        text.truncate(text.trim_end().len());
    }
}

fn assistant(message: Message, at: &str) -> Result<Vec<Part>, Failure> {
    if !message.function_call.is_null() {
        return Err(unsupported(at, "`function_call` of a message cannot be expressed; use `tool_calls`"));
    }
    let mut parts = parts(message.content, at)?;
    // They come first, as the model wrote them: a signature stands for a place in the answer, too.
    parts.splice(..0, thoughts(message.reasoning_details.as_deref()));
    for call in message.tool_calls.unwrap_or_default() {
        let Some(Function { name, arguments }) = call.function else {
            return Err(unsupported(
                format!("{at}.tool_calls"),
                "only tool calls of the type `function` can be expressed",
            ));
        };
        let kind = PartKind::ToolUse { id: ids::accepted(call.id), name, input: object(&arguments, at)? };
        parts.push(Part { kind, cache: mark(&call.cache_control, at)? });
    }
    // No provider takes a message of thoughts alone.
    if parts.iter().all(Part::is_thought) {
        parts.clear();
    }
    Ok(parts)
}

/// The arguments of a tool call. An empty text stands for an empty object.
fn object(arguments: &str, at: &str) -> Result<Box<RawValue>, Failure> {
    let text = if arguments.trim().is_empty() { "{}" } else { arguments.trim() };
    let wrong = || invalid_request(format!("{at}.tool_calls"), "the arguments of a tool call must be a JSON object");
    let value: Box<RawValue> = serde_json::from_str(text).map_err(|_| wrong())?;
    if value.get().starts_with('{') { Ok(value) } else { Err(wrong()) }
}

/// The result has the mark of the last of its parts that has one: Bedrock has no marks inside of results.
fn tool_result(message: Message, at: &str) -> Result<Part, Failure> {
    let id = message
        .tool_call_id
        .ok_or_else(|| invalid_request(at, "a message of the role `tool` needs a `tool_call_id`"))?;
    let mut parts = parts(message.content, at)?;
    let marks: Vec<CacheMark> = parts.iter_mut().filter_map(|part| part.cache.take()).collect();
    Ok(Part { kind: PartKind::ToolResult { id: ids::accepted(id), parts }, cache: marks.last().copied() })
}

/// Joins the parts of a system message, which may have only texts. A mark ends a text.
fn texts(parts: Vec<Part>, at: &str) -> Result<Vec<SystemText>, Failure> {
    let mut texts: Vec<SystemText> = Vec::new();
    for part in parts {
        let PartKind::Text(text) = part.kind else {
            return Err(invalid_request(at, "a system message has texts only"));
        };
        match texts.last_mut().filter(|before| before.cache.is_none()) {
            Some(before) => {
                before.text.push('\n');
                before.text.push_str(&text);
                before.cache = part.cache;
            }
            None => texts.push(SystemText { text, cache: part.cache }),
        }
    }
    Ok(texts)
}
