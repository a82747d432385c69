//! Writes the messages of a chat call as items of a request for a response.

use std::collections::HashSet;

use shared::model::catalog::{Quirks, Thoughts};
use shared::model::object::Object;
use shared::model::provider::Failure;
use shared::model::reasoning::ReasoningDetails;

use super::super::thoughts;
use super::reader::{BEFORE, FORMAT};
use super::request::copy_member;
use crate::conversation::{invalid_request, unsupported};

/// # Errors
/// If `messages` is no list of messages, or a message has something that items cannot have.
pub(super) fn items(chat: &Object, quirks: &Quirks) -> Result<Vec<Object>, Failure> {
    let messages: Option<Vec<Object>> = chat.get("messages");
    let messages = messages.ok_or_else(|| invalid_request("messages", "`messages` must be an array of messages"))?;
    let mut items = Items { shows_thoughts: quirks.reasoning_in != Thoughts::Nowhere, ..Items::default() };
    for (index, message) in messages.iter().enumerate() {
        items.add(message, &format!("messages[{index}]"))?;
    }
    Ok(items.list)
}

#[derive(Default)]
struct Items {
    list: Vec<Object>,
    /// The ids of the calls of custom tools, whose outputs are items of another type.
    custom: HashSet<String>,
    /// Whether the provider takes thoughts that are only a text.
    shows_thoughts: bool,
}

impl Items {
    fn add(&mut self, message: &Object, at: &str) -> Result<(), Failure> {
        let role: String = message.get("role").unwrap_or_default();
        match role.as_str() {
            "system" | "developer" | "user" => self.say(&role, &content(message, at, of_user)?),
            "assistant" => self.answer(message, at)?,
            "tool" => self.output(message, at)?,
            other => {
                let what =
                    format!("messages with the role `{other}` cannot be sent to the Responses API of this provider");
                return Err(unsupported(format!("{at}.role"), what));
            }
        }
        Ok(())
    }

    fn say(&mut self, role: &str, content: &Content) {
        self.list.push(content.set(Object::default().with("type", "message").with("role", role), "content"));
    }

    /// Adds what a message of the assistant has, in the order in which the model wrote it.
    fn answer(&mut self, message: &Object, at: &str) -> Result<(), Failure> {
        let mut reasoning = reasoning(message);
        if reasoning.is_empty() && self.shows_thoughts {
            reasoning.extend(thoughts::text(message).map(|text| (None, shown(&text))));
        }
        let calls: Vec<Object> = message.get("tool_calls").unwrap_or_default();
        let ids: HashSet<String> = calls.iter().filter_map(|call| call.get("id")).collect();
        let (before_calls, first): (Vec<_>, Vec<_>) =
            reasoning.into_iter().partition(|(before, _)| before.as_ref().is_some_and(|id| ids.contains(id)));
        self.list.extend(first.into_iter().map(|(_, item)| item));
        let content = content(message, at, of_assistant)?;
        if !content.is_empty() {
            self.say("assistant", &content);
        }
        if let Some(refusal) = message.get::<String>("refusal") {
            let part = Object::default().with("type", "refusal").with("refusal", &refusal);
            self.say("assistant", &Content::Parts(vec![part]));
        }
        let mut before_calls = before_calls.into_iter().peekable();
        for call in &calls {
            let id: String = call.get("id").unwrap_or_default();
            while let Some((_, item)) = before_calls.next_if(|(before, _)| before.as_ref() == Some(&id)) {
                self.list.push(item);
            }
            self.call(call, id, at)?;
        }
        // The client gave the calls another order.
        self.list.extend(before_calls.map(|(_, item)| item));
        Ok(())
    }

    fn call(&mut self, call: &Object, id: String, at: &str) -> Result<(), Failure> {
        let is_custom = call.get::<String>("type").is_some_and(|kind| kind == "custom");
        let (member, kind, input) = if is_custom {
            ("custom", "custom_tool_call", "input")
        } else {
            ("function", "function_call", "arguments")
        };
        let Some(called) = call.get::<Object>(member) else {
            return Err(invalid_request(
                format!("{at}.tool_calls"),
                "a tool call must have a `function` or a `custom`",
            ));
        };
        let mut item = Object::default().with("type", kind).with("call_id", &id);
        copy_member(&called, "name", &mut item, "name");
        copy_member(&called, input, &mut item, input);
        self.list.push(item);
        if is_custom {
            self.custom.insert(id);
        }
        Ok(())
    }

    fn output(&mut self, message: &Object, at: &str) -> Result<(), Failure> {
        let id: String = message.get("tool_call_id").unwrap_or_default();
        let kind = if self.custom.contains(&id) { "custom_tool_call_output" } else { "function_call_output" };
        let item = Object::default().with("type", kind).with("call_id", &id);
        self.list.push(content(message, at, of_user)?.set(item, "output"));
        Ok(())
    }
}

/// The content of a message.
enum Content {
    Text(String),
    Parts(Vec<Object>),
}

impl Content {
    fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Parts(parts) => parts.is_empty(),
        }
    }

    fn set(&self, item: Object, name: &str) -> Object {
        match self {
            Self::Text(text) => item.with(name, text),
            Self::Parts(parts) => item.with(name, parts),
        }
    }
}

type WritePart = fn(&Object, &str) -> Result<Object, Failure>;

fn content(message: &Object, at: &str, part: WritePart) -> Result<Content, Failure> {
    if message.text("content").is_none_or(|text| text == "null") {
        return Ok(Content::Text(String::new()));
    }
    if let Some(text) = message.get("content") {
        return Ok(Content::Text(text));
    }
    let at = format!("{at}.content");
    let Some(parts) = message.get::<Vec<Object>>("content") else {
        return Err(invalid_request(at, "`content` must be a string or an array of parts"));
    };
    let written = parts.iter().enumerate().map(|(index, given)| part(given, &format!("{at}[{index}]")));
    written.collect::<Result<_, _>>().map(Content::Parts)
}

fn of_user(part: &Object, at: &str) -> Result<Object, Failure> {
    let kind: String = part.get("type").unwrap_or_default();
    let written = Object::default();
    match kind.as_str() {
        "text" => {
            let mut written = written.with("type", "input_text");
            copy_member(part, "text", &mut written, "text");
            Ok(written)
        }
        "image_url" => {
            let image: Object = part.get("image_url").unwrap_or_default();
            let mut written = written.with("type", "input_image").with("detail", "auto");
            copy_member(&image, "url", &mut written, "image_url");
            copy_member(&image, "detail", &mut written, "detail");
            Ok(written)
        }
        "file" => {
            let file: Object = part.get("file").unwrap_or_default();
            let mut written = written.with("type", "input_file");
            for name in ["filename", "file_data", "file_id"] {
                copy_member(&file, name, &mut written, name);
            }
            Ok(written)
        }
        other => Err(inexpressible(other, at)),
    }
}

fn of_assistant(part: &Object, at: &str) -> Result<Object, Failure> {
    let kind: String = part.get("type").unwrap_or_default();
    let (name, member) = match kind.as_str() {
        "text" => ("output_text", "text"),
        "refusal" => ("refusal", "refusal"),
        other => return Err(inexpressible(other, at)),
    };
    let mut written = Object::default().with("type", name);
    copy_member(part, member, &mut written, member);
    Ok(written)
}

fn inexpressible(kind: &str, at: &str) -> Failure {
    unsupported(at, format!("parts of the type `{kind}` cannot be sent to the Responses API of this provider"))
}

/// The reasoning that the model wants back: each item, with the id of the call that it led to.
fn reasoning(message: &Object) -> Vec<(Option<String>, Object)> {
    let Some(details) = message.get::<ReasoningDetails>("reasoning_details") else { return Vec::new() };
    let (mut items, mut summary) = (Vec::new(), Vec::new());
    for entry in details.entries().filter(|entry| entry.get::<String>("format").is_some_and(|format| format == FORMAT))
    {
        let kind: String = entry.get("type").unwrap_or_default();
        if kind == "reasoning.summary" {
            let text: String = entry.get("summary").unwrap_or_default();
            summary.push(Object::default().with("type", "summary_text").with("text", &text));
        } else if entry.get::<String>("data").is_some() {
            let mut item = Object::default().with("type", "reasoning");
            copy_member(&entry, "id", &mut item, "id");
            item.set("summary", &std::mem::take(&mut summary));
            copy_member(&entry, "data", &mut item, "encrypted_content");
            items.push((entry.get(BEFORE), item));
        }
    }
    items
}

/// Reasoning that everybody can read.
fn shown(text: &str) -> Object {
    let part = serde_json::json!({"type": "reasoning_text", "text": text});
    Object::default().with("type", "reasoning").with("summary", &[(); 0]).with("content", &[part])
}
