//! The answers that clients get: they arrive in pieces, and connections break.

use axum::http::HeaderMap;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use serde_json::Value;

use crate::observations::{KeyedReply, KeyedRequest, Observations};

/// The answer to a request, as far as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    /// The number of the instance that answered.
    pub(crate) instance: u32,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The body arrived to its end.
    pub(crate) is_whole: bool,
}

impl Reply {
    /// Whether the answer is a success and arrived to its end.
    #[must_use]
    pub(crate) fn is_ok(&self) -> bool {
        self.is_whole && self.status == 200
    }

    #[must_use]
    pub(crate) fn is_stream(&self) -> bool {
        self.header("content-type").starts_with("text/event-stream")
    }

    /// Returns a header, or nothing if the answer lacks it.
    #[must_use]
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    #[must_use]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    #[must_use]
    pub(crate) fn is_replay(&self) -> bool {
        self.header("idempotent-replayed") == "true"
    }
}

/// Records the success of a request with an idempotency key, if it arrived to its end.
pub(crate) fn record_keyed_reply(observed: &mut Observations, keyed: &KeyedRequest, reply: &Reply, after_faults: bool) {
    let is_complete = !reply.is_stream() || is_complete_stream(&reply.body);
    if reply.is_ok() && is_complete {
        let replies = observed.keyed.entry(keyed.clone()).or_default();
        replies.push(KeyedReply { is_replay: reply.is_replay(), after_faults, body: reply.body.clone() });
    }
}

/// Whether a stream arrived to its final event.
fn is_complete_stream(body: &[u8]) -> bool {
    let tail = String::from_utf8_lossy(body);
    let last = tail.trim_end().rsplit("\n\n").next().unwrap_or_default();
    last == "data: [DONE]"
        || ["event: response.completed\n", "event: message_stop\n"].iter().any(|end| last.starts_with(end))
}

/// What a stream sends while its provider is silent.
const SIGNS_OF_LIFE: [&[u8]; 3] = [
    b": keep-alive\n\n",
    b"event: keepalive\ndata: {\"type\":\"keepalive\"}\n\n",
    b"event: ping\ndata: {\"type\":\"ping\"}\n\n",
];

/// Fills `reply` while the answer arrives, so that the caller keeps the part before a break.
pub(crate) async fn receive(
    instance: u32,
    answer: impl Future<Output = Result<axum::response::Response, std::convert::Infallible>>,
    reply: &mut Option<Reply>,
) {
    let Ok(answer) = answer.await;
    let (parts, mut body) = answer.into_parts();
    let (status, headers) = (parts.status.as_u16(), parts.headers);
    let reply = reply.insert(Reply { instance, status, headers, body: Bytes::new(), is_whole: false });
    let mut received = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return };
        // Clients skip signs of life, which are no part of the answer.
        if let Some(data) = frame.data_ref().filter(|data| !SIGNS_OF_LIFE.contains(&&data[..])) {
            received.extend_from_slice(data);
            reply.body = Bytes::copy_from_slice(&received);
        }
    }
    reply.is_whole = true;
}
