//! `/v1/webhook_endpoints`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::app::webhooks::{EndpointChange, NewEndpoint, Webhooks};
use shared::edge::{Input, List, Params, Path, Rejection, cursor};
use shared::model::invalid::Invalid;
use shared::model::patch::Patch;
use shared::model::project::Caller;
use shared::model::webhook::{Description, DisabledReason, EndpointStatus, EventType, EventTypes, WebhookEndpoint};

#[derive(Serialize)]
pub(crate) struct EndpointObject {
    id: String,
    object: &'static str,
    created_at: u64,
    url: String,
    event_types: Vec<&'static str>,
    description: Option<String>,
    status: &'static str,
    disabled_reason: Option<&'static str>,
}

impl From<WebhookEndpoint> for EndpointObject {
    fn from(endpoint: WebhookEndpoint) -> Self {
        let (status, disabled_reason) = match endpoint.status {
            EndpointStatus::Enabled => ("enabled", None),
            EndpointStatus::Disabled(reason) => ("disabled", Some(DisabledReason::name(reason))),
        };
        Self {
            id: endpoint.id,
            object: "webhook_endpoint",
            created_at: endpoint.created_at,
            url: endpoint.url,
            event_types: endpoint.event_types.into_iter().map(EventType::name).collect(),
            description: endpoint.description,
            status,
            disabled_reason,
        }
    }
}

/// An endpoint with its secret. Only the answers that create the endpoint or rotate its secret show it.
#[derive(Serialize)]
pub(crate) struct WithSecret {
    #[serde(flatten)]
    endpoint: EndpointObject,
    secret: String,
}

impl From<WebhookEndpoint> for WithSecret {
    fn from(endpoint: WebhookEndpoint) -> Self {
        let secret = endpoint.secrets.current.secret().expose().to_owned();
        Self { endpoint: endpoint.into(), secret }
    }
}

#[derive(Serialize)]
pub(crate) struct Deleted {
    id: String,
    object: &'static str,
    deleted: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateBody {
    url: String,
    event_types: Vec<String>,
    description: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateBody {
    url: Option<String>,
    event_types: Option<Vec<String>>,
    /// `null` removes the description.
    #[serde(default)]
    description: Patch<String>,
    status: Option<String>,
}

impl UpdateBody {
    fn change(self) -> Result<EndpointChange, Invalid> {
        let enabled = match self.status.as_deref() {
            None => None,
            Some("enabled") => Some(true),
            Some("disabled") => Some(false),
            Some(_) => return Err(Invalid::field("status", "`status` must be `enabled` or `disabled`.")),
        };
        Ok(EndpointChange {
            url: self.url,
            event_types: self.event_types.map(EventTypes::try_from).transpose()?,
            description: self.description.try_map(Description::try_from)?,
            enabled,
        })
    }
}

pub(crate) async fn create(
    caller: Caller,
    State(webhooks): State<Arc<Webhooks>>,
    Input(body): Input<CreateBody>,
) -> Result<Json<WithSecret>, Rejection> {
    let new = NewEndpoint {
        url: body.url,
        event_types: EventTypes::try_from(body.event_types)?,
        description: body.description.map(Description::try_from).transpose()?,
    };
    Ok(Json(webhooks.create(&caller, new).await?.into()))
}

pub(crate) async fn list(
    caller: Caller,
    State(webhooks): State<Arc<Webhooks>>,
    params: Params,
) -> Result<Json<List<EndpointObject>>, Rejection> {
    let page = webhooks.list(&caller, &cursor(&params)?).await?;
    Ok(Json(List::of(page, |endpoint| &endpoint.id, EndpointObject::from)))
}

pub(crate) async fn retrieve(
    caller: Caller,
    State(webhooks): State<Arc<Webhooks>>,
    Path(id): Path<String>,
) -> Result<Json<EndpointObject>, Rejection> {
    Ok(Json(webhooks.get(&caller, &id).await?.into()))
}

pub(crate) async fn update(
    caller: Caller,
    State(webhooks): State<Arc<Webhooks>>,
    Path(id): Path<String>,
    Input(body): Input<UpdateBody>,
) -> Result<Json<EndpointObject>, Rejection> {
    Ok(Json(webhooks.update(&caller, &id, body.change()?).await?.into()))
}

pub(crate) async fn delete(
    caller: Caller,
    State(webhooks): State<Arc<Webhooks>>,
    Path(id): Path<String>,
) -> Result<Json<Deleted>, Rejection> {
    webhooks.delete(&caller, &id).await?;
    Ok(Json(Deleted { id, object: "webhook_endpoint.deleted", deleted: true }))
}

pub(crate) async fn rotate_secret(
    caller: Caller,
    State(webhooks): State<Arc<Webhooks>>,
    Path(id): Path<String>,
) -> Result<Json<WithSecret>, Rejection> {
    Ok(Json(webhooks.rotate_secret(&caller, &id).await?.into()))
}
