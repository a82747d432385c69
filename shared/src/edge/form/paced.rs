//! The body of a form, given to its parser piece by piece.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::BoxError;
use bytes::Bytes;
use futures_util::stream::Stream;

/// The most bytes before a part that do not begin it: what lies before the first boundary, and the headers of the part.
const MAX_BETWEEN_BYTES: usize = 64 * 1024;

/// Counts the bytes that the parser takes while it looks for the next part. It keeps them all, and searches them again with each piece.
#[derive(Clone)]
pub(super) struct BetweenParts(Arc<AtomicUsize>);

impl Default for BetweenParts {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(MAX_BETWEEN_BYTES)))
    }
}

impl BetweenParts {
    /// The parser begins to look for a part.
    pub(super) fn begin(&self) {
        self.0.store(MAX_BETWEEN_BYTES, Ordering::Relaxed);
    }

    /// The parser has found a part, whose content it passes on.
    pub(super) fn end(&self) {
        self.0.store(usize::MAX, Ordering::Relaxed);
    }

    /// Takes a piece; `false` if the pieces before it should have had the part. One large piece passes, as a whole body on Lambda.
    fn take(&self, bytes: usize) -> bool {
        match self.0.load(Ordering::Relaxed) {
            0 => false,
            usize::MAX => true,
            left => {
                self.0.store(left.saturating_sub(bytes), Ordering::Relaxed);
                true
            }
        }
    }
}

/// The parser looks for a part, and does not find it.
#[derive(Debug, thiserror::Error)]
#[error("there are more than {MAX_BETWEEN_BYTES} bytes before a part")]
pub(super) struct NoPart;

/// A stream that gives one piece each time that its parser asks. The parser asks until nothing has arrived, and would hold all of a
/// large body that arrives faster than it is passed on.
pub(super) struct Paced<S> {
    pieces: S,
    has_given: bool,
    between: BetweenParts,
}

impl<S> Paced<S> {
    pub(super) fn new(pieces: S, between: BetweenParts) -> Self {
        Self { pieces, has_given: false, between }
    }
}

impl<S> Stream for Paced<S>
where
    S: Stream<Item = Result<Bytes, BoxError>> + Unpin,
{
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.has_given) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let piece = std::task::ready!(Pin::new(&mut self.pieces).poll_next(context));
        self.has_given = piece.is_some();
        Poll::Ready(piece.map(|piece| match piece {
            Ok(piece) if !self.between.take(piece.len()) => Err(NoPart.into()),
            piece => piece,
        }))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use futures_util::stream::iter;

    use super::*;

    #[tokio::test]
    async fn pieces_between_parts_have_a_bound_and_contents_have_none() {
        let pieces = |count: usize| iter((0..count).map(|_| Ok::<_, BoxError>(Bytes::from(vec![0; 20_000]))));
        let between = BetweenParts::default();
        let read = async |count| {
            Paced::new(pieces(count), between.clone()).filter(|piece| std::future::ready(piece.is_ok())).count().await
        };
        between.begin();
        assert_eq!(read(9).await, 4);
        between.begin();
        assert_eq!(read(2).await, 2);
        between.end();
        assert_eq!(read(99).await, 99);
    }
}
