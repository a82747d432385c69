//! Reading request bodies. Every function reads its bodies here, so that all of them name a wrong field in the same way.

use serde::de::DeserializeOwned;

use super::unknown::unknown;
use crate::model::invalid::Invalid;
use crate::model::object::Object;

/// Reads a JSON object.
///
/// # Errors
/// If the text is not JSON, or not an object.
pub(in crate::dialects) fn read_object(json: &[u8]) -> Result<Object, Invalid> {
    Object::parse(json).map_err(|error| not_json(&error))
}

/// Reads a JSON object as `T`.
///
/// # Errors
/// If the text is not JSON or not an object; else the path of the first field that is missing or has a wrong value.
pub fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, Invalid> {
    read_object(json)?;
    read(json)
}

/// Reads a shape. An error names the path of the field.
pub(in crate::dialects) fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T, Invalid> {
    read_at(json, "")
}

/// Reads a shape at the path `at` of the body. An error names the whole path of the field.
pub(in crate::dialects) fn read_at<T: DeserializeOwned>(json: &[u8], at: &str) -> Result<T, Invalid> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let reason = error.inner().to_string();
        let reason = in_words_of_json(shortened(reason.split(" at line ").next().unwrap_or_default()));
        let path = join_paths(at, &error.path().to_string());
        if let Some(unknown) = unknown_field(&path, &error.inner().to_string()) {
            return unknown;
        }
        match reason.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
            Some(field) => missing(&join_paths(&path, field)),
            None if path == "." => {
                Invalid { message: format!("Invalid request body: {reason}."), param: None, code: None }
            }
            None => Invalid {
                message: format!("Invalid value for '{path}': {reason}."),
                param: Some(path),
                code: Some("invalid_type"),
            },
        }
    })
}

/// The error for a field that the shape does not have, from serde's `reason`. `path` ends with the field.
fn unknown_field(path: &str, reason: &str) -> Option<Invalid> {
    let (name, known) = reason.strip_prefix("unknown field `")?.split_once("`, ")?;
    let at = path.strip_suffix(name)?.trim_end_matches('.');
    Some(unknown(at, name, known.split('`').skip(1).step_by(2)))
}

/// The most bytes of a caller's text that an error quotes.
const MOST_QUOTED: usize = 300;

/// The beginning of a text that an error quotes: a caller's value can be as long as its body.
pub(in crate::dialects) fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(MOST_QUOTED)]
}

/// Replaces the types of Rust, which serde names, by those of JSON.
fn in_words_of_json(reason: &str) -> String {
    let Some((found, expected)) = reason.split_once(", expected ") else { return reason.to_owned() };
    let found = match found {
        "invalid type: map" => "invalid type: object",
        "invalid type: sequence" => "invalid type: array",
        other => other,
    };
    let expected = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number of at least 0",
        "i64" => "a whole number",
        "f64" => "a number",
        "a sequence" => "an array",
        "a map" => "an object",
        other if other.starts_with("struct ") => "an object",
        other => other,
    };
    format!("{found}, expected {expected}")
}

/// The error for a missing field.
pub(in crate::dialects) fn missing(param: &str) -> Invalid {
    Invalid {
        message: format!("Missing required parameter: '{param}'."),
        param: Some(param.to_owned()),
        code: Some("missing_required_parameter"),
    }
}

/// The path of `inner` within `outer`. The path `.` is the whole value.
fn join_paths(outer: &str, inner: &str) -> String {
    match (outer, inner) {
        ("" | ".", inner) => inner.to_owned(),
        (outer, ".") => outer.to_owned(),
        (outer, inner) if inner.starts_with('[') => format!("{outer}{inner}"),
        (outer, inner) => format!("{outer}.{inner}"),
    }
}

fn not_json(error: &serde_json::Error) -> Invalid {
    let message = match error.classify() {
        serde_json::error::Category::Data => format!("The request body must be a JSON object: {error}."),
        _ => format!("We could not parse the JSON body of your request: {error}."),
    };
    Invalid { message, param: None, code: None }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Limits {
        requests: u64,
        #[serde(default)]
        ratio: Option<f64>,
        #[serde(default)]
        names: Option<Vec<String>>,
        #[serde(default)]
        inner: Option<HashMap<String, Box<Limits>>>,
    }

    #[track_caller]
    fn check(json: &str, message: &str, param: Option<&str>) {
        let refused = parse::<Limits>(json.as_bytes()).unwrap_err();
        assert_eq!((refused.message.as_str(), refused.param.as_deref()), (message, param), "{json}");
    }

    #[test]
    fn a_wrong_field_is_named_in_the_words_of_json() {
        let wrong = |field: &str, reason: &str| format!("Invalid value for '{field}': {reason}.");
        check("{}", "Missing required parameter: 'requests'.", Some("requests"));
        let negative = wrong("requests", "invalid value: integer `-1`, expected a whole number of at least 0");
        check(r#"{"requests":-1}"#, &negative, Some("requests"));
        let text = wrong("ratio", "invalid type: string \"hot\", expected a number");
        check(r#"{"requests":1,"ratio":"hot"}"#, &text, Some("ratio"));
        let list = wrong("names", "invalid type: integer `7`, expected an array");
        check(r#"{"requests":1,"names":7}"#, &list, Some("names"));
        let object = wrong("inner.a", "invalid type: integer `7`, expected an object");
        check(r#"{"requests":1,"inner":{"a":7}}"#, &object, Some("inner.a"));
        check(
            r#"{"requests":1,"inner":{"a":{}}}"#,
            "Missing required parameter: 'inner.a.requests'.",
            Some("inner.a.requests"),
        );
    }

    #[test]
    fn an_unknown_field_is_named_with_the_one_that_was_meant() {
        let meant = |field: &str, meant: &str| format!("Unknown parameter: '{field}'. Did you mean '{meant}'?");
        check(r#"{"request":1}"#, &meant("request", "requests"), Some("request"));
        check(r#"{"requests":1,"other":{}}"#, "Unknown parameter: 'other'.", Some("other"));
        let inner = r#"{"requests":1,"inner":{"a":{"requests":1,"raito":2}}}"#;
        check(inner, &meant("inner.a.raito", "inner.a.ratio"), Some("inner.a.raito"));
        check(r#"{"a`b":1}"#, "Unknown parameter: 'a`b'.", Some("a`b"));
    }

    #[test]
    fn a_body_that_is_no_object_is_refused_as_a_whole() {
        for json in ["", "{", "[]", "7"] {
            assert_eq!(parse::<Limits>(json.as_bytes()).unwrap_err().param, None, "{json}");
        }
    }
}
