//! Errors as responses: OpenAI's envelope with all four keys, the status, and whether a retry helps.

mod envelope;
mod logged;
mod retry;
mod status;

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::answer::set_rates;
use crate::app::{Error, RenderedError};
use envelope::{PublicError, write_envelope};
pub(super) use logged::LoggedRejection;
pub use status::refusal_code;

/// Why a request is refused.
#[derive(Debug)]
pub enum Rejection {
    /// The error of an operation.
    App(Box<Error>),
    /// The body has more bytes than these, the most that its route takes.
    TooLarge(usize),
    /// The body did not arrive in time.
    TooSlow,
    UnknownRoute {
        method: String,
        path: String,
    },
    WrongMethod {
        method: String,
        path: String,
    },
    /// The client wants to speak over a WebSocket.
    WebSocket,
    /// The handler panicked.
    Panicked,
}

impl<E: Into<Error>> From<E> for Rejection {
    fn from(error: E) -> Self {
        Self::App(Box::new(error.into()))
    }
}

/// The status and the body with which an error is sent to the client.
#[must_use]
pub fn render(error: &Error) -> RenderedError {
    if let Error::Repeated(rendered) = error {
        return rendered.clone();
    }
    let public = PublicError::of_app(error);
    let (retry_after, should_retry) = retry::advise(error);
    RenderedError { status: public.status.as_u16(), body: write_envelope(&public), retry_after, should_retry }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut response = match &self {
            Self::App(error) => {
                let rendered = render(error);
                let status = StatusCode::from_u16(rendered.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let mut response = (status, [json], rendered.body).into_response();
                retry::set_headers(response.headers_mut(), rendered.retry_after, rendered.should_retry);
                if let Error::Refused(refusal) = &**error {
                    set_rates(response.headers_mut(), &refusal.rates);
                }
                response
            }
            other => {
                let public = PublicError::of(other);
                (public.status, [json], write_envelope(&public)).into_response()
            }
        };
        response.extensions_mut().insert(LoggedRejection(Arc::new(self)));
        response
    }
}
