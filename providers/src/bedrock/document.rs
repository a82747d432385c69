//! Converts JSON to the SDK's documents and back.

use aws_smithy_types::{Document, Number};
use serde_json::Value;
use serde_json::value::RawValue;

/// Converts JSON text. Its members lose their order, because the SDK's documents have none.
pub(super) fn of_text(text: &RawValue) -> Document {
    serde_json::from_str(text.get()).map_or(Document::Null, of)
}

pub(super) fn of(value: Value) -> Document {
    match value {
        Value::Null => Document::Null,
        Value::Bool(value) => Document::Bool(value),
        Value::String(text) => Document::String(text),
        Value::Array(items) => Document::Array(items.into_iter().map(of).collect()),
        Value::Object(members) => {
            Document::Object(members.into_iter().map(|(name, value)| (name, of(value))).collect())
        }
        Value::Number(number) => Document::Number(match (number.as_u64(), number.as_i64()) {
            (Some(positive), _) => Number::PosInt(positive),
            (None, Some(negative)) => Number::NegInt(negative),
            (None, None) => Number::Float(number.as_f64().unwrap_or(0.0)),
        }),
    }
}

pub(super) fn json(document: &Document) -> Value {
    match document {
        Document::Null => Value::Null,
        Document::Bool(value) => Value::Bool(*value),
        Document::String(text) => Value::String(text.clone()),
        Document::Array(items) => items.iter().map(json).collect(),
        Document::Object(members) => members.iter().map(|(name, value)| (name.clone(), json(value))).collect(),
        Document::Number(Number::PosInt(number)) => Value::from(*number),
        Document::Number(Number::NegInt(number)) => Value::from(*number),
        Document::Number(Number::Float(number)) => Value::from(*number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let value = serde_json::json!({"a": [1, -2, 0.5, null, true, "x"], "b": {}});
        assert_eq!(json(&of(value.clone())), value);
    }
}
