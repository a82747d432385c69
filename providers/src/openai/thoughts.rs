//! The member of a message that has the thoughts of the model, as a server names it.

use bytes::Bytes;
use serde_json::value::{RawValue, to_raw_value};
use shared::model::catalog::Thoughts;
use shared::model::object::Object;

/// The names that weir reads. The first is the one that it writes.
const NAMES: [&str; 2] = ["reasoning_content", "reasoning"];
const DETAILS: &str = "reasoning_details";

/// The thoughts of a message; `None` if it has none that are a text.
pub(super) fn text(message: &Object) -> Option<String> {
    let named = NAMES.iter().find_map(|name| message.get::<String>(name));
    named.filter(|text| !text.is_empty())
}

/// Writes the thoughts of the messages of a request into the member that the server reads, and removes them from the others.
pub(super) fn send(body: &mut Object, member: &Thoughts) {
    // Most requests need not be read.
    if *member == Thoughts::Unknown || !body.text("messages").is_some_and(|text| text.contains("reasoning")) {
        return;
    }
    let Some(messages) = body.get::<Vec<Box<RawValue>>>("messages") else { return };
    let sent = |message: Box<RawValue>| sent(&message, member).unwrap_or(message);
    body.set("messages", &messages.into_iter().map(sent).collect::<Vec<_>>());
}

/// `None` if the message has no thoughts, or has them there already.
fn sent(message: &RawValue, member: &Thoughts) -> Option<Box<RawValue>> {
    let mut message: Object = serde_json::from_str(message.get()).ok()?;
    if let Thoughts::In(name) = member
        && message.get::<String>(name).is_some()
        && NAMES.iter().all(|other| other == name || message.text(other).is_none())
    {
        return None;
    }
    let text = text(&message);
    let mut has_changed = false;
    for name in NAMES {
        has_changed |= message.remove(name);
    }
    if let (Some(text), Thoughts::In(name)) = (text, member) {
        message.set(name, &text);
    }
    has_changed.then(|| to_raw_value(&message).ok()).flatten()
}

/// An answer or a chunk with the thoughts in `reasoning_content`, beside the server's own member; without them if the server is to have
/// none. `holder` of a choice has the thoughts. `None`: nothing changes.
pub(super) fn told(body: &[u8], holder: &str, member: &Thoughts) -> Option<Bytes> {
    let names: &[&str] = match member {
        Thoughts::Unknown => return None,
        Thoughts::Nowhere => &[NAMES[0], NAMES[1], DETAILS],
        Thoughts::In(name) if name == NAMES[0] => return None,
        Thoughts::In(name) => &[name],
    };
    let text = std::str::from_utf8(body).ok()?;
    // Most chunks have none. A look at the text is faster than a look at its members.
    if !names.iter().any(|name| text.contains(*name)) {
        return None;
    }
    let mut answer = Object::parse(body).ok()?;
    let mut choices: Vec<Object> = answer.get("choices")?;
    let mut has_changed = false;
    for choice in &mut choices {
        let Some(mut message) = choice.get::<Object>(holder) else { continue };
        let changes = match member {
            Thoughts::In(name) => copy(&mut message, name),
            _ => names.iter().filter(|name| message.remove(name)).count() > 0,
        };
        if changes {
            choice.set(holder, &message);
            has_changed = true;
        }
    }
    answer.set("choices", &choices);
    has_changed.then(|| answer.to_bytes())
}

/// Copies the thoughts of a message, to the letter, unless it has some under weir's name. Returns whether there were some to copy.
fn copy(message: &mut Object, from: &str) -> bool {
    let is_there = message.text(NAMES[0]).is_some_and(|text| text != "null");
    let text = message.text(from).filter(|text| text.starts_with('"') && !is_there);
    match text.and_then(|text| RawValue::from_string(text.to_owned()).ok()) {
        Some(text) => {
            message.set_raw(NAMES[0], text);
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str) -> Thoughts {
        match name {
            "" => Thoughts::Unknown,
            "none" => Thoughts::Nowhere,
            name => Thoughts::In(name.to_owned()),
        }
    }

    #[test]
    fn the_thoughts_of_a_request_are_where_the_server_reads_them() {
        for (name, message, expected) in [
            ("", r#"{"reasoning_content":"t","reasoning":"u"}"#, r#"{"reasoning_content":"t","reasoning":"u"}"#),
            ("none", r#"{"role":"a","reasoning_content":"t","reasoning":"u"}"#, r#"{"role":"a"}"#),
            ("reasoning", r#"{"reasoning_content":"t","n":1.0}"#, r#"{"n":1.0,"reasoning":"t"}"#),
            ("reasoning_content", r#"{"reasoning":"t"}"#, r#"{"reasoning_content":"t"}"#),
            ("thinking", r#"{"reasoning":"","reasoning_content":"t"}"#, r#"{"thinking":"t"}"#),
            ("thinking", r#"{"reasoning":{"a":1}}"#, "{}"),
            ("reasoning", r#"{"reasoning":"t", "n":1.0}"#, r#"{"reasoning":"t", "n":1.0}"#),
            ("thinking", r#"{"content":"reasoning", "n":1.0}"#, r#"{"content":"reasoning", "n":1.0}"#),
        ] {
            let mut body = Object::parse(format!(r#"{{"messages":[{message}]}}"#).as_bytes()).unwrap();
            send(&mut body, &member(name));
            assert_eq!(body.text("messages").unwrap(), format!("[{expected}]"), "{name} {message}");
        }
    }

    #[test]
    fn the_thoughts_of_an_answer_are_where_clients_read_them() {
        for (name, delta, expected) in [
            ("", r#"{"reasoning":"t"}"#, None),
            ("reasoning_content", r#"{"reasoning_content":"t","reasoning":"u"}"#, None),
            (
                "reasoning",
                r#"{"reasoning":"t\ud83d","n":1.0}"#,
                Some(r#"{"reasoning":"t\ud83d","n":1.0,"reasoning_content":"t\ud83d"}"#),
            ),
            ("reasoning", r#"{"reasoning":"t","reasoning_content":"u"}"#, None),
            ("reasoning", r#"{"reasoning":{"a":1}}"#, None),
            ("reasoning", r#"{"reasoning":null}"#, None),
            (
                "thinking",
                r#"{"thinking":"t","reasoning_content":null}"#,
                Some(r#"{"thinking":"t","reasoning_content":"t"}"#),
            ),
            ("none", r#"{"reasoning":"t","reasoning_details":[],"content":"a"}"#, Some(r#"{"content":"a"}"#)),
            ("none", r#"{"content":"reasoning"}"#, None),
        ] {
            let chunk = |delta: &str| format!(r#"{{"id":"1","choices":[{{"index":0,"delta":{delta}}}]}}"#);
            let read = told(chunk(delta).as_bytes(), "delta", &member(name));
            let read = read.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
            assert_eq!(read, expected.map(chunk), "{name} {delta}");
        }
    }
}
