//! The schemas of tools' arguments, as Anthropic and Bedrock take them.

use std::collections::BTreeSet;

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use shared::model::object::Object;
use shared::model::provider::Failure;

use super::invalid_request;
use super::schema::describe;

/// Keywords that Anthropic refuses in the first level of a tool's schema.
const UNIONS: [&str; 3] = ["anyOf", "oneOf", "allOf"];

/// The schema of a tool's arguments. Both APIs want one whose `type` is `object`; OpenAI's clients also send none, and an
/// empty one. Arguments that are one of several objects become one object with the properties of all.
///
/// # Errors
/// `Refused` if the schema cannot be written.
pub(super) fn of_arguments(parameters: Option<Box<RawValue>>) -> Result<Box<RawValue>, Failure> {
    let Some(parameters) = parameters else { return raw(&json!({"type": "object", "properties": {}})) };
    let Ok(mut schema) = Object::parse(parameters.get().as_bytes()) else { return Ok(parameters) };
    let has_type = matches!(schema.get("type"), Some(Value::String(_)));
    if has_type && UNIONS.iter().all(|name| schema.text(name).is_none()) {
        return Ok(parameters);
    }
    if !has_type {
        // Arguments are an object even where the schema also permits `null`.
        schema.set("type", "object");
    }
    UNIONS.iter().for_each(|name| flatten(&mut schema, name));
    raw(&schema)
}

fn raw(value: &impl serde::Serialize) -> Result<Box<RawValue>, Failure> {
    to_raw_value(value).map_err(|_| invalid_request("tools", "the parameters of a tool are not understood"))
}

/// Moves a union into the description, so that the model still reads it, and adds the properties of its schemas.
fn flatten(schema: &mut Object, name: &str) {
    let Some(union) = schema.text(name).map(str::to_owned) else { return };
    schema.remove(name);
    let Ok(variants) = serde_json::from_str::<Vec<Object>>(&union) else { return };
    let mut properties: Object = schema.get("properties").unwrap_or_default();
    for more in variants.iter().filter_map(|variant| variant.get::<Object>("properties")) {
        add_missing(&mut properties, &more);
    }
    if properties.members().next().is_some() {
        schema.set("properties", &properties);
    }
    if name == "allOf" {
        require(schema, &variants);
    }
    describe(schema, &[format!("{name}: {union}")]);
}

fn add_missing(properties: &mut Object, more: &Object) {
    for (name, text) in more.members().filter(|(name, _)| properties.text(name).is_none()).collect::<Vec<_>>() {
        if let Ok(schema) = RawValue::from_string(text.to_owned()) {
            properties.set_raw(name, schema);
        }
    }
}

/// Arguments that satisfy all schemas have the members that each of them requires.
fn require(schema: &mut Object, variants: &[Object]) {
    let own: Vec<String> = schema.get("required").unwrap_or_default();
    let more = variants.iter().filter_map(|variant| variant.get::<Vec<String>>("required")).flatten();
    let required: BTreeSet<String> = own.into_iter().chain(more).collect();
    if !required.is_empty() {
        schema.set("required", &required);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(parameters: &str, expected: &str) {
        let parameters = RawValue::from_string(parameters.to_owned()).unwrap();
        assert_eq!(of_arguments(Some(parameters)).unwrap().get(), expected);
    }

    #[test]
    fn arguments_are_an_object() {
        check("{}", r#"{"type":"object"}"#);
        check(r#"{"properties":{"b":{},"a":{}}}"#, r#"{"properties":{"b":{},"a":{}},"type":"object"}"#);
        check(r#"{"type":null,"required":[]}"#, r#"{"type":"object","required":[]}"#);
        check(r#"{"type":["object","null"]}"#, r#"{"type":"object"}"#);
        check(r#"{"type": "object", "x": 1.0}"#, r#"{"type": "object", "x": 1.0}"#);
        assert_eq!(of_arguments(None).unwrap().get(), r#"{"properties":{},"type":"object"}"#);
    }

    #[test]
    fn a_union_of_arguments_becomes_one_object() {
        check(
            r#"{"type":"object","properties":{"a":{"type":"string"}},"anyOf":[{"required":["a"]},{"required":["b"]}]}"#,
            r#"{"type":"object","properties":{"a":{"type":"string"}},"description":"{anyOf: [{\"required\":[\"a\"]},{\"required\":[\"b\"]}]}"}"#,
        );
        check(
            r#"{"oneOf":[{"properties":{"a":{"type":"string"}}},{"properties":{"b":{}}}],"properties":{"a":{}}}"#,
            r#"{"properties":{"a":{},"b":{}},"type":"object","description":"{oneOf: [{\"properties\":{\"a\":{\"type\":\"string\"}}},{\"properties\":{\"b\":{}}}]}"}"#,
        );
        check(
            r#"{"type":"object","required":["b"],"allOf":[{"properties":{"a":{}},"required":["a"]}],"anyOf":null}"#,
            r#"{"type":"object","required":["a","b"],"properties":{"a":{}},"description":"{allOf: [{\"properties\":{\"a\":{}},\"required\":[\"a\"]}]}"}"#,
        );
    }
}
