//! `/v1/webhook_endpoints/{endpoint_id}/deliveries`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::value::RawValue;
use shared::app::webhooks::Webhooks;
use shared::edge::{List, Params, Path, Rejection, cursor};
use shared::model::invalid::Invalid;
use shared::model::project::Caller;
use shared::model::webhook::{Delivery, DeliveryAttempt, DeliveryState, DeliveryStatus, SendError};

/// A delivery. Its id is the `webhook-id` header of every attempt.
#[derive(Serialize)]
pub(crate) struct DeliveryObject {
    id: String,
    object: &'static str,
    webhook_endpoint_id: String,
    created_at: u64,
    status: &'static str,
    /// Why it was given up.
    failed_reason: Option<&'static str>,
    next_attempt_at: Option<u64>,
    /// The last ten attempts, oldest first.
    attempts: Vec<AttemptObject>,
    /// The body of the attempts, unchanged.
    event: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct AttemptObject {
    created_at: u64,
    duration_ms: u64,
    status_code: Option<u16>,
    error: Option<&'static str>,
}

impl From<DeliveryAttempt> for AttemptObject {
    fn from(attempt: DeliveryAttempt) -> Self {
        Self {
            created_at: attempt.at_ms / 1_000,
            duration_ms: attempt.duration_ms,
            status_code: attempt.status,
            error: attempt.error.map(SendError::name),
        }
    }
}

impl From<Delivery> for DeliveryObject {
    fn from(delivery: Delivery) -> Self {
        let failed_reason = match &delivery.state {
            DeliveryState::Failed(reason) => Some(reason.name()),
            DeliveryState::Pending(_) | DeliveryState::Delivered => None,
        };
        Self {
            object: "webhook_endpoint.delivery",
            created_at: delivery.created_at.seconds(),
            status: delivery.state.name(),
            failed_reason,
            next_attempt_at: delivery.pending().map(|pending| pending.next_attempt_at.seconds()),
            attempts: delivery.attempts.into_iter().map(AttemptObject::from).collect(),
            event: RawValue::from_string(delivery.body).ok(),
            id: delivery.key.delivery_id,
            webhook_endpoint_id: delivery.key.endpoint_id,
        }
    }
}

pub(crate) async fn list(
    caller: Caller,
    State(webhooks): State<Arc<Webhooks>>,
    Path(endpoint_id): Path<String>,
    params: Params,
) -> Result<Json<List<DeliveryObject>>, Rejection> {
    let page = webhooks.deliveries(&caller, &endpoint_id, parse_status(&params)?, &cursor(&params)?).await?;
    Ok(Json(List::of(page, |delivery| &delivery.key.delivery_id, DeliveryObject::from)))
}

pub(crate) async fn retrieve(
    caller: Caller,
    State(webhooks): State<Arc<Webhooks>>,
    Path((endpoint_id, id)): Path<(String, String)>,
) -> Result<Json<DeliveryObject>, Rejection> {
    Ok(Json(webhooks.delivery(&caller, &endpoint_id, &id).await?.into()))
}

pub(crate) async fn redeliver(
    caller: Caller,
    State(webhooks): State<Arc<Webhooks>>,
    Path((endpoint_id, id)): Path<(String, String)>,
) -> Result<Json<DeliveryObject>, Rejection> {
    Ok(Json(webhooks.redeliver(&caller, &endpoint_id, &id).await?.into()))
}

fn parse_status(params: &Params) -> Result<Option<DeliveryStatus>, Invalid> {
    let Some(name) = params.text("status") else { return Ok(None) };
    let found = DeliveryStatus::ALL.into_iter().find(|status| status.name() == name);
    let wrong = || Invalid::field("status", "`status` must be `pending`, `delivered` or `failed`.");
    found.map(Some).ok_or_else(wrong)
}
