//! Reads OpenAI's messages as system texts and turns.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use shared::model::object::Object;
use shared::model::provider::Failure;

use super::{Image, Part, Role, Turn, invalid_request, unsupported};

#[derive(Deserialize)]
struct Message {
    role: String,
    content: Option<Content>,
    tool_calls: Option<Vec<ToolCall>>,
    tool_call_id: Option<String>,
    #[serde(default)]
    function_call: Value,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<ContentPart>),
}

#[derive(Deserialize)]
struct ContentPart {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    refusal: Option<String>,
    image_url: Option<ImageUrl>,
}

#[derive(Deserialize)]
struct ImageUrl {
    url: String,
}

#[derive(Deserialize)]
struct ToolCall {
    id: String,
    function: Option<Function>,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    arguments: String,
}

pub(super) fn parse(body: &Object) -> Result<(Vec<String>, Vec<Turn>), Failure> {
    let text = body.text("messages").ok_or_else(|| invalid_request("messages", "`messages` is missing"))?;
    let messages: Vec<Message> = serde_json::from_str(text)
        .map_err(|error| invalid_request("messages", format!("`messages` is not understood: {error}")))?;
    let mut system = Vec::new();
    let mut turns: Vec<Turn> = Vec::new();
    for (index, message) in messages.into_iter().enumerate() {
        let at = format!("messages[{index}]");
        let (role, parts) = match message.role.as_str() {
            "system" | "developer" => {
                system.push(texts(content(message.content, &at)?, &at)?);
                continue;
            }
            "user" => (Role::User, content(message.content, &at)?),
            "assistant" => (Role::Assistant, assistant(message, &at)?),
            "tool" => (Role::User, vec![tool_result(message, &at)?]),
            "function" => {
                return Err(unsupported(at, "messages of the role `function` cannot be expressed; use `tool`"));
            }
            other => return Err(invalid_request(at, format!("`{other}` is no role of a message"))),
        };
        match turns.last_mut() {
            Some(turn) if turn.role == role => turn.parts.extend(parts),
            _ => turns.push(Turn { role, parts }),
        }
    }
    turns.retain(|turn| !turn.parts.is_empty());
    system.retain(|text| !text.is_empty());
    Ok((system, turns))
}

fn assistant(message: Message, at: &str) -> Result<Vec<Part>, Failure> {
    if !message.function_call.is_null() {
        return Err(unsupported(at, "`function_call` of a message cannot be expressed; use `tool_calls`"));
    }
    let mut parts = content(message.content, at)?;
    for call in message.tool_calls.unwrap_or_default() {
        let Some(Function { name, arguments }) = call.function else {
            return Err(unsupported(
                format!("{at}.tool_calls"),
                "only tool calls of the type `function` can be expressed",
            ));
        };
        parts.push(Part::ToolUse { id: call.id, name, input: object(&arguments, at)? });
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

fn tool_result(message: Message, at: &str) -> Result<Part, Failure> {
    let id = message
        .tool_call_id
        .ok_or_else(|| invalid_request(at, "a message of the role `tool` needs a `tool_call_id`"))?;
    Ok(Part::ToolResult { id, parts: content(message.content, at)? })
}

fn content(content: Option<Content>, at: &str) -> Result<Vec<Part>, Failure> {
    let parts = match content {
        None => Vec::new(),
        Some(Content::Text(text)) => vec![Part::Text(text)],
        Some(Content::Parts(parts)) => parts.into_iter().map(|each| part(each, at)).collect::<Result<_, _>>()?,
    };
    Ok(parts.into_iter().filter(|part| !matches!(part, Part::Text(text) if text.is_empty())).collect())
}

fn part(part: ContentPart, at: &str) -> Result<Part, Failure> {
    match (part.kind.as_str(), part.text, part.image_url, part.refusal) {
        ("text", Some(text), ..) | ("refusal", .., Some(text)) => Ok(Part::Text(text)),
        ("image_url", _, Some(image), _) => Ok(Part::Image(self::image(image.url, at)?)),
        ("text" | "refusal" | "image_url", ..) => {
            Err(invalid_request(at, format!("a part of the type `{}` is empty", part.kind)))
        }
        (kind, ..) => Err(unsupported(at, format!("content parts of the type `{kind}` cannot be expressed"))),
    }
}

fn image(url: String, at: &str) -> Result<Image, Failure> {
    let Some(rest) = url.strip_prefix("data:") else { return Ok(Image::Url(url)) };
    let Some((media_type, data)) = rest.split_once(";base64,") else {
        return Err(invalid_request(at, "the data URL of an image must be in base64"));
    };
    Ok(Image::Base64 { media_type: media_type.to_owned(), data: data.to_owned() })
}

/// Joins the parts of a system message, which may have only texts.
fn texts(parts: Vec<Part>, at: &str) -> Result<String, Failure> {
    let text = |part| match part {
        Part::Text(text) => Ok(text),
        _ => Err(invalid_request(at, "a system message has texts only")),
    };
    Ok(parts.into_iter().map(text).collect::<Result<Vec<_>, _>>()?.join("\n"))
}
