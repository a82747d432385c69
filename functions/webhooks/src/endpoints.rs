//! `/v1/webhook_endpoints` and `/v1/webhook_event_types`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::app::webhooks::{EndpointChange, NewEndpoint, Webhooks};
use shared::dialects::body::parse;
use shared::edge::{Input, List, Params, Path, Rejection, SentBody, cursor, read_body};
use shared::model::invalid::Invalid;
use shared::model::project::{Caller, Name};
use shared::model::webhook::{DisabledReason, EndpointStatus, EventType, EventTypes, WebhookEndpoint};

#[derive(Serialize)]
pub(crate) struct EndpointObject {
    id: String,
    object: &'static str,
    created_at: u64,
    updated_at: u64,
    name: String,
    url: String,
    event_types: Vec<&'static str>,
    signing_secret_hint: String,
    /// weir's own, as `disabled_reason`.
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
            updated_at: endpoint.updated_at,
            name: endpoint.name,
            url: endpoint.url,
            event_types: endpoint.event_types.into_iter().map(EventType::name).collect(),
            signing_secret_hint: endpoint.secrets.current.hint(),
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
    signing_secret: String,
}

impl From<WebhookEndpoint> for WithSecret {
    fn from(endpoint: WebhookEndpoint) -> Self {
        let signing_secret = endpoint.secrets.current.secret().expose().to_owned();
        Self { endpoint: endpoint.into(), signing_secret }
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
    name: String,
    url: String,
    event_types: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateBody {
    name: Option<String>,
    url: Option<String>,
    event_types: Option<Vec<String>>,
    status: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateBody {
    keep_old_secret_active_for_24_hours: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestBody {
    event_type: String,
}

/// OpenAI's answer to a test: `success` says that the receiver answered, whatever its status.
#[derive(Serialize)]
pub(crate) struct Tested {
    object: &'static str,
    webhook_endpoint_id: String,
    event_type: &'static str,
    success: bool,
    status_code: u16,
}

#[derive(Serialize)]
pub(crate) struct EventTypeList {
    object: &'static str,
    data: [&'static str; EventType::ALL.len()],
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
            name: self.name.map(Name::try_from).transpose()?,
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
        name: Name::try_from(body.name)?,
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
    body: SentBody,
) -> Result<Json<WithSecret>, Rejection> {
    // The SDKs send no body for a rotation without wishes.
    let read = |json: &[u8]| if json.is_empty() { Ok(RotateBody::default()) } else { parse(json) };
    let keeps_old = read_body(body, read)?.keep_old_secret_active_for_24_hours.unwrap_or(false);
    Ok(Json(webhooks.rotate_secret(&caller, &id, keeps_old).await?.into()))
}

pub(crate) async fn test(
    caller: Caller,
    State(webhooks): State<Arc<Webhooks>>,
    Path(id): Path<String>,
    Input(body): Input<TestBody>,
) -> Result<Json<Tested>, Rejection> {
    let event_type = EventType::parse(&body.event_type).ok_or_else(unknown_event_type)?;
    let status_code = webhooks.send_sample(&caller, &id, event_type).await?;
    let object = "webhook_endpoint.test";
    Ok(Json(Tested { object, webhook_endpoint_id: id, event_type: event_type.name(), success: true, status_code }))
}

fn unknown_event_type() -> Invalid {
    let known = EventType::ALL.map(EventType::name).join(", ");
    Invalid::field("event_type", format!("`event_type` is no event that is sent; there are: {known}."))
}

pub(crate) async fn list_event_types(_: Caller) -> Json<EventTypeList> {
    Json(EventTypeList { object: "list", data: EventType::ALL.map(EventType::name) })
}
