//! Server-sent events as OpenAI writes them.

use bytes::{Bytes, BytesMut};

/// The end of a chat stream.
pub const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");

/// An event without a name.
#[must_use]
pub fn data(json: &[u8]) -> Bytes {
    let mut event = BytesMut::with_capacity(json.len() + 8);
    event.extend_from_slice(b"data: ");
    event.extend_from_slice(json);
    event.extend_from_slice(b"\n\n");
    event.freeze()
}

/// An event that ends a stream with an error. Every client recognises it: Python looks for the `error` key, Node also for
/// the event's name.
#[must_use]
pub fn error(message: &str) -> Bytes {
    let error = serde_json::json!({
        "error": {"message": message, "type": "server_error", "param": null, "code": "stream_interrupted"}
    });
    data(error.to_string().as_bytes())
}
