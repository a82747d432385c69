//! Marks up to which a provider keeps the input for later requests: `cache_control`, as clients write it for Claude.

use serde_json::Value;
use shared::model::provider::Failure;

use super::invalid_request;

/// A mark: the input up to it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CacheMark {
    /// How long, `5m` or `1h`. `None` leaves that to the provider.
    pub ttl: Option<&'static str>,
}

/// Reads a `cache_control`. Only an object is a mark.
///
/// It may be read only where `openai_chat::members` of `shared` knows it: a project with a budget reserves the price of a
/// long storage only for the marks that are listed there.
///
/// # Errors
/// `Refused` if it names another time than `5m` and `1h`, the only ones that Anthropic and Bedrock have.
pub(super) fn mark(value: &Value, at: &str) -> Result<Option<CacheMark>, Failure> {
    let Value::Object(members) = value else { return Ok(None) };
    let ttl = match members.get("ttl").map_or(&Value::Null, |ttl| ttl) {
        Value::Null => None,
        Value::String(ttl) if ttl == "5m" => Some("5m"),
        Value::String(ttl) if ttl == "1h" => Some("1h"),
        other => {
            let what = format!("the `ttl` of a `cache_control` is {other}; it must be \"5m\" or \"1h\"");
            return Err(invalid_request(at, what));
        }
    };
    Ok(Some(CacheMark { ttl }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_objects_are_marks() {
        let read = |value: Value| mark(&value, "messages[0]").unwrap();
        for nothing in [json!(null), json!(true), json!("1h"), json!([])] {
            assert_eq!(read(nothing), None);
        }
        assert_eq!(read(json!({"type": "ephemeral"})), Some(CacheMark { ttl: None }));
        assert_eq!(read(json!({"type": "ephemeral", "ttl": null})), Some(CacheMark { ttl: None }));
        assert_eq!(read(json!({"type": "ephemeral", "ttl": "5m"})), Some(CacheMark { ttl: Some("5m") }));
        assert_eq!(read(json!({"ttl": "1h"})), Some(CacheMark { ttl: Some("1h") }));
    }

    #[test]
    fn refuses_other_times() {
        let failure = mark(&json!({"type": "ephemeral", "ttl": "9h"}), "messages[0]").unwrap_err();
        assert!(matches!(&failure, Failure::Refused { status: 400, refusal } if refusal.message.contains("9h")));
    }
}
