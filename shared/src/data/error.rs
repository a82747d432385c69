//! Failures of the stores.

use std::error::Error;

use aws_sdk_dynamodb::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStreamError;

/// A failure of the table, the bucket or a queue, or an item that cannot be read.
///
/// Every method of this layer fails with `Failed` if a store fails, and with `Damaged` if an item cannot be read. A write
/// that failed may have taken effect: only its answer may be lost.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A store did not do its work. The source says why.
    #[error("the {store} did not {action}")]
    Failed {
        store: &'static str,
        action: &'static str,
        /// Whether the same request may succeed later.
        retryable: bool,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// An attribute of an item is missing or has another type or format.
    #[error("item `{key}` has no usable `{attribute}`")]
    Damaged { key: String, attribute: &'static str },
}

impl StoreError {
    /// Whether the same request may succeed later: the store was throttled, slow, out of reach, contended or ill (5xx).
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Failed { retryable: true, .. })
    }

    /// `send().await.map_err(StoreError::table("put the item"))`
    pub(super) fn table<C: Cause>(action: &'static str) -> impl FnOnce(C) -> Self {
        Self::failed("table", action)
    }

    pub(super) fn bucket<C: Cause>(action: &'static str) -> impl FnOnce(C) -> Self {
        Self::failed("bucket", action)
    }

    pub(super) fn queue<C: Cause>(action: &'static str) -> impl FnOnce(C) -> Self {
        Self::failed("queue", action)
    }

    fn failed<C: Cause>(store: &'static str, action: &'static str) -> impl FnOnce(C) -> Self {
        move |cause| Self::Failed { store, action, retryable: cause.is_retryable(), source: Box::new(cause) }
    }
}

/// The cause of a [`StoreError`]. A type of error is usable as a cause only after it decides whether a retry helps.
///
/// The SDK's service errors are not causes: they no longer know the transport and the status code.
pub(super) trait Cause: Error + Send + Sync + 'static {
    fn is_retryable(&self) -> bool;
}

/// Error codes for throttling and for requests that the service received too slowly.
const RETRYABLE_CODES: [&str; 11] = [
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestTimeout",
    "RequestTimeoutException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

impl Cause for serde_json::Error {
    fn is_retryable(&self) -> bool {
        false
    }
}

impl<E: ProvideErrorMetadata + Error + Send + Sync + 'static> Cause for SdkError<E> {
    fn is_retryable(&self) -> bool {
        match self {
            // The answer was lost, or was not one of the service: a proxy or a broken connection.
            Self::TimeoutError(_) | Self::ResponseError(_) => true,
            Self::DispatchFailure(failure) => !failure.is_user(),
            Self::ServiceError(answer) => {
                let status = answer.raw().status().as_u16();
                status >= 500
                    || status == 429
                    || answer.err().code().is_some_and(|code| RETRYABLE_CODES.contains(&code))
            }
            _ => false,
        }
    }
}

/// The request lacks a field: a defect of this code.
impl Cause for BuildError {
    fn is_retryable(&self) -> bool {
        false
    }
}

/// The connection broke while the body was read.
impl Cause for ByteStreamError {
    fn is_retryable(&self) -> bool {
        true
    }
}

/// Other writes of the same items came first, too often.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Contended(pub(super) &'static str);

impl Cause for Contended {
    fn is_retryable(&self) -> bool {
        true
    }
}

/// The configuration lacks something, or stored data is damaged: the next attempt fails in the same way.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unusable(pub(super) String);

impl Cause for Unusable {
    fn is_retryable(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::error::ErrorMetadata;
    use aws_sdk_dynamodb::operation::put_item::PutItemError;
    use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_types::body::SdkBody;

    use super::*;

    fn answer(status: u16, code: &str) -> SdkError<PutItemError> {
        let error = PutItemError::generic(ErrorMetadata::builder().code(code).build());
        SdkError::service_error(error, HttpResponse::new(status.try_into().unwrap(), SdkBody::empty()))
    }

    #[track_caller]
    fn check(cause: impl Cause, retryable: bool) {
        let text = format!("{cause:?}");
        assert_eq!(StoreError::table("put the item")(cause).is_retryable(), retryable, "{text}");
    }

    #[test]
    fn throttling_and_failures_of_the_service_are_retryable() {
        for code in ["ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"] {
            check(answer(400, code), true);
        }
        check(answer(500, "InternalServerError"), true);
        check(answer(503, ""), true);
    }

    #[test]
    fn a_lost_connection_or_answer_is_retryable() {
        check(SdkError::<PutItemError>::timeout_error("too slow"), true);
        check(SdkError::<PutItemError>::dispatch_failure(ConnectorError::io("no route".into())), true);
        check(SdkError::<PutItemError>::dispatch_failure(ConnectorError::timeout("too slow".into())), true);
        check(Contended("another write came first"), true);
    }

    #[test]
    fn a_wrong_request_or_damaged_data_is_not_retryable() {
        check(answer(400, "ValidationException"), false);
        check(answer(400, "AccessDeniedException"), false);
        check(SdkError::<PutItemError>::construction_failure("no region"), false);
        check(SdkError::<PutItemError>::dispatch_failure(ConnectorError::user("no such scheme".into())), false);
        check(Unusable("no URL".to_owned()), false);
        assert!(!StoreError::Damaged { key: "a/b".into(), attribute: "revision" }.is_retryable());
    }
}
