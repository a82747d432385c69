//! Whether and when a client should send a refused request again.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::app::{Error, Limit};
use crate::model::keys::KEY_RETRY_MS;
use crate::model::provider::Failure;

/// The wait if a provider or a store is not available and names no time itself.
const WAIT: Duration = Duration::from_secs(1);
/// The wait if too many instances changed the same item.
const CONTENTION_WAIT: Duration = Duration::from_millis(500);
/// The wait until a process reads its models again if it has none.
const MODELS_WAIT: Duration = Duration::from_secs(5);
/// The longest wait that is sent: Python's SDK does not retry at all if `retry-after` is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// The time to wait before a retry, if it is known, and `false` if a retry would fail again.
pub(super) fn advise(error: &Error) -> (Option<Duration>, bool) {
    match error {
        Error::Repeated(rendered) => (rendered.retry_after, rendered.should_retry),
        Error::Refused(refusal) => match (refusal.limit, refusal.retry_after) {
            (Limit::Budget { .. }, _) | (_, None) => (None, false),
            (_, wait) => (wait, true),
        },
        Error::KeyReused | Error::ResponseDeleted(_) | Error::MadeAndGone { .. } | Error::Conflict { .. } => {
            (None, false)
        }
        Error::Provider { source, .. } if source.is_retryable() || matches!(source, Failure::CircuitOpen { .. }) => {
            (Some(source.retry_after().unwrap_or(WAIT)), true)
        }
        Error::Provider { source: Failure::NotSetUp { retry_after, .. }, .. } => (*retry_after, retry_after.is_some()),
        Error::Provider { source: Failure::Unauthorized { .. }, .. } => (None, false),
        // The models are read again after some seconds.
        Error::NoAdminKey(_) => (Some(Duration::from_millis(KEY_RETRY_MS)), true),
        Error::NoModels(_) => (Some(MODELS_WAIT), true),
        Error::WrongModel { .. } => (None, false),
        Error::Contended(_) => (Some(CONTENTION_WAIT), true),
        Error::Unavailable { .. } => (Some(WAIT), true),
        _ => (None, true),
    }
}

/// Sets `retry-after` and `retry-after-ms` if there is a time to wait, and `x-should-retry: false` against retries that
/// would fail again. The SDKs retry by status if that header is absent.
pub(super) fn set_headers(headers: &mut HeaderMap, wait: Option<Duration>, should_retry: bool) {
    if let Some(wait) = wait {
        let ms = wait.clamp(Duration::from_millis(1), LONGEST_WAIT).as_millis();
        let number = |value: u128| HeaderValue::from(u64::try_from(value).unwrap_or(1));
        headers.insert(header::RETRY_AFTER, number(ms.div_ceil(1_000)));
        headers.insert(RETRY_AFTER_MS, number(ms));
    }
    if !should_retry {
        headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
}
