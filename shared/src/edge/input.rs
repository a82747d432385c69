//! Extractors of bodies and paths. A request that they cannot parse is answered in OpenAI's envelope.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::lent::{Returned, discard, lend};
use super::reject::Rejection;
use crate::app::{Error, ErrorChain};
use crate::dialects::body;
use crate::model::file::MAX_FILE_BYTES;
use crate::model::invalid::Invalid;
use crate::model::long_work::long_work;
use crate::model::upload::MAX_PART_BYTES;

/// The largest body that Lambda accepts.
pub(super) const MAX_BODY_BYTES: usize = 6 * 1024 * 1024;

/// The largest body that a route takes. Uploads go to the bucket as they arrive, so they may be larger; Lambda limits them all the same.
pub(super) fn max_body_bytes(path: &str) -> usize {
    const FORM_AROUND_FILE: usize = 1024 * 1024;
    if path == "/v1/files" {
        MAX_FILE_BYTES as usize + FORM_AROUND_FILE
    } else if path.starts_with("/v1/uploads/") && path.ends_with("/parts") {
        MAX_PART_BYTES as usize + FORM_AROUND_FILE
    } else {
        MAX_BODY_BYTES
    }
}

/// The time in which a whole body must arrive. On Lambda it has arrived before.
pub(super) const READING: Duration = Duration::from_secs(60);

/// The time for the rest of a body after its request was refused.
const DISCARDING: Duration = Duration::from_secs(5);

/// A body as the client sent it, or the reason why it could not be read. [`read_body`] gives the bytes.
///
/// A handler takes it after the [`Caller`](crate::model::project::Caller) or the [`Admin`](super::Admin), so that no byte of
/// it is kept in memory before the key is known.
pub struct SentBody(Result<Bytes, Rejection>);

impl<S: Send + Sync> FromRequest<S> for SentBody {
    type Rejection = Infallible;

    async fn from_request(request: Request, _: &S) -> Result<Self, Infallible> {
        let whole = Limited::new(request.into_body(), MAX_BODY_BYTES).collect();
        Ok(Self(match timeout(READING, whole).await {
            Ok(Ok(whole)) => Ok(whole.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Rejection::TooLarge(MAX_BODY_BYTES)),
            Ok(Err(error)) => Err(unreadable(&*error)),
            Err(_) => Err(Rejection::TooSlow),
        }))
    }
}

/// A JSON body parsed as `T`. The error of a wrong field names the field.
pub struct Input<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Input<T> {
    type Rejection = Rejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Rejection> {
        let sent = SentBody::from_request(request, state).await.unwrap_or_else(|never| match never {});
        read_body(sent, |json| body::parse(json)).map(Self)
    }
}

/// Reads a body. Other requests do not wait while `read` reads a long one.
///
/// # Errors
/// The error of `read`; `TooLarge` above 6 MB, `TooSlow` if the body does not end within a minute, `Invalid` if it breaks.
pub fn read_body<T>(sent: SentBody, read: impl FnOnce(&[u8]) -> Result<T, Invalid>) -> Result<T, Rejection> {
    let bytes = sent.0?;
    Ok(long_work(bytes.len(), || read(&bytes))?)
}

pub(super) fn unreadable(reason: &(dyn std::error::Error + 'static)) -> Rejection {
    let message = format!("The request body could not be read: {}.", ErrorChain(reason));
    Error::Invalid(Invalid { message, param: None, code: None }).into()
}

/// Refuses a body that is declared to be larger than its route takes, and reads what the handler left of a body.
///
/// If a request is answered before its body has arrived, hyper closes the connection. A client that still sends then
/// sees a broken connection instead of the answer, and its next request fails.
pub(super) async fn finish_body(request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let waits = head.headers.contains_key(header::EXPECT);
    let most = max_body_bytes(head.uri.path());
    let is_too_large = body.size_hint().lower() > most as u64;
    let (lent, rest) = lend(body);
    let response = if is_too_large {
        drop(lent);
        Rejection::TooLarge(most).into_response()
    } else {
        next.run(Request::from_parts(head, Body::new(lent))).await
    };
    if let Some(Returned { body, was_read }) = rest.take() {
        // Unless the body is read, a client that waits for `100 Continue` does not send it.
        if was_read || !waits {
            let _ = timeout(DISCARDING, discard(body)).await;
        }
    }
    response
}

/// Segments of the path, parsed as `T`.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection) => {
                let message = format!("Invalid URL path: {}.", rejection.body_text());
                Err(Error::Invalid(Invalid { message, param: None, code: None }).into())
            }
        }
    }
}
