//! Turns the SDK's errors into a [`Failure`].

use std::error::Error;
use std::iter::successors;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_bedrockruntime::config::http::HttpResponse;
use aws_sdk_bedrockruntime::error::{ConnectorError, ProvideErrorMetadata, SdkError};
use aws_sdk_bedrockruntime::types::error::{ConverseStreamOutputError, ResponseStreamError};
use aws_smithy_types::event_stream::RawMessage;
use shared::model::provider::{Awaited, Failure, ProviderRefusal};
use shared::model::shortage::is_shortage;

use super::bounded::TooLong;
use crate::http::{refused_failure, unauthorized_failure};

/// The failure of a call that has no answer.
pub(super) fn of_call<E>(error: SdkError<E, HttpResponse>, connect: Duration) -> Failure
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    if let Some(failure) = too_long(&error) {
        return failure;
    }
    if is_shortage(&error) {
        return Failure::OwnShortage(error.into());
    }
    let status = error.raw_response().map(|response| response.status().as_u16());
    match error {
        SdkError::ServiceError(service) => of_service(service.err(), service.err().code(), status),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            Failure::TimedOut { awaited: Awaited::Connection, after: connect }
        }
        SdkError::DispatchFailure(failure)
            if lacks_credentials(failure.as_connector_error().and_then(Error::source)) =>
        {
            Failure::Unauthorized { message: "AWS gives the function no credentials".to_owned() }
        }
        SdkError::ConstructionFailure(_) => Failure::Unreachable(error.into()),
        SdkError::DispatchFailure(ref failure) if has_no_connection(failure.as_connector_error()) => {
            Failure::Unreachable(error.into())
        }
        SdkError::ResponseError(_) => malformed(),
        other => Failure::Interrupted(other.into()),
    }
}

/// Whether no connection was made. The SDK reports that, and a connection that broke, as the same kind of failure.
fn has_no_connection(error: Option<&ConnectorError>) -> bool {
    let causes = successors(error.map(|error| error as &(dyn Error + 'static)), |&error| error.source());
    causes.filter_map(|cause| cause.downcast_ref::<hyper_util::client::legacy::Error>()).any(|cause| cause.is_connect())
}

/// Whether credentials are missing. The SDK reports this as a failed connection, with this error as its source.
fn lacks_credentials(source: Option<&(dyn Error + 'static)>) -> bool {
    source.is_some_and(|source| source.is::<CredentialsError>())
}

/// The failure for an error inside a stream.
pub(super) fn of_stream<E>(error: SdkError<E, RawMessage>) -> Failure
where
    E: StreamError + Send + Sync + 'static,
{
    if let Some(failure) = too_long(&error) {
        return failure;
    }
    match error {
        SdkError::ServiceError(service) => of_service(service.err(), service.err().name(), None),
        SdkError::ResponseError(_) => malformed(),
        other => Failure::Interrupted(other.into()),
    }
}

/// Why weir cut the answer off, if it did. The SDK reports this as a broken connection or as a wrong answer.
fn too_long(error: &(dyn Error + 'static)) -> Option<Failure> {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let found = causes.filter_map(|cause| cause.downcast_ref::<TooLong>()).next();
    found.map(|too_long| Failure::Malformed(too_long.to_string()))
}

/// An error inside a stream. In the SDK, only its type has the name.
pub(super) trait StreamError: Error + ProvideErrorMetadata {
    fn name(&self) -> Option<&str>;
}

impl StreamError for ConverseStreamOutputError {
    fn name(&self) -> Option<&str> {
        match self {
            Self::ThrottlingException(_) => Some("ThrottlingException"),
            Self::ValidationException(_) => Some("ValidationException"),
            Self::ServiceUnavailableException(_) => Some("ServiceUnavailableException"),
            Self::InternalServerException(_) => Some("InternalServerException"),
            Self::ModelStreamErrorException(_) => Some("ModelStreamErrorException"),
            other => other.code(),
        }
    }
}

impl StreamError for ResponseStreamError {
    fn name(&self) -> Option<&str> {
        match self {
            Self::ThrottlingException(_) => Some("ThrottlingException"),
            Self::ValidationException(_) => Some("ValidationException"),
            Self::ServiceUnavailableException(_) => Some("ServiceUnavailableException"),
            Self::InternalServerException(_) => Some("InternalServerException"),
            Self::ModelStreamErrorException(_) => Some("ModelStreamErrorException"),
            Self::ModelTimeoutException(_) => Some("ModelTimeoutException"),
            other => other.code(),
        }
    }
}

fn malformed() -> Failure {
    Failure::Malformed("the answer is not Bedrock's".to_owned())
}

fn of_service(error: &impl ProvideErrorMetadata, code: Option<&str>, status: Option<u16>) -> Failure {
    let message = error.message().unwrap_or("the provider gave no reason").to_owned();
    match (code.unwrap_or_default(), status) {
        ("ModelNotReadyException", _) => unavailable(503, message),
        ("ModelTimeoutException", _) => unavailable(408, message),
        ("InternalServerException" | "ModelErrorException" | "ModelStreamErrorException", _) => {
            unavailable(status.filter(|status| *status >= 500).unwrap_or(500), message)
        }
        ("ServiceUnavailableException", _) => unavailable(503, message),
        ("ThrottlingException" | "ServiceQuotaExceededException", _) | (_, Some(429)) => {
            Failure::Throttled { message, retry_after: None }
        }
        ("AccessDeniedException", _) | (_, Some(401 | 403)) => unauthorized_failure(),
        ("ValidationException" | "ResourceNotFoundException" | "ConflictException", _) | (_, Some(400..500)) => {
            let refusal =
                ProviderRefusal { message, kind: Some("invalid_request_error".to_owned()), param: None, code: None };
            refused_failure(status.unwrap_or(400), refusal)
        }
        _ => unavailable(status.unwrap_or(500), message),
    }
}

fn unavailable(status: u16, message: String) -> Failure {
    Failure::Unavailable { status, message, retry_after: None }
}
