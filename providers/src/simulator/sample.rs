//! The simplest JSON that satisfies a schema.

use std::borrow::Cow;
use std::cell::Cell;

use serde_json::{Map, Value, json};

/// The maximum depth. It ends schemas that refer to themselves.
const MAX_DEPTH: usize = 24;
/// The most values of one answer. Schemas that refer to themselves twice would grow without this limit.
const MAX_VALUES: usize = 2_000;
/// The most items or characters that the simulator writes for a lower limit of the schema.
const MAX_LENGTH: u64 = 1_000;

/// A value that satisfies the common keywords of `schema`.
pub(super) fn sample(schema: &Value) -> Value {
    Sampler { root: schema, left: Cell::new(MAX_VALUES) }.value(schema, 0)
}

struct Sampler<'a> {
    root: &'a Value,
    /// Values that may still be made.
    left: Cell<usize>,
}

impl Sampler<'_> {
    fn value(&self, schema: &Value, depth: usize) -> Value {
        if depth > MAX_DEPTH || self.left.get() == 0 {
            return Value::Null;
        }
        self.left.set(self.left.get() - 1);
        if let Some(fixed) = fixed_value(schema) {
            return fixed;
        }
        if let Some(inner) = self.inner(schema) {
            return self.value(&inner, depth + 1);
        }
        match kind(schema) {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, depth),
            "string" => string(schema),
            "integer" | "number" => number(schema),
            "boolean" => Value::Bool(false),
            _ => Value::Null,
        }
    }

    /// The schema that applies: the target of a reference, the simplest of several alternatives, or all of them merged.
    fn inner<'b>(&'b self, schema: &'b Value) -> Option<Cow<'b, Value>> {
        if let Some(pointer) = schema["$ref"].as_str() {
            return self.root.pointer(pointer.strip_prefix('#')?).map(Cow::Borrowed);
        }
        if let Some(options) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
            return options.iter().find(|option| option["type"] == "null").or(options.first()).map(Cow::Borrowed);
        }
        let parts = schema["allOf"].as_array()?;
        Some(Cow::Owned(parts.iter().fold(without(schema, "allOf"), merge)))
    }

    fn object(&self, schema: &Value, depth: usize) -> Value {
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let member = |name: &str| (name.to_owned(), self.value(&schema["properties"][name], depth + 1));
        Value::Object(required.map(member).collect())
    }

    fn array(&self, schema: &Value, depth: usize) -> Value {
        let length = schema["minItems"].as_u64().unwrap_or(0).min(MAX_LENGTH);
        (0..length).map(|_| self.value(&schema["items"], depth + 1)).collect()
    }
}

fn fixed_value(schema: &Value) -> Option<Value> {
    let first = |name: &str| schema[name].as_array().and_then(|values| values.first());
    schema.get("const").or(first("enum")).or(schema.get("default")).cloned()
}

/// The first type. A schema without types has the type that its other keywords belong to.
fn kind(schema: &Value) -> &str {
    let named = match &schema["type"] {
        Value::Array(types) => types.first().and_then(Value::as_str),
        other => other.as_str(),
    };
    let implied =
        || [("properties", "object"), ("items", "array")].into_iter().find(|(word, _)| !schema[word].is_null());
    named.or_else(|| implied().map(|(_, kind)| kind)).unwrap_or("null")
}

fn without(schema: &Value, name: &str) -> Value {
    let mut members = schema.as_object().cloned().unwrap_or_default();
    members.remove(name);
    Value::Object(members)
}

/// Merges two schemas: objects are joined, lists are concatenated, otherwise the second value counts.
fn merge(one: Value, other: &Value) -> Value {
    match (one, other) {
        (Value::Object(mut members), Value::Object(more)) => {
            for (name, value) in more {
                let old = members.remove(name).unwrap_or(Value::Null);
                members.insert(name.clone(), merge(old, value));
            }
            Value::Object(members)
        }
        (Value::Array(items), Value::Array(more)) => items.into_iter().chain(more.iter().cloned()).collect(),
        (_, other) => other.clone(),
    }
}

fn string(schema: &Value) -> Value {
    let known = match schema["format"].as_str() {
        Some("date-time") => "2000-01-01T00:00:00Z",
        Some("date") => "2000-01-01",
        Some("time") => "00:00:00Z",
        Some("duration") => "PT0S",
        Some("email") => "simulator@example.com",
        Some("hostname") => "example.com",
        Some("ipv4") => "192.0.2.1",
        Some("ipv6") => "2001:db8::1",
        Some("uri") => "https://example.com/",
        Some("uuid") => "00000000-0000-4000-8000-000000000000",
        _ => "simulated",
    };
    let least = usize::try_from(schema["minLength"].as_u64().unwrap_or(0).min(MAX_LENGTH)).unwrap_or(0);
    let most = schema["maxLength"].as_u64().and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    let padded = known.chars().chain(std::iter::repeat('x'));
    Value::from(padded.take(known.len().max(least).min(most)).collect::<String>())
}

fn number(schema: &Value) -> Value {
    let step = schema["multipleOf"].as_f64().filter(|step| *step > 0.0).unwrap_or(1.0);
    let lower = schema["minimum"].as_f64().map(|least| (least / step).ceil() * step);
    let above = schema["exclusiveMinimum"].as_f64().map(|least| ((least / step).floor() + 1.0) * step);
    let upper = schema["maximum"].as_f64().or(schema["exclusiveMaximum"].as_f64().map(|most| most - step));
    let value = lower.or(above).unwrap_or(0.0);
    let value = upper.map_or(value, |most| if value > most { (most / step).floor() * step } else { value });
    #[expect(clippy::cast_possible_truncation, reason = "whole and small, as checked")]
    if value.fract() == 0.0 && value.abs() < 1e15 { json!(value as i64) } else { json!(value) }
}

/// An object for callers that ask for JSON without a schema.
pub(super) fn object_without_schema(text: &str) -> Value {
    Value::Object(Map::from_iter([("simulated".to_owned(), Value::Bool(true)), ("text".to_owned(), Value::from(text))]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(schema: Value, expected: Value) {
        assert_eq!(sample(&schema), expected, "{schema}");
    }

    #[test]
    fn satisfies_the_common_keywords() {
        check(json!({}), json!(null));
        check(json!({"type": "string", "minLength": 12}), json!("simulatedxxx"));
        check(json!({"type": "string", "enum": ["celsius", "kelvin"]}), json!("celsius"));
        check(json!({"type": "integer", "exclusiveMinimum": 3}), json!(4));
        check(json!({"type": "number", "minimum": 0.5, "multipleOf": 0.25}), json!(0.5));
        check(json!({"type": "integer", "maximum": -2}), json!(-2));
        check(json!({"type": ["boolean", "null"]}), json!(false));
        check(json!({"type": "array", "minItems": 2, "items": {"const": 1}}), json!([1, 1]));
        check(json!({"anyOf": [{"type": "string"}, {"type": "null"}]}), json!(null));
        check(
            json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}, "b": {}}, "required": ["a"],
                   "$defs": {"A": {"type": "boolean"}}}),
            json!({"a": false}),
        );
        check(json!({"allOf": [{"properties": {"a": {"type": "integer"}}}, {"required": ["a"]}]}), json!({"a": 0}));
    }

    #[test]
    fn a_schema_that_needs_itself_ends() {
        let schema = json!({"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]});
        assert!(sample(&schema).is_object());
        let twice = json!({"type": "array", "minItems": 1_000, "items": {"$ref": "#"}});
        assert!(sample(&twice).is_array());
    }
}
