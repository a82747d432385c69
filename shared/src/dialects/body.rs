//! Reading request bodies. Every function reads its bodies here, so that all of them name a wrong field in the same way.

use serde::de::DeserializeOwned;

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
        let reason = reason.split(" at line ").next().unwrap_or_default();
        let path = join_paths(at, &error.path().to_string());
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
