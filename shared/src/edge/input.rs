//! Extractors of bodies and paths. A request that they cannot parse is answered in OpenAI's envelope.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::reject::Rejection;
use crate::app::Error;
use crate::dialects::body;
use crate::model::invalid::Invalid;

/// The largest body that Lambda accepts.
pub(super) const MAX_BODY_BYTES: usize = 6 * 1024 * 1024;

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
/// `TooLarge` above 6 MB; `Invalid` if the connection broke before the body was complete.
pub fn read_body(sent: SentBody) -> Result<Bytes, Rejection> {
    sent.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            return Rejection::TooLarge;
        }
        Error::Invalid(Invalid {
            message: format!("The request body could not be read: {rejection}."),
            param: None,
            code: None,
        })
        .into()
    })
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
