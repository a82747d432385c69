//! Reads server-sent events from a provider's answer.

use std::num::NonZeroUsize;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, future};
use shared::model::provider::Failure;
use sse_core::{MessageEvent, SseDecoder, SseEvent as Decoded, SseStream, SseStreamError};

/// The longest data of one event. The largest events carry an image or a sound in base64.
const MAX_EVENT_BYTES: NonZeroUsize = NonZeroUsize::new(16 * 1024 * 1024).unwrap();

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SseEvent {
    /// `message` if the event has no name.
    pub name: String,
    /// Without line breaks.
    pub data: String,
}

/// The events of an answer. Comments and events without data are left out.
pub(crate) fn events(response: reqwest::Response) -> BoxStream<'static, Result<SseEvent, Failure>> {
    read(response.bytes_stream().map_err(reqwest::Error::without_url)).boxed()
}

fn read<E>(bytes: impl Stream<Item = Result<Bytes, E>>) -> impl Stream<Item = Result<SseEvent, Failure>>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let mut events = SseStream::with_decoder(SseDecoder::with_limit(MAX_EVENT_BYTES));
    events.attach(bytes);
    events.map_err(failure).try_filter_map(|event| future::ok(message(event)))
}

fn failure<E: std::error::Error + Send + Sync + 'static>(error: SseStreamError<E>) -> Failure {
    match error {
        SseStreamError::Inner(error) => Failure::Interrupted(error.into()),
        SseStreamError::PayloadTooLarge(_) => {
            Failure::Malformed(format!("an event of the stream is longer than {MAX_EVENT_BYTES} bytes"))
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
