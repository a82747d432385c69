//! Extractors of bodies and paths. A request that they cannot parse is answered in OpenAI's envelope.

use std::fmt::Display;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::reject::Rejection;
use crate::app::Error;
use crate::dialects::body;
use crate::model::invalid::Invalid;

/// The largest body that Lambda accepts.
const MAX_BODY_BYTES: usize = 6 * 1024 * 1024;

/// The longest rest of a body that is read after its request was refused.
const MAX_DISCARDED_BYTES: usize = 64 * 1024 * 1024;

/// A body as the client sent it, or the reason why axum could not read it. [`read_body`] gives the bytes.
pub type SentBody = Result<Bytes, BytesRejection>;

/// A JSON body parsed as `T`. The error of a wrong field names the field.
pub struct Input<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Input<T> {
    type Rejection = Rejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Rejection> {
        let bytes = read_body(Bytes::from_request(request, state).await)?;
        Ok(Self(body::parse(&bytes).map_err(Error::from)?))
    }
}

/// The bytes of a body.
///
/// # Errors
/// `Invalid` if the body is not complete. [`stack`](super::stack) has then refused the request before.
pub fn read_body(sent: SentBody) -> Result<Bytes, Rejection> {
    sent.map_err(|rejection| unreadable(&rejection))
}

fn unreadable(reason: &dyn Display) -> Rejection {
    let message = format!("The request body could not be read: {reason}.");
    Error::Invalid(Invalid { message, param: None, code: None }).into()
}

/// Reads the whole body before the handler runs, as Lambda does, and refuses one above 6 MB.
///
/// If a request is answered before its body has arrived, hyper closes the connection. A client that still sends then
/// sees a broken connection instead of the answer, and its next request fails.
pub(super) async fn read_whole_body(request: Request, next: Next) -> Response {
    let (head, mut body) = request.into_parts();
    let waits = head.headers.contains_key(header::EXPECT);
    if waits && body.size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Rejection::TooLarge.into_response(); // Unless the body is read, the client does not send it.
    }
    match Limited::new(&mut body, MAX_BODY_BYTES).collect().await {
        Ok(whole) => next.run(Request::from_parts(head, Body::from(whole.to_bytes()))).await,
        Err(error) if error.is::<LengthLimitError>() => {
            discard(body).await;
            Rejection::TooLarge.into_response()
        }
        Err(error) => unreadable(&error).into_response(),
    }
}

/// Reads the rest of a body, within bounds.
async fn discard(mut body: Body) {
    let mut left = MAX_DISCARDED_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        let Some(less) = left.checked_sub(bytes) else { return };
        left = less;
    }
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
