//! One event of a response's stream.

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::model::object::Object;

/// One event of a response's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseEvent {
    /// The value of `type`, such as `response.output_text.delta`.
    pub name: &'static str,
    /// The position in the response's stream. Clients resume after it.
    pub sequence_number: u64,
    /// The event as JSON without line breaks.
    pub data: Bytes,
}

impl ResponseEvent {
    /// An event with `type` and `sequence_number`, followed by `members`.
    pub(super) fn new(name: &'static str, sequence_number: u64, members: &Object) -> Self {
        let mut data = Object::default().with("type", name).with("sequence_number", &sequence_number);
        data.extend(members);
        Self { name, sequence_number, data: data.to_bytes() }
    }

    /// `response.failed`, for a response that ends without a [`super::EventBuilder`].
    #[must_use]
    pub fn failed(sequence_number: u64, response: &Object) -> Self {
        Self::new("response.failed", sequence_number, &Object::default().with("response", response))
    }

    /// `error`, for a stream that cannot continue although its response may not have ended.
    fn error(sequence_number: u64, code: &str, message: &str, param: Option<&str>) -> Self {
        let members = Object::default().with("code", code).with("message", message).with("param", &param);
        Self::new("error", sequence_number, &members)
    }

    /// The event as it is sent to the client. Streams of responses have no `[DONE]`.
    #[must_use]
    pub fn sse(&self) -> Bytes {
        let mut text = BytesMut::with_capacity(self.data.len() + self.name.len() + 17);
        text.put_slice(b"event: ");
        text.put_slice(self.name.as_bytes());
        text.put_slice(b"\ndata: ");
        text.put_slice(&self.data);
        text.put_slice(b"\n\n");
        text.freeze()
    }
}

/// The event that ends a stream which cannot continue. `last` has the last events that were sent: their numbers go on.
#[must_use]
pub fn interruption(message: &str, last: &[u8]) -> Bytes {
    // Only members have quotes without a backslash.
    const NUMBER: &[u8] = b"\"sequence_number\":";
    let found = last.windows(NUMBER.len()).rposition(|window| window == NUMBER);
    let digits = found.map(|at| last[at + NUMBER.len()..].iter().take_while(|byte| byte.is_ascii_digit()));
    let number = digits
        .map_or(0, |digits| digits.fold(0_u64, |sum, digit| sum.saturating_mul(10) + u64::from(digit - b'0')) + 1);
    ResponseEvent::error(number, "stream_interrupted", message, None).sse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_event_is_its_type() {
        let event = ResponseEvent::failed(7, &Object::default().with("id", "resp_1"));
        let expected = "event: response.failed\n\
            data: {\"type\":\"response.failed\",\"sequence_number\":7,\"response\":{\"id\":\"resp_1\"}}\n\n";
        assert_eq!(event.sse(), expected);
        let event = ResponseEvent::error(8, "server_error", "a\nb", None);
        let expected = "event: error\ndata: {\"type\":\"error\",\"sequence_number\":8,\"code\":\"server_error\",\
            \"message\":\"a\\nb\",\"param\":null}\n\n";
        assert_eq!(event.sse(), expected);
    }

    #[test]
    fn an_interruption_has_the_next_number() {
        let numbered = |last: &[ResponseEvent]| {
            let last: Vec<u8> = last.iter().flat_map(|event| event.sse().to_vec()).collect();
            let text = String::from_utf8_lossy(&interruption("Too late.", &last)).into_owned();
            text.split("\"sequence_number\":").nth(1).unwrap().split(',').next().unwrap().to_owned()
        };
        assert_eq!(numbered(&[]), "0");
        let quoting = Object::default().with("delta", "\"sequence_number\":9");
        let events = [11, 12].map(|n| ResponseEvent::new("response.output_text.delta", n, &quoting));
        assert_eq!(numbered(&events), "13");
    }
}
