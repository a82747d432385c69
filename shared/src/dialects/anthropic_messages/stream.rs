//! The stream of a message, as Anthropic writes it.

use bytes::{BufMut as _, Bytes, BytesMut};
use serde::Deserialize;

/// Writes an event for the client. Anthropic's SDK for Python leaves out events without a name.
#[must_use]
pub fn event(json: &[u8]) -> Bytes {
    #[derive(Deserialize)]
    struct Typed<'a> {
        #[serde(borrow)]
        r#type: std::borrow::Cow<'a, str>,
    }
    let name = serde_json::from_slice::<Typed<'_>>(json).map_or("message".into(), |event| event.r#type);
    named(&name, json)
}

/// The event that ends a stream with an error.
#[must_use]
pub fn interruption(message: &str) -> Bytes {
    let error = serde_json::json!({"type": "error", "error": {"type": "api_error", "message": message}});
    named("error", error.to_string().as_bytes())
}

fn named(name: &str, json: &[u8]) -> Bytes {
    let mut text = BytesMut::with_capacity(json.len() + name.len() + 17);
    for part in [b"event: ", name.as_bytes(), b"\ndata: ", json, b"\n\n"] {
        text.put_slice(part);
    }
    text.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_named_by_its_type() {
        assert_eq!(event(br#"{"type":"message_stop"}"#), "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
        let expected =
            "event: error\ndata: {\"error\":{\"message\":\"Cut.\",\"type\":\"api_error\"},\"type\":\"error\"}\n\n";
        assert_eq!(interruption("Cut."), expected);
    }
}
