//! `/v1/organization/providers`. OpenAI has no such route; it follows its style.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use shared::app::{BreakerPhase, TargetStates, TargetStatus};
use shared::edge::{Admin, Rejection};

#[derive(Serialize)]
pub(crate) struct Targets {
    object: &'static str,
    data: Vec<TargetObject>,
}

/// A target of models, and its circuit breaker.
#[derive(Serialize)]
struct TargetObject {
    object: &'static str,
    provider: String,
    /// The provider's name of the model.
    model: String,
    /// The models that callers name.
    serves: Vec<String>,
    /// `closed`, `open` or `half_open`.
    state: &'static str,
    /// The failures that opened the breaker, and the calls among which they were. All below are null while it is closed.
    failures: Option<u64>,
    calls: Option<u64>,
    /// The kind of the last failure.
    cause: Option<String>,
    opened_at: Option<u64>,
    open_until: Option<u64>,
}

impl From<TargetStatus> for TargetObject {
    fn from(TargetStatus { provider, model, serves, phase, breaker }: TargetStatus) -> Self {
        let state = match phase {
            BreakerPhase::Closed => "closed",
            BreakerPhase::Open => "open",
            BreakerPhase::HalfOpen => "half_open",
        };
        Self {
            object: "organization.target",
            provider,
            model,
            serves,
            state,
            failures: breaker.as_ref().map(|breaker| breaker.failures),
            calls: breaker.as_ref().map(|breaker| breaker.calls),
            opened_at: breaker.as_ref().map(|breaker| breaker.opened_at.seconds()),
            open_until: breaker.as_ref().map(|breaker| breaker.open_until.seconds()),
            cause: breaker.map(|breaker| breaker.cause),
        }
    }
}

pub(crate) async fn list(_: Admin, State(targets): State<Arc<TargetStates>>) -> Result<Json<Targets>, Rejection> {
    let data = targets.list().await?.into_iter().map(TargetObject::from).collect();
    Ok(Json(Targets { object: "list", data }))
}
