//! Reads server-sent events from a provider's answer.

use std::num::NonZeroUsize;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::stream::{BoxStream, unfold};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use shared::model::provider::Failure;
use sse_core::{MessageEvent, SseDecoder, SseEvent as Decoded};
use tokio::task::consume_budget;

use super::MAX_STREAM_BYTES;

/// The longest event, with its name and with the comments in front of it. The largest events carry an image or a sound in
/// base64.
const MAX_EVENT_BYTES: NonZeroUsize = NonZeroUsize::new(16 * 1024 * 1024).unwrap();

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SseEvent {
    /// `message` if the event has no name.
    pub name: String,
    /// Without line breaks.
    pub data: String,
}

/// The events of an answer. Comments and events without data are left out. The stream ends after a failure.
pub(crate) fn events(response: reqwest::Response) -> BoxStream<'static, Result<SseEvent, Failure>> {
    read(response.bytes_stream().map_err(reqwest::Error::without_url)).boxed()
}

fn read<S, E>(bytes: S) -> impl Stream<Item = Result<SseEvent, Failure>>
where
    S: Stream<Item = Result<Bytes, E>> + Send,
    E: std::error::Error + Send + Sync + 'static,
{
    let decoder = SseDecoder::with_limit(MAX_EVENT_BYTES);
    let reader = Reader { bytes: Box::pin(bytes), decoder, chunk: Bytes::new(), since_event: 0, total: 0 };
    unfold(Some(reader), |reader| async move {
        let mut reader = reader?;
        let event = reader.next().await?;
        let rest = event.is_ok().then_some(reader);
        Some((event, rest))
    })
}

struct Reader<S> {
    bytes: Pin<Box<S>>,
    decoder: SseDecoder,
    /// The bytes that the decoder has not taken yet.
    chunk: Bytes,
    /// The bytes that the decoder took since the last event.
    since_event: usize,
    /// The bytes of the stream so far.
    total: usize,
}

impl<S, E> Reader<S>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: std::error::Error + Send + Sync + 'static,
{
    async fn next(&mut self) -> Option<Result<SseEvent, Failure>> {
        loop {
            // A provider that sends faster than weir reads is always ready. Without a pause no time limit would be looked at.
            consume_budget().await;
            if self.chunk.is_empty() {
                match self.bytes.next().await? {
                    Ok(chunk) => self.chunk = chunk,
                    Err(error) => return Some(Err(Failure::Interrupted(error.into()))),
                }
                self.total = self.total.saturating_add(self.chunk.len());
                if self.total > MAX_STREAM_BYTES {
                    return Some(Err(Failure::Malformed(format!(
                        "the stream is longer than {MAX_STREAM_BYTES} bytes"
                    ))));
                }
            }
            match self.decode() {
                Ok(None) => {}
                Ok(Some(event)) => return Some(Ok(event)),
                Err(failure) => return Some(Err(failure)),
            }
        }
    }

    /// Takes bytes of the chunk, up to the end of an event. Returns the event if it has data.
    fn decode(&mut self) -> Result<Option<SseEvent>, Failure> {
        let before = self.chunk.len();
        let decoded = self.decoder.next(&mut self.chunk).transpose();
        self.since_event += before - self.chunk.len();
        let too_long = || Failure::Malformed(format!("an event of the stream is longer than {MAX_EVENT_BYTES} bytes"));
        let event = decoded.map_err(|_| too_long())?.and_then(message);
        match event {
            Some(event) => {
                self.since_event = 0;
                Ok(Some(event))
            }
            None if self.since_event > MAX_EVENT_BYTES.get() => Err(too_long()),
            None => Ok(None),
        }
    }
}

/// The event; `None` if it has no data or sets the time to reconnect.
fn message(event: Decoded) -> Option<SseEvent> {
    match event {
        Decoded::Message(MessageEvent { event, data, .. }) if !data.trim().is_empty() => {
            Some(SseEvent { name: event.into_owned(), data: one_line(data) })
        }
        _ => None,
    }
}

/// Joins the lines of JSON by spaces: JSON has line breaks only between tokens.
fn one_line(data: String) -> String {
    if data.contains(['\n', '\r']) { data.replace(['\n', '\r'], " ") } else { data }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use futures_util::{FutureExt as _, stream};
    use proptest::prelude::*;

    use super::*;

    /// Reads `pieces`; one line per event.
    fn read_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let pieces: Vec<_> =
            pieces.into_iter().map(|piece| Ok::<_, Infallible>(Bytes::copy_from_slice(piece))).collect();
        let line = |event: Result<SseEvent, Failure>| match event {
            Ok(event) => format!("{}: {}", event.name, event.data),
            Err(failure) => failure.to_string(),
        };
        read(stream::iter(pieces)).map(line).collect().now_or_never().unwrap()
    }

    /// Cuts `bytes` after each of `lengths`, and the rest into bytes.
    fn cut<'a>(bytes: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
        let mut rest = bytes;
        let mut pieces = Vec::new();
        for length in lengths {
            let (piece, other) = rest.split_at((*length).min(rest.len()));
            pieces.push(piece);
            rest = other;
        }
        pieces.extend(rest.chunks(1));
        pieces
    }

    /// Reads a whole text by the algorithm of the HTML standard.
    fn expected(text: &str) -> Vec<String> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n").replace('\r', "\n");
        let (mut name, mut data, mut events) = (String::new(), String::new(), Vec::new());
        // The last element is a line that did not end.
        let lines: Vec<_> = text.split('\n').collect();
        for line in &lines[..lines.len() - 1] {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" if line.is_empty() => {
                    if !data.trim().is_empty() {
                        let kind = if name.is_empty() { "message" } else { &name };
                        events.push(format!("{kind}: {}", data.strip_suffix('\n').unwrap_or(&data).replace('\n', " ")));
                    }
                    name.clear();
                    data.clear();
                }
                "event" => value.clone_into(&mut name),
                "data" => data.extend([value, "\n"]),
                _ => {}
            }
        }
        events
    }

    #[test]
    fn reads_names_and_data_and_skips_comments() {
        let text = ": a comment\r\n\r\ndata: {\"a\":\ndata: \"ü 👋\"}\n\nevent: error\nid: 7\ndata:{}\n\ndata:\n\ndata: unended";
        assert_eq!(read_pieces([text.as_bytes()]), ["message: {\"a\": \"ü 👋\"}", "error: {}"]);
    }

    #[test]
    fn skips_a_byte_order_mark_at_the_start() {
        let text = "\u{feff}data: 1\n\ndata: \u{feff}2\n\n".as_bytes();
        for size in 1..text.len() {
            assert_eq!(read_pieces(text.chunks(size)), ["message: 1", "message: \u{feff}2"], "{size}");
        }
    }

    #[test]
    fn refuses_an_event_that_is_too_long() {
        let line = [b"data: ".as_slice(), &vec![b'a'; MAX_EVENT_BYTES.get() / 2], b"\n"].concat();
        let found = read_pieces([&line[..], &line, &line]);
        let reason = "the provider's answer is not understood: an event of the stream is longer than 16777216 bytes";
        assert_eq!(found[0], reason);
        assert_eq!(read_pieces([&line[..], b"\n"])[0].len(), line.len() + "message: ".len() - "data: \n".len());
    }

    #[test]
    fn refuses_lines_without_end_whatever_they_are() {
        let rest = vec![b'a'; 1024 * 1024];
        for begin in ["data: ", "event: ", "id: ", "unknown: ", ": a comment ", ""] {
            let pieces = std::iter::once(begin.as_bytes()).chain(std::iter::repeat_n(&rest[..], 17));
            let reason =
                "the provider's answer is not understood: an event of the stream is longer than 16777216 bytes";
            assert_eq!(read_pieces(pieces), [reason], "{begin}");
        }
    }

    #[test]
    fn comments_between_events_count_for_the_next_event_only() {
        let comments = [b": ".as_slice(), &vec![b'a'; 9 * 1024 * 1024], b"\n\n"].concat();
        let event = b"data: 1\n\n".as_slice();
        assert_eq!(read_pieces([&comments, event, &comments, event]), ["message: 1", "message: 1"]);
    }

    #[tokio::test]
    async fn a_time_limit_ends_a_stream_that_is_always_ready() {
        // Each flood ends some time, so that a failed test ends too.
        for piece in [": still here\n", "data:\n\n", "retry: 1\n"] {
            let flood =
                stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(piece.as_bytes()))).take(1_000_000);
            let mut events = std::pin::pin!(read(flood));
            let waited = tokio::time::timeout(Duration::from_millis(5), events.next()).await;
            assert!(waited.is_err(), "{piece}: {waited:?}");
        }
    }

    proptest! {
        #[test]
        fn cuts_do_not_change_events(
            mark in "\u{feff}?",
            lines in "((data|event|id|retry|other)?(: ?)?[a-zü👋:\u{feff} ]{0,4}(\r\n|\r|\n){1,2}){0,12}[a-z:]{0,3}",
            lengths in prop::collection::vec(0_usize..9, 0..60),
        ) {
            let text = mark + &lines;
            let expected = expected(&text);
            prop_assert_eq!(read_pieces([text.as_bytes()]), &expected[..]);
            prop_assert_eq!(read_pieces(cut(text.as_bytes(), &lengths)), expected);
        }

        #[test]
        fn any_bytes_are_read_the_same_however_they_are_cut(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(&b"\r\n: data\xef\xbb\xbf"[..])], 0..200),
            lengths in prop::collection::vec(0_usize..9, 0..60),
        ) {
            prop_assert_eq!(read_pieces([&bytes[..]]), read_pieces(cut(&bytes, &lengths)));
        }
    }
}
