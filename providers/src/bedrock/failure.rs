//! From the SDK's errors to a [`Failure`].

use std::error::Error;
use std::time::Duration;

use aws_sdk_bedrockruntime::config::http::HttpResponse;
use aws_sdk_bedrockruntime::error::{ProvideErrorMetadata, SdkError};
use shared::model::provider::{Failure, Refusal};

/// What an operation that did not begin to answer means.
pub(super) fn of_call<E>(error: SdkError<E, HttpResponse>, connect: Duration) -> Failure
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    if matches!(&error, SdkError::DispatchFailure(failure) if failure.is_timeout()) {
        return Failure::TimedOut { awaited: "connection", after: connect };
    }
    of(error, status)
}

/// What an error inside a stream means.
pub(super) fn of_stream<E, R>(error: SdkError<E, R>) -> Failure
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    of(error, None)
}

fn of<E, R>(error: SdkError<E, R>, status: Option<u16>) -> Failure
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match error {
        SdkError::ServiceError(service) => of_service(service.err(), status),
        SdkError::ResponseError(_) => Failure::Malformed("the answer is not Bedrock's".to_owned()),
        other => Failure::Unreachable(other.into()),
    }
}

fn of_service(error: &impl ProvideErrorMetadata, status: Option<u16>) -> Failure {
    let code = error.code().unwrap_or_default();
    let message = error.message().unwrap_or("the provider gave no reason").to_owned();
    match (code, status) {
        ("ModelNotReadyException", _) => unavailable(503, message),
        ("ModelTimeoutException", _) => unavailable(408, message),
        ("InternalServerException" | "ModelErrorException" | "ModelStreamErrorException", _) => {
            unavailable(status.filter(|status| *status >= 500).unwrap_or(500), message)
        }
        ("ServiceUnavailableException", _) => unavailable(503, message),
        ("ThrottlingException" | "ServiceQuotaExceededException", _) | (_, Some(429)) => {
            Failure::Throttled { message, retry_after: None }
        }
        ("AccessDeniedException", _) | (_, Some(401 | 403)) => Failure::Unauthorized { message },
        ("ValidationException" | "ResourceNotFoundException" | "ConflictException", _) | (_, Some(400..500)) => {
            let refusal = Refusal { message, kind: Some("invalid_request_error".to_owned()), param: None, code: None };
            Failure::Refused { status: status.unwrap_or(400), refusal }
        }
        _ => unavailable(status.unwrap_or(500), message),
    }
}

fn unavailable(status: u16, message: String) -> Failure {
    Failure::Unavailable { status, message, retry_after: None }
}
