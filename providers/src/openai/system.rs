//! System and developer messages, as a server takes them.

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use shared::model::catalog::{DeveloperRole, Quirks, SystemPosition};
use shared::model::object::Object;

/// Gives developer messages the role, and system messages the place, that the provider knows.
pub(super) fn adapt(body: &mut Object, quirks: &Quirks) {
    let (renames, moves) =
        (quirks.developer_role == DeveloperRole::System, quirks.system_position == SystemPosition::First);
    let text = body.text("messages").unwrap_or_default();
    // Most requests need not be read.
    let has_developer = text.contains("developer");
    let concerns = (renames && has_developer) || (moves && (has_developer || text.contains("system")));
    if !concerns {
        return;
    }
    let Some(mut messages) = body.get::<Vec<Object>>("messages") else { return };
    if renames {
        messages.iter_mut().filter(|message| has_role(message, "developer")).for_each(|message| {
            message.set("role", "system");
        });
    }
    if moves {
        messages = with_system_first(messages);
    }
    body.set("messages", &messages);
}

fn has_role(message: &Object, role: &str) -> bool {
    message.get::<String>("role").is_some_and(|named| named == role)
}

/// The messages with one system message at the most, at the beginning.
fn with_system_first(messages: Vec<Object>) -> Vec<Object> {
    let is_system = |message: &Object| has_role(message, "system") || has_role(message, "developer");
    let (system, others): (Vec<_>, Vec<_>) = messages.into_iter().partition(is_system);
    let joined = joined(&system);
    let first = system.into_iter().next().map(|first| match joined {
        Some(content) => first.with("content", &content),
        None => first,
    });
    first.into_iter().chain(others).collect()
}

/// The contents of several messages as one: a text if all are texts, else the parts of all. `None` for a single message.
fn joined(messages: &[Object]) -> Option<Box<RawValue>> {
    if messages.len() < 2 {
        return None;
    }
    let texts: Option<Vec<String>> = messages.iter().map(|message| message.get("content")).collect();
    if let Some(texts) = texts {
        return to_raw_value(&texts.join("\n\n")).ok();
    }
    let parts: Vec<Box<RawValue>> = messages.iter().flat_map(parts).collect();
    to_raw_value(&parts).ok()
}

fn parts(message: &Object) -> Vec<Box<RawValue>> {
    match message.get::<Value>("content") {
        Some(Value::String(text)) => to_raw_value(&json!({"type": "text", "text": text})).into_iter().collect(),
        _ => message.get("content").unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(quirks: &Quirks, messages: &str, expected: &str) {
        let body = |messages: &str| Object::parse(format!(r#"{{"messages":{messages},"x":1.0}}"#).as_bytes()).unwrap();
        let mut adapted = body(messages);
        adapt(&mut adapted, quirks);
        assert_eq!(adapted.to_bytes(), body(expected).to_bytes());
    }

    #[test]
    fn only_the_role_of_developers_is_changed() {
        let quirks = Quirks { developer_role: DeveloperRole::System, ..Quirks::default() };
        check(
            &quirks,
            r#"[{"role":"developer","content":"developer"},{"role":"user","content":1.0}]"#,
            r#"[{"role":"system","content":"developer"},{"role":"user","content":1.0}]"#,
        );
        check(&quirks, r#"["developer"]"#, r#"["developer"]"#);
    }

    #[test]
    fn system_messages_become_one_at_the_beginning() {
        let quirks = Quirks { system_position: SystemPosition::First, ..Quirks::default() };
        let one = r#"[{"role":"system","content":"a"},{"role":"user","content":"b"}]"#;
        check(&quirks, one, one);
        check(&quirks, r#"[{"role":"user","content":"b"},{"role":"system","content":"a"}]"#, one);
        check(
            &quirks,
            r#"[{"role":"system","content":"a","name":"n"},{"role":"user","content":"system"},{"role":"developer","content":"b"}]"#,
            r#"[{"role":"system","content":"a\n\nb","name":"n"},{"role":"user","content":"system"}]"#,
        );
        check(
            &quirks,
            r#"[{"role":"system","content":"a"},{"role":"system","content":[{"type":"text","text":"b","x":1.0}]},{"role":"user","content":"c"}]"#,
            r#"[{"role":"system","content":[{"text":"a","type":"text"},{"type":"text","text":"b","x":1.0}]},{"role":"user","content":"c"}]"#,
        );
        check(&Quirks::default(), r#"[{"role":"user"},{"role":"system"}]"#, r#"[{"role":"user"},{"role":"system"}]"#);
    }
}
