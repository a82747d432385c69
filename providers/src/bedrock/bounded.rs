//! Bounds the answers of Bedrock while the SDK reads them. The SDK has no limit of its own: it keeps a whole answer, and each
//! frame of a stream, in memory until it is complete.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use aws_sdk_bedrockruntime::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_bedrockruntime::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::task::coop::poll_proceed;

use crate::http::{MAX_ANSWER_BYTES, MAX_STREAM_BYTES};

/// The longest frame of a stream. AWS sends at most 16 MB of payload and 128 KB of headers in one.
const MAX_FRAME_BYTES: usize = 17 * 1024 * 1024;

/// An answer, or a frame of one, that is too long.
#[derive(Debug, thiserror::Error)]
#[error("{what} is longer than {limit} bytes")]
pub(super) struct TooLong {
    what: &'static str,
    limit: usize,
}

/// Puts the limits around the body of each answer.
#[derive(Debug)]
pub(super) struct BoundAnswers;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Intercept for BoundAnswers {
    fn name(&self) -> &'static str {
        "BoundAnswers"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let answer = context.response_mut();
        let kind = answer.headers().get("content-type").unwrap_or_default();
        let limit = match kind.starts_with("application/vnd.amazon.eventstream") {
            true => Limit::stream(),
            false => Limit::whole(),
        };
        let body = std::mem::replace(answer.body_mut(), SdkBody::taken());
        *answer.body_mut() = SdkBody::from_body_1_x(Bounded { body, limit });
        Ok(())
    }
}

/// What may still come of an answer.
struct Limit {
    what: &'static str,
    limit: usize,
    left: usize,
    /// Of a stream.
    frames: Option<Frames>,
}

impl Limit {
    fn whole() -> Self {
        Self { what: "the answer", limit: MAX_ANSWER_BYTES, left: MAX_ANSWER_BYTES, frames: None }
    }

    fn stream() -> Self {
        Self { what: "the stream", limit: MAX_STREAM_BYTES, left: MAX_STREAM_BYTES, frames: Some(Frames::default()) }
    }

    fn admit(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(TooLong { what: self.what, limit: self.limit })?;
        self.frames.as_mut().map_or(Ok(()), |frames| frames.admit(bytes))
    }
}

/// Follows the frames of a stream. Each begins with its length, four bytes that count too.
#[derive(Default)]
struct Frames {
    length: [u8; 4],
    /// The bytes of `length` that have come.
    known: usize,
    /// The bytes of the frame that have not come.
    left: usize,
}

impl Frames {
    fn admit(&mut self, mut bytes: &[u8]) -> Result<(), TooLong> {
        while let [first, rest @ ..] = bytes {
            if self.left > 0 {
                let passed = self.left.min(bytes.len());
                self.left -= passed;
                bytes = &bytes[passed..];
                continue;
            }
            self.length[self.known] = *first;
            self.known += 1;
            bytes = rest;
            if self.known == self.length.len() {
                let total = usize::try_from(u32::from_be_bytes(self.length)).unwrap_or(usize::MAX);
                if total > MAX_FRAME_BYTES {
                    return Err(TooLong { what: "a frame of the stream", limit: MAX_FRAME_BYTES });
                }
                (self.known, self.left) = (0, total.saturating_sub(self.length.len()));
            }
        }
        Ok(())
    }
}

struct Bounded {
    body: SdkBody,
    limit: Limit,
}

impl Body for Bounded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        // A body that is always ready must not keep its task from looking at time limits.
        let progress = ready!(poll_proceed(cx));
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        progress.made_progress();
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                let admitted = frame.data_ref().map_or(Ok(()), |bytes| self.limit.admit(bytes));
                Some(admitted.map(|()| frame).map_err(BoxError::from))
            }
            other => other,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: usize) -> Vec<u8> {
        let mut bytes = u32::try_from(length).unwrap().to_be_bytes().to_vec();
        bytes.resize(length.clamp(4, 100), 0xff);
        bytes
    }

    #[test]
    fn frames_are_followed_however_they_are_cut() {
        let stream = [frame(16), frame(100), frame(4), frame(17)].concat();
        for size in 1..stream.len() {
            let mut frames = Frames::default();
            assert!(stream.chunks(size).all(|piece| frames.admit(piece).is_ok()), "{size}");
            let long = frame(MAX_FRAME_BYTES + 1);
            assert!(!long.chunks(size).all(|piece| frames.admit(piece).is_ok()), "{size}");
        }
    }

    #[test]
    fn a_whole_answer_has_a_limit() {
        let mut limit = Limit { left: 3, ..Limit::whole() };
        assert!(limit.admit(b"ab").is_ok() && limit.admit(b"c").is_ok() && limit.admit(b"d").is_err());
    }
}
