//! Bodies and queries, read into types; what cannot be read is answered in OpenAI's envelope.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::reject::Rejection;
use crate::app::Error;
use crate::model::invalid::Invalid;

/// What Lambda takes as one request; a larger one must come another way.
pub(crate) const MAX_BODY_BYTES: usize = 6 * 1024 * 1024;

/// A JSON body read as `T`; errors name the field.
pub struct Input<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Input<T> {
    type Rejection = Rejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Rejection> {
        let bytes = body(Bytes::from_request(request, state).await)?;
        let mut deserializer = serde_json::Deserializer::from_slice(&bytes);
        let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
            let path = error.path().to_string();
            // What is not JSON has no fields: its path says where reading stopped.
            unreadable(error.inner(), (error.inner().is_data() && path != ".").then_some(path))
        })?;
        deserializer.end().map_err(|error| unreadable(&error, None))?;
        Ok(Self(value))
    }
}

fn unreadable(error: &serde_json::Error, param: Option<String>) -> Error {
    Error::Invalid(Invalid { message: format!("Invalid request body: {error}."), param, code: None })
}

/// Bytes of a body, or why there are none.
///
/// # Errors
/// `TooLarge`, or that the connection broke.
pub fn body(read: Result<Bytes, BytesRejection>) -> Result<Bytes, Rejection> {
    read.map_err(|rejection| {
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

/// Path segments read as `T`.
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

/// Query parameters read as `T`.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => {
                let message = format!("Invalid query: {}.", rejection.body_text());
                Err(Error::Invalid(Invalid { message, param: None, code: None }).into())
            }
        }
    }
}
