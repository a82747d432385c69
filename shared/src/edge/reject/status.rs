//! The status, type and code of every error: the public contract, on one screen.
//!
//! `docs/api.md` lists the same rows.

use axum::http::StatusCode as S;

use super::Rejection;
use crate::app::{Error, Limit, Refusal};
use crate::model::forbidden::Forbidden;
use crate::model::key_refusal::KeyRefusal;
use crate::model::provider::Failure;

/// The HTTP status, and `type` and `code` of the envelope.
pub(super) type Row<'a> = (S, &'static str, Option<&'a str>);

pub(super) const REQUEST: &str = "invalid_request_error";
const SERVER: &str = "server_error";

pub(super) fn classify(rejection: &Rejection) -> Row<'_> {
    match rejection {
        Rejection::App(error) => classify_app(error),
        Rejection::TooLarge(_) => (S::PAYLOAD_TOO_LARGE, REQUEST, Some("request_too_large")),
        Rejection::TooSlow => (S::REQUEST_TIMEOUT, REQUEST, Some("request_timeout")),
        Rejection::UnknownRoute { .. } => (S::NOT_FOUND, REQUEST, Some("unknown_url")),
        Rejection::WrongMethod { .. } => (S::METHOD_NOT_ALLOWED, REQUEST, Some("method_not_allowed")),
        // Clients such as Codex go on with HTTP at once after this status.
        Rejection::WebSocket => (S::UPGRADE_REQUIRED, REQUEST, Some("websocket_not_supported")),
        Rejection::Panicked => (S::INTERNAL_SERVER_ERROR, SERVER, Some("internal_error")),
    }
}

pub(super) fn classify_app(error: &Error) -> Row<'_> {
    match error {
        Error::Unauthenticated(refusal) => (S::UNAUTHORIZED, REQUEST, Some(classify_key(refusal))),
        Error::Forbidden(Forbidden::Scope { .. } | Forbidden::AdminScope { .. }) => {
            (S::FORBIDDEN, REQUEST, Some("missing_scope"))
        }
        // As OpenAI answers for a model that a project may not use.
        Error::Forbidden(_) => (S::FORBIDDEN, REQUEST, Some("model_not_found")),
        Error::NoAdminKey(_) => (S::SERVICE_UNAVAILABLE, SERVER, Some("admin_key_unavailable")),
        Error::Invalid(invalid) => (S::BAD_REQUEST, REQUEST, invalid.code),
        Error::UnknownModel(_) => (S::NOT_FOUND, REQUEST, Some("model_not_found")),
        Error::NoModels(_) | Error::WrongModel { .. } => (S::SERVICE_UNAVAILABLE, SERVER, Some("models_unavailable")),
        Error::Unpriced(_) => (S::BAD_REQUEST, REQUEST, Some("model_not_priced")),
        Error::NotFound { .. } | Error::MadeAndGone { .. } => (S::NOT_FOUND, REQUEST, Some("not_found")),
        Error::ResponseDeleted(_) => (S::NOT_FOUND, REQUEST, Some("response_deleted")),
        Error::Conflict { .. } => (S::CONFLICT, REQUEST, Some("conflict")),
        Error::Refused(refusal) => {
            let kind = match refusal.limit {
                Limit::Requests { .. } => "requests",
                Limit::Tokens { .. } => "tokens",
                Limit::Budget { .. } | Limit::Ended => "insufficient_quota",
            };
            (S::TOO_MANY_REQUESTS, kind, Some(refusal_code(refusal)))
        }
        // Not 429: the SDKs repeat that, and no time makes room.
        Error::StorageFull(_) => (S::FORBIDDEN, "insufficient_quota", Some("storage_limit_exceeded")),
        Error::KeyReused => (S::UNPROCESSABLE_ENTITY, REQUEST, Some("idempotency_key_reused")),
        Error::Provider { source, .. } => classify_provider(source),
        Error::Contended(_) => (S::SERVICE_UNAVAILABLE, SERVER, Some("contended")),
        Error::Unavailable { .. } => (S::SERVICE_UNAVAILABLE, SERVER, Some("store_unavailable")),
        Error::Repeated(_) | Error::Internal { .. } => (S::INTERNAL_SERVER_ERROR, SERVER, Some("internal_error")),
    }
}

/// The code of a refusal by a limit.
#[must_use]
pub fn refusal_code(refusal: &Refusal) -> &'static str {
    match refusal.limit {
        Limit::Requests { .. } | Limit::Tokens { .. } => "rate_limit_exceeded",
        Limit::Budget { .. } => "budget_exceeded",
        Limit::Ended => "run_ended",
    }
}

fn classify_key(refusal: &KeyRefusal) -> &'static str {
    match refusal {
        KeyRefusal::Expired { .. } => "expired_api_key",
        KeyRefusal::Address { .. } | KeyRefusal::AdminAddress { .. } => "ip_not_authorized",
        _ => "invalid_api_key",
    }
}

fn classify_provider(failure: &Failure) -> Row<'_> {
    match failure {
        Failure::Refused { status, refusal } => {
            (S::from_u16(*status).unwrap_or(S::BAD_REQUEST), REQUEST, refusal.code.as_deref())
        }
        Failure::Unsupported { .. } => (S::BAD_REQUEST, REQUEST, Some("unsupported_by_provider")),
        Failure::Throttled { .. } => (S::TOO_MANY_REQUESTS, "requests", Some("provider_rate_limited")),
        Failure::Unreachable(_)
        | Failure::Interrupted(_)
        | Failure::Unavailable { .. }
        | Failure::CircuitOpen { .. } => (S::SERVICE_UNAVAILABLE, SERVER, Some("provider_unavailable")),
        Failure::OwnShortage(_) => (S::SERVICE_UNAVAILABLE, SERVER, Some("overloaded")),
        Failure::TimedOut { .. } | Failure::OutOfTime => (S::GATEWAY_TIMEOUT, SERVER, Some("provider_timeout")),
        Failure::Unauthorized { .. } => (S::BAD_GATEWAY, SERVER, Some("provider_unauthorized")),
        Failure::NotSetUp { .. } => (S::BAD_GATEWAY, SERVER, Some("provider_not_set_up")),
        Failure::NotSent | Failure::Malformed(_) => (S::BAD_GATEWAY, SERVER, Some("provider_error")),
    }
}
