//! The simplest JSON that satisfies a schema.

use std::borrow::Cow;
use std::cell::Cell;

use serde_json::{Map, Value, json};

/// The maximum depth. It ends schemas that refer to themselves.
const MAX_DEPTH: usize = 24;
/// The most bytes of one answer, about: schemas that refer to themselves twice would grow without this limit.
const MAX_BYTES: usize = 16 * 1024;
/// The most parts of the schema that are looked at or copied, counted again each time.
const MAX_STEPS: usize = 1_000_000;
/// The most items or characters that the simulator writes for a lower limit of the schema.
const MAX_LENGTH: u64 = 1_000;

/// A value that satisfies the common keywords of `schema`. What does not fit into the limits is `null` or left out.
pub(super) fn sample(schema: &Value) -> Value {
    Sampler { root: schema, bytes: Cell::new(MAX_BYTES), steps: Cell::new(MAX_STEPS) }.value(schema, 0)
}

struct Sampler<'a> {
    root: &'a Value,
    /// Bytes that may still be written.
    bytes: Cell<usize>,
    /// Steps that may still be taken.
    steps: Cell<usize>,
}

/// Takes from what is left. If that is not enough, nothing is left.
fn spend(left: &Cell<usize>, amount: usize) -> bool {
    let rest = left.get().checked_sub(amount);
    left.set(rest.unwrap_or(0));
    rest.is_some()
}

impl Sampler<'_> {
    fn has_room(&self) -> bool {
        self.bytes.get() > 0 && self.steps.get() > 0
    }

    /// A value that the schema has, if there is room for it.
    fn copy(&self, value: &Value) -> Value {
        let size = size(value, self.bytes.get());
        if spend(&self.bytes, size) && spend(&self.steps, size) { value.clone() } else { Value::Null }
    }

    fn value(&self, schema: &Value, depth: usize) -> Value {
        if depth > MAX_DEPTH || !self.has_room() {
            return Value::Null;
        }
        spend(&self.bytes, 4);
        spend(&self.steps, 1);
        if let Some(fixed) = fixed_value(schema) {
            return self.copy(fixed);
        }
        if let Some(inner) = self.inner(schema) {
            return self.value(&inner, depth + 1);
        }
        match kind(schema) {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, depth),
            "string" => self.copy(&string(schema)),
            "integer" | "number" => number(schema),
            "boolean" => Value::Bool(false),
            _ => Value::Null,
        }
    }

    /// The schema that applies: the target of a reference, the simplest of several alternatives, or all of them merged.
    fn inner<'b>(&'b self, schema: &'b Value) -> Option<Cow<'b, Value>> {
        if let Some(pointer) = schema["$ref"].as_str() {
            spend(&self.steps, pointer.len());
            return self.root.pointer(pointer.strip_prefix('#')?).map(Cow::Borrowed);
        }
        if let Some(options) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
            spend(&self.steps, options.len());
            return options.iter().find(|option| option["type"] == "null").or(options.first()).map(Cow::Borrowed);
        }
        let parts = schema["allOf"].as_array()?;
        if !spend(&self.steps, size(schema, self.steps.get())) {
            return Some(Cow::Owned(Value::Null));
        }
        Some(Cow::Owned(parts.iter().fold(without(schema, "allOf"), merge)))
    }

    fn object(&self, schema: &Value, depth: usize) -> Value {
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let member = |name: &str| {
            spend(&self.bytes, name.len() + 4);
            (name.to_owned(), self.value(&schema["properties"][name], depth + 1))
        };
        Value::Object(required.take_while(|_| self.has_room()).map(member).collect())
    }

    fn array(&self, schema: &Value, depth: usize) -> Value {
        let length = schema["minItems"].as_u64().unwrap_or(0).min(MAX_LENGTH);
        (0..length).take_while(|_| self.has_room()).map(|_| self.value(&schema["items"], depth + 1)).collect()
    }
}

fn fixed_value(schema: &Value) -> Option<&Value> {
    let first = |name: &str| schema[name].as_array().and_then(|values| values.first());
    schema.get("const").or(first("enum")).or(schema.get("default"))
}

/// About the bytes of a value as JSON. Counts no further than just above `most`.
fn size(value: &Value, most: usize) -> usize {
    let sum = |sizes: &mut dyn Iterator<Item = (usize, &Value)>| {
        let mut sum = 2;
        for (own, value) in sizes {
            if sum > most {
                break;
            }
            sum += own + size(value, most - sum);
        }
        sum
    };
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => sum(&mut items.iter().map(|item| (1, item))),
        Value::Object(members) => sum(&mut members.iter().map(|(name, value)| (name.len() + 4, value))),
        Value::Null | Value::Bool(_) | Value::Number(_) => 4,
    }
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
                let old = members.entry(name.clone()).or_insert(Value::Null);
                *old = merge(old.take(), value);
            }
            Value::Object(members)
        }
        (Value::Array(mut items), Value::Array(more)) => {
            items.extend(more.iter().cloned());
            Value::Array(items)
        }
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
