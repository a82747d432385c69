//! A body that a handler may read or leave, and whose rest comes back.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use http_body_util::BodyExt as _;

/// The longest rest of a body that is read after its request was refused.
const MAX_DISCARDED_BYTES: usize = 64 * 1024 * 1024;

/// Lends a body. When the lent body is dropped, [`Rest::take`] returns what was not read of it.
pub(super) fn lend(body: Body) -> (Lent, Rest) {
    let rest = Rest(Arc::default());
    (Lent { body, was_read: false, rest: rest.clone() }, rest)
}

/// A body whose rest comes back.
pub(super) struct Lent {
    body: Body,
    was_read: bool,
    rest: Rest,
}

/// The place to which a lent body comes back.
#[derive(Clone)]
pub(super) struct Rest(Arc<Mutex<Option<Returned>>>);

/// The rest of a body that did not end.
pub(super) struct Returned {
    pub(super) body: Body,
    /// Whether any of it was asked for.
    pub(super) was_read: bool,
}

impl Rest {
    pub(super) fn take(&self) -> Option<Returned> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.body.is_end_stream() {
            let returned = Returned { body: std::mem::take(&mut self.body), was_read: self.was_read };
            *self.rest.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(returned);
        }
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        self.was_read = true;
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// Reads the rest of a body, within bounds, and keeps none of it.
pub(super) async fn discard(mut body: Body) {
    let mut left = MAX_DISCARDED_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        let Some(less) = left.checked_sub(bytes) else { return };
        left = less;
    }
}
