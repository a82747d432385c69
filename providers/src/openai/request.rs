//! Sets members of a request, and leaves out what the provider does not take.

use bytes::Bytes;
use serde_json::value::{RawValue, to_raw_value};
use shared::model::catalog::{NoThinking, OutputLimit, Quirks};
use shared::model::object::Object;
use shared::model::provider::ProviderRequest;

use super::{system, thoughts};

/// The client's body with the provider's name of the model. The limit of output tokens and developer messages get the
/// names that the provider reads. A stream gets the option to report its usage, if the provider knows it.
pub(super) fn body(call: &ProviderRequest, quirks: &Quirks) -> Bytes {
    let mut body = call.body.clone();
    quirks.drop.iter().for_each(|path| leave_out(&mut body, path));
    thoughts::send(&mut body, &quirks.reasoning_in);
    // Chat completions have no summaries of reasoning. weir writes the member for providers with the Responses API.
    body.remove("reasoning_summary");
    body.set("model", &call.model);
    if quirks.output_limit == OutputLimit::MaxTokens {
        use_older_name(&mut body);
    }
    if quirks.no_thinking == NoThinking::Disabled {
        disable_thinking(&mut body);
    }
    system::adapt(&mut body, quirks);
    if !quirks.stream_options {
        body.remove("stream_options");
    }
    if call.stream {
        body.set("stream", &true);
        if quirks.stream_options {
            let options: Object = body.get("stream_options").unwrap_or_default();
            body.set("stream_options", &options.with("include_usage", &true));
        }
    }
    body.to_bytes()
}

/// Asks for no thoughts in the way of `DeepSeek`, whose efforts have no `none`.
fn disable_thinking(body: &mut Object) {
    if body.get::<String>("reasoning_effort").as_deref() != Some("none") {
        return;
    }
    body.remove("reasoning_effort");
    if body.text("thinking").is_none_or(|text| text == "null") {
        body.set("thinking", &Object::default().with("type", "disabled"));
    }
}

/// Gives the limit of output tokens its older name. If the body has both, the provider reads the older one.
fn use_older_name(body: &mut Object) {
    let Some(limit) = body.get::<u64>("max_completion_tokens") else { return };
    if body.get::<u64>("max_tokens").is_none() {
        body.set("max_tokens", &limit);
    }
    body.remove("max_completion_tokens");
}

/// Removes the member at `path`. Points separate names; a list on the way stands for its elements.
pub(super) fn leave_out(object: &mut Object, path: &str) {
    let Some((name, rest)) = path.split_once('.') else {
        object.remove(path);
        return;
    };
    let last = path.rsplit('.').next().unwrap_or_default();
    // Most requests do not have the member, and need not be read.
    let Some(text) = object.text(name).filter(|text| text.contains(last)) else { return };
    let changed = if text.starts_with('[') { without_in_each(text, rest) } else { without(text, rest) };
    if let Some(changed) = changed {
        object.set_raw(name, changed);
    }
}

fn without_in_each(list: &str, path: &str) -> Option<Box<RawValue>> {
    let elements: Vec<Box<RawValue>> = serde_json::from_str(list).ok()?;
    let changed = elements.into_iter().map(|element| without(element.get(), path).unwrap_or(element));
    to_raw_value(&changed.collect::<Vec<_>>()).ok()
}

/// `None` if the text is not an object.
fn without(text: &str, path: &str) -> Option<Box<RawValue>> {
    let mut object = Object::parse(text.as_bytes()).ok()?;
    leave_out(&mut object, path);
    to_raw_value(&object).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, body: &str, expected: &str) {
        let mut object = Object::parse(body.as_bytes()).unwrap();
        leave_out(&mut object, path);
        assert_eq!(object.to_bytes(), expected, "{path}");
    }

    #[test]
    fn a_member_is_left_out_wherever_its_path_leads() {
        check("store", r#"{"store":true,"a":1.0}"#, r#"{"a":1.0}"#);
        check("a.b", r#"{"a":{"b":1,"c":2},"b":3}"#, r#"{"a":{"c":2},"b":3}"#);
        check(
            "messages.name",
            r#"{"messages":[{"name":"x","role":"user"},"name",{}]}"#,
            r#"{"messages":[{"role":"user"},"name",{}]}"#,
        );
        check(
            "tools.function.strict",
            r#"{"tools":[{"type":"function","function":{"strict":true,"name":"f"}},[{"function":{"strict":true}}]]}"#,
            r#"{"tools":[{"type":"function","function":{"name":"f"}},[{"function":{"strict":true}}]]}"#,
        );
        check("messages.content.x", r#"{"messages":[{"content":"x"}]}"#, r#"{"messages":[{"content":"x"}]}"#);
        check("a.b", r#"{"c":1}"#, r#"{"c":1}"#);
    }
}
