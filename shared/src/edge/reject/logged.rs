//! The rejection in the log line of its request.

use std::sync::Arc;

use super::Rejection;
use crate::app::{Error, ErrorChain, Limit};
use crate::model::key_refusal::KeyRefusal;
use crate::model::meter::RateStatus;

/// The rejection of a response. The response carries it to the log, so that each failure is logged once.
#[derive(Clone)]
pub(in crate::edge) struct LoggedRejection(pub(super) Arc<Rejection>);

impl LoggedRejection {
    /// Whether the call was refused because the project's budget did not cover it.
    pub(in crate::edge) fn is_budget_refusal(&self) -> bool {
        let Rejection::App(error) = &*self.0 else { return false };
        matches!(&**error, Error::Refused(refusal) if matches!(refusal.limit, Limit::Budget { .. }))
    }

    /// How far the limits are used of which one refused the call.
    pub(in crate::edge) fn rates(&self) -> Option<RateStatus> {
        let Rejection::App(error) = &*self.0 else { return None };
        if let Error::Refused(refusal) = &**error { Some(refusal.rates) } else { None }
    }

    /// Whether the request carried a key that is not taken: a wrong, a revoked or an expired one, or one from another address.
    pub(in crate::edge) fn is_key_refusal(&self) -> bool {
        let Rejection::App(error) = &*self.0 else { return false };
        matches!(&**error, Error::Unauthenticated(refusal) if *refusal != KeyRefusal::Missing)
    }

    /// The error with all its causes. Leaves out text of the request and of the provider, which may quote a prompt.
    pub(in crate::edge) fn describe(&self) -> String {
        match &*self.0 {
            Rejection::App(error) => match &**error {
                Error::Invalid(invalid) => format!("invalid request: {}", invalid.param.as_deref().unwrap_or("body")),
                // Models and addresses are the caller's words.
                Error::Forbidden(_) => "not permitted for this key".to_owned(),
                Error::UnknownModel(_) => "unknown model".to_owned(),
                Error::NotFound { kind, .. } => format!("no such {kind}"),
                Error::Provider { tried, source } => format!("provider `{}`: {}", tried.provider, source.summary()),
                other => ErrorChain(other).to_string(),
            },
            Rejection::TooLarge(_) => "request body too large".to_owned(),
            Rejection::TooSlow => "request body too slow".to_owned(),
            Rejection::UnknownRoute { .. } => "unknown route".to_owned(),
            Rejection::WrongMethod { .. } => "wrong method".to_owned(),
            Rejection::WebSocket => "websocket not supported".to_owned(),
            Rejection::Panicked => "handler panicked".to_owned(),
        }
    }
}
