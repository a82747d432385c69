//! Server-sent events, however the network cuts them.

use eventsource_stream::{EventStreamError, Eventsource as _};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use shared::model::provider::Failure;

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SseEvent {
    /// `message` if the event has no name.
    pub name: String,
    /// Without line breaks.
    pub data: String,
}

/// The events of an answer; comments and events without data are left out.
pub(crate) fn events(response: reqwest::Response) -> BoxStream<'static, Result<SseEvent, Failure>> {
    let bytes = response.bytes_stream().map_err(reqwest::Error::without_url);
    let events = bytes.eventsource().map(|event| match event {
        Ok(event) => Ok(SseEvent { name: event.event, data: one_line(event.data) }),
        Err(EventStreamError::Transport(error)) => Err(Failure::Unreachable(error.into())),
        Err(error) => Err(Failure::Malformed(format!("the stream is no event stream: {error}"))),
    });
    events.try_filter(|event| futures_util::future::ready(!event.data.trim().is_empty())).boxed()
}

/// JSON has line breaks between tokens only, where a space means the same.
fn one_line(data: String) -> String {
    if data.contains(['\n', '\r']) { data.replace(['\n', '\r'], " ") } else { data }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    /// Reads `text`, sent in pieces of `size` bytes; one line per event.
    async fn read(text: &'static str, size: usize) -> Vec<String> {
        let pieces: Vec<_> = text.as_bytes().chunks(size).map(Ok::<_, std::io::Error>).collect();
        let body = reqwest::Body::wrap_stream(stream::iter(pieces));
        let line =
            |event: Result<SseEvent, Failure>| event.map(|event| format!("{}: {}", event.name, event.data)).unwrap();
        events(http::Response::new(body).into()).map(line).collect().await
    }

    #[tokio::test]
    async fn cuts_do_not_matter() {
        let text = ": a comment\r\n\r\ndata: {\"a\":\ndata: \"ü 👋\"}\n\nevent: error\nid: 7\ndata:{}\n\ndata:\n\ndata: unended";
        for size in 1..text.len() {
            assert_eq!(read(text, size).await, ["message: {\"a\": \"ü 👋\"}", "error: {}"], "{size}");
        }
    }
}
