//! Writes the custom tools of a request, and earlier calls of them, as functions.

use std::collections::HashSet;

use serde_json::{Value, json};
use shared::model::object::Object;

use super::INPUT;

/// The body with functions, and the names of its custom tools. `None`: it has none.
pub(super) fn with_functions(body: &Object) -> Option<(Object, HashSet<String>)> {
    let mentions = |name: &str| body.text(name).is_some_and(|text| text.contains("\"custom\""));
    if !mentions("tools") && !mentions("messages") {
        return None;
    }
    let mut body = body.clone();
    let mut names = HashSet::new();
    let mut tools: Vec<Object> = body.get("tools").unwrap_or_default();
    for tool in &mut tools {
        if let Some(custom) = custom_of(tool) {
            names.extend(custom.get::<String>("name"));
            *tool = function(&custom);
        }
    }
    if !names.is_empty() {
        body.set("tools", &tools);
    }
    if let Some(choice) = body.get::<Object>("tool_choice").as_ref().and_then(custom_of) {
        body.set("tool_choice", &json!({"type": "function", "function": {"name": choice.get::<String>("name")}}));
    }
    let has_calls = mentions("messages") && rewrite_messages(&mut body);
    (has_calls || !names.is_empty()).then_some((body, names))
}

/// The member `custom` of a tool, a choice or a call of the type `custom`.
fn custom_of(object: &Object) -> Option<Object> {
    object.get("custom").filter(|_| object.get::<String>("type").as_deref() == Some("custom"))
}

/// The function that stands for a custom tool.
fn function(custom: &Object) -> Object {
    let format: Value = custom.get("format").unwrap_or_default();
    let grammar = |name: &str| format.pointer(&format!("/grammar/{name}")).and_then(Value::as_str);
    let mut description: String = custom.get("description").unwrap_or_default();
    if let Some(definition) = grammar("definition") {
        let syntax = grammar("syntax").unwrap_or("lark");
        description = format!("{description}\n\nThe string `{INPUT}` must match this {syntax} grammar:\n{definition}");
    }
    let about = "The whole input of the tool, as plain text.";
    let parameters = json!({
        "type": "object",
        "properties": {INPUT: {"type": "string", "description": about}},
        "required": [INPUT],
        "additionalProperties": false,
    });
    let mut function = Object::default().with("name", &custom.get::<String>("name"));
    if !description.is_empty() {
        function.set("description", description.trim_start());
    }
    Object::default().with("type", "function").with("function", &function.with("parameters", &parameters))
}

/// Rewrites the calls in messages of the assistant. Returns whether there was one.
fn rewrite_messages(body: &mut Object) -> bool {
    let Some(mut messages) = body.get::<Vec<Object>>("messages") else { return false };
    let mut has_changed = false;
    for message in &mut messages {
        if !message.text("tool_calls").is_some_and(|text| text.contains("\"custom\"")) {
            continue;
        }
        let mut calls: Vec<Object> = message.get("tool_calls").unwrap_or_default();
        for call in &mut calls {
            if let Some(custom) = custom_of(call) {
                has_changed = true;
                rewrite_call(call, &custom);
            }
        }
        message.set("tool_calls", &calls);
    }
    if has_changed {
        body.set("messages", &messages);
    }
    has_changed
}

fn rewrite_call(call: &mut Object, custom: &Object) {
    let arguments = json!({INPUT: custom.get::<String>("input").unwrap_or_default()}).to_string();
    call.remove("custom");
    call.set("type", "function");
    call.set("function", &json!({"name": custom.get::<String>("name"), "arguments": arguments}));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: Option<&str>) {
        let body = Object::parse(body.as_bytes()).unwrap();
        let written = with_functions(&body).map(|(body, _)| String::from_utf8_lossy(&body.to_bytes()).into_owned());
        assert_eq!(written.as_deref(), expected);
    }

    const FUNCTION: &str = r#""parameters":{"additionalProperties":false,"properties":{"input":{"description":"The whole input of the tool, as plain text.","type":"string"}},"required":["input"],"type":"object"}"#;

    #[test]
    fn a_custom_tool_is_a_function_with_one_string() {
        check(
            r#"{"tools":[{"type":"function","function":{"name":"f"}},{"type":"custom","custom":{"name":"c","description":"Does."}}],"tool_choice":{"type":"custom","custom":{"name":"c"}}}"#,
            Some(&format!(
                r#"{{"tools":[{{"type":"function","function":{{"name":"f"}}}},{{"type":"function","function":{{"name":"c","description":"Does.",{FUNCTION}}}}}],"tool_choice":{{"function":{{"name":"c"}},"type":"function"}}}}"#
            )),
        );
        check(
            r#"{"tools":[{"type":"custom","custom":{"name":"c","format":{"type":"grammar","grammar":{"syntax":"regex","definition":"a+"}}}}]}"#,
            Some(&format!(
                r#"{{"tools":[{{"type":"function","function":{{"name":"c","description":"The string `input` must match this regex grammar:\na+",{FUNCTION}}}}}]}}"#
            )),
        );
    }

    #[test]
    fn earlier_calls_are_calls_of_the_function() {
        check(
            r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"custom","custom":{"name":"c","input":"say \"a\""}}]},{"role":"tool","tool_call_id":"1","content":"b"}]}"#,
            Some(
                r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"arguments":"{\"input\":\"say \\\"a\\\"\"}","name":"c"}}]},{"role":"tool","tool_call_id":"1","content":"b"}]}"#,
            ),
        );
    }

    #[test]
    fn a_request_without_custom_tools_stays_as_it_is() {
        check(r#"{"tools":[{"type":"function","function":{"name":"f"}}]}"#, None);
        check(r#"{"messages":[{"role":"user","content":"\"custom\""}],"tools":null}"#, None);
        check(r#"{"messages":[{"role":"user","content":"a","tool_calls":[{"type":"custom"}]}]}"#, None);
    }
}
