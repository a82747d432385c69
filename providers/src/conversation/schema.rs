//! JSON schemas to which Anthropic and Bedrock hold an answer.

use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use shared::model::object::Object;

/// Schemas in schemas that are looked at. Deeper ones stay as they are.
const MAX_DEPTH: usize = 32;

/// The schema for an answer that the provider holds to it. Structured outputs of Anthropic and Bedrock refuse some
/// keywords. Each of these moves to the description, as Anthropic's SDKs do it, so that the model still reads it.
/// Objects take no members but those that they name.
pub(super) fn constrained(schema: Box<RawValue>) -> Box<RawValue> {
    at_depth(schema, 0)
}

fn at_depth(schema: Box<RawValue>, depth: usize) -> Box<RawValue> {
    if depth == MAX_DEPTH {
        return schema;
    }
    let Ok(members) = Object::parse(schema.get().as_bytes()) else { return schema };
    to_raw_value(&members_at_depth(&members, depth)).unwrap_or(schema)
}

fn members_at_depth(schema: &Object, depth: usize) -> Object {
    let mut kept = Object::default();
    let mut moved = Vec::new();
    for (name, text) in schema.members() {
        let Ok(value) = RawValue::from_string(text.to_owned()) else { continue };
        match fate(name, text, schema) {
            Fate::Keep => kept.set_raw(name, value),
            Fate::Schema => kept.set_raw(name, at_depth(value, depth + 1)),
            Fate::List(name) => kept.set_raw(name, each_of_list(value, depth + 1)),
            Fate::Map => kept.set_raw(name, each_of_map(value, depth + 1)),
            Fate::Drop => {}
            Fate::Move => moved.push(format!("{name}: {text}")),
        }
    }
    if is_object(schema) && schema.text("$ref").is_none() {
        kept.set("additionalProperties", &false);
    }
    describe(&mut kept, &moved);
    kept
}

/// Adds keywords, each as `name: value`, to the description of a schema.
pub(super) fn describe(schema: &mut Object, moved: &[String]) {
    if moved.is_empty() {
        return;
    }
    let before = schema.get::<String>("description").map(|text| text + "\n\n").unwrap_or_default();
    schema.set("description", &format!("{before}{{{}}}", moved.join(", ")));
}

fn is_object(schema: &Object) -> bool {
    match schema.get::<Value>("type") {
        Some(Value::String(one)) => one == "object",
        Some(Value::Array(several)) => several.iter().any(|one| one == "object"),
        _ => schema.text("properties").is_some(),
    }
}

/// What becomes of a keyword.
enum Fate {
    Keep,
    /// Its value is a schema.
    Schema,
    /// Its value is a list of schemas; it gets this name.
    List(&'static str),
    /// Its value has schemas by name.
    Map,
    Drop,
    Move,
}

/// The formats of strings that Anthropic takes.
const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];

fn fate(name: &str, text: &str, schema: &Object) -> Fate {
    match name {
        "properties" | "$defs" | "definitions" => Fate::Map,
        // Beside a reference no other keyword is taken.
        "$ref" => Fate::Keep,
        _ if schema.text("$ref").is_some() => Fate::Drop,
        "type" | "description" | "title" | "required" | "enum" | "const" => Fate::Keep,
        "items" if text.starts_with('{') => Fate::Schema,
        "anyOf" => Fate::List("anyOf"),
        "allOf" => Fate::List("allOf"),
        "oneOf" if schema.text("anyOf").is_none() => Fate::List("anyOf"),
        "minItems" if matches!(text, "0" | "1") => Fate::Keep,
        "format" if schema.get::<String>("format").is_some_and(|format| FORMATS.contains(&format.as_str())) => {
            Fate::Keep
        }
        // It says nothing to a model.
        "$schema" | "$id" | "$comment" => Fate::Drop,
        "additionalProperties" if matches!(text, "false" | "true" | "{}") => Fate::Drop,
        _ => Fate::Move,
    }
}

fn each_of_list(list: Box<RawValue>, depth: usize) -> Box<RawValue> {
    let Ok(schemas) = serde_json::from_str::<Vec<Box<RawValue>>>(list.get()) else { return list };
    let schemas: Vec<_> = schemas.into_iter().map(|schema| at_depth(schema, depth)).collect();
    to_raw_value(&schemas).unwrap_or(list)
}

fn each_of_map(map: Box<RawValue>, depth: usize) -> Box<RawValue> {
    let Ok(schemas) = Object::parse(map.get().as_bytes()) else { return map };
    let mut changed = schemas.clone();
    for (name, text) in schemas.members() {
        if let Ok(schema) = RawValue::from_string(text.to_owned()) {
            changed.set_raw(name, at_depth(schema, depth));
        }
    }
    to_raw_value(&changed).unwrap_or(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(constrained(schema(text)).get(), expected);
    }

    #[test]
    fn a_keyword_that_is_refused_moves_to_the_description() {
        check(
            r#"{"type":"integer","minimum":1,"maximum":10,"description":"A number"}"#,
            r#"{"type":"integer","description":"A number\n\n{minimum: 1, maximum: 10}"}"#,
        );
        check(r#"{"type":"number","multipleOf":0.10}"#, r#"{"type":"number","description":"{multipleOf: 0.10}"}"#);
        check(
            r#"{"type":"string","minLength":1,"maxLength":9,"pattern":"^a"}"#,
            r#"{"type":"string","description":"{minLength: 1, maxLength: 9, pattern: \"^a\"}"}"#,
        );
        check(r#"{"type":"string","format":"email"}"#, r#"{"type":"string","format":"email"}"#);
        check(r#"{"type":"string","format":"color"}"#, r#"{"type":"string","description":"{format: \"color\"}"}"#);
    }

    #[test]
    fn a_list_has_at_most_a_first_element() {
        check(
            r#"{"type":"array","items":{"type":"integer","minimum":0},"minItems":1}"#,
            r#"{"type":"array","items":{"type":"integer","description":"{minimum: 0}"},"minItems":1}"#,
        );
        check(
            r#"{"type":"array","minItems":2,"maxItems":3,"uniqueItems":true}"#,
            r#"{"type":"array","description":"{minItems: 2, maxItems: 3, uniqueItems: true}"}"#,
        );
    }

    #[test]
    fn an_object_takes_no_other_members() {
        check(
            r#"{"type":"object","properties":{"b":{"type":"object"},"minimum":{"type":"string"}},"required":["b"]}"#,
            r#"{"type":"object","properties":{"b":{"type":"object","additionalProperties":false},"minimum":{"type":"string"}},"required":["b"],"additionalProperties":false}"#,
        );
        check(
            r#"{"type":["object","null"],"additionalProperties":true}"#,
            r#"{"type":["object","null"],"additionalProperties":false}"#,
        );
        check(
            r#"{"type":"object","additionalProperties":{"type":"string"}}"#,
            r#"{"type":"object","additionalProperties":false,"description":"{additionalProperties: {\"type\":\"string\"}}"}"#,
        );
        check(r#"{"properties":{}}"#, r#"{"properties":{},"additionalProperties":false}"#);
    }

    #[test]
    fn schemas_in_schemas_are_reached() {
        check(
            r##"{"$defs":{"a":{"type":"integer","minimum":1}},"$ref":"#/$defs/a","minimum":2}"##,
            r##"{"$defs":{"a":{"type":"integer","description":"{minimum: 1}"}},"$ref":"#/$defs/a"}"##,
        );
        check(
            r#"{"$schema":"x","oneOf":[{"type":"string"},{"type":"integer","maximum":5}]}"#,
            r#"{"anyOf":[{"type":"string"},{"type":"integer","description":"{maximum: 5}"}]}"#,
        );
        check(r#"{"enum":["a","b"],"default":"a"}"#, r#"{"enum":["a","b"],"description":"{default: \"a\"}"}"#);
        check(r##"{"$ref":"#/$defs/a","type":"object"}"##, r##"{"$ref":"#/$defs/a"}"##);
        check("true", "true");
        let deep = |inner: &str| format!("{}{inner}{}", r#"{"items":"#.repeat(40), "}".repeat(40));
        check(&deep(r#"{"minimum":1}"#), &deep(r#"{"minimum":1}"#));
    }
}
