//! Registering, listing, changing and deleting endpoints, and rotating their secrets.

use super::edit::{change_endpoint, load_endpoint};
use super::{Webhooks, require_receivers};
use crate::app::error::Error;
use crate::model::clock::Timestamp;
use crate::model::id;
use crate::model::invalid::Invalid;
use crate::model::page::{Cursor, Page};
use crate::model::project::{Caller, Name};
use crate::model::webhook::{
    DisabledReason, EndpointStatus, EventTypes, MAX_ENDPOINTS, MAX_RETIRED, RefusedUrl, SigningSecrets, WebhookEndpoint,
};

/// The properties of an endpoint that is to be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEndpoint {
    pub url: String,
    pub event_types: EventTypes,
    pub name: Name,
}

/// A change of an endpoint. `None` keeps a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointChange {
    pub url: Option<String>,
    pub event_types: Option<EventTypes>,
    pub name: Option<Name>,
    /// `true` enables the endpoint, `false` disables it.
    pub enabled: Option<bool>,
}

impl Webhooks {
    /// Registers an endpoint. The returned endpoint contains its signing secret.
    ///
    /// # Errors
    /// `Invalid` if weir does not send events to the URL, or if the project has [`MAX_ENDPOINTS`] endpoints. Concurrent
    /// registrations can exceed this number by a few.
    pub async fn create(&self, caller: &Caller, new: NewEndpoint) -> Result<WebhookEndpoint, Error> {
        let project_id = &caller.project.id;
        if self.endpoints.list(project_id).await?.len() >= MAX_ENDPOINTS {
            return Err(too_many_endpoints().into());
        }
        self.check_url(&new.url).await?;
        let now = self.clock.now();
        let endpoint = WebhookEndpoint {
            id: id::new_ordered("we_", now),
            project_id: project_id.clone(),
            url: new.url,
            event_types: new.event_types.into(),
            name: new.name.into(),
            created_at: now.seconds(),
            updated_at: now.seconds(),
            status: EndpointStatus::Enabled,
            secrets: SigningSecrets::generate(),
            revision: id::random(16),
        };
        self.endpoints.create(&endpoint).await?;
        Ok(endpoint)
    }

    /// Returns an endpoint of the caller's project.
    ///
    /// # Errors
    /// `NotFound` if the project has no endpoint with that id.
    pub async fn get(&self, caller: &Caller, id: &str) -> Result<WebhookEndpoint, Error> {
        load_endpoint(&self.endpoints, &caller.project.id, id).await
    }

    /// Returns a page of the project's endpoints, newest first.
    pub async fn list(&self, caller: &Caller, cursor: &Cursor) -> Result<Page<WebhookEndpoint>, Error> {
        let all = self.endpoints.list(&caller.project.id).await?;
        Ok(Page::newest_first(all, cursor, |endpoint| &endpoint.id))
    }

    /// Changes an endpoint and returns it.
    ///
    /// # Errors
    /// - `NotFound` if the project has no endpoint with that id.
    /// - `Invalid` if weir does not send events to the new URL.
    /// - `Contended` if concurrent changes of the endpoint interfered too often.
    pub async fn update(&self, caller: &Caller, id: &str, change: EndpointChange) -> Result<WebhookEndpoint, Error> {
        let project_id = &caller.project.id;
        if let Some(url) = &change.url {
            // A caller without such an endpoint gets `NotFound`, and causes no look-up of the URL's host.
            load_endpoint(&self.endpoints, project_id, id).await?;
            self.check_url(url).await?;
        }
        let now = self.clock.now();
        change_endpoint(&self.endpoints, project_id, id, |endpoint| Ok(change.clone().apply(endpoint, now))).await
    }

    /// Replaces the signing secret of an endpoint. With `keeps_old`, deliveries are signed with the previous secret too for
    /// 24 hours; otherwise no secret before the new one signs any more.
    ///
    /// # Errors
    /// - `NotFound` if the project has no endpoint with that id.
    /// - `Invalid` if too many secrets would sign at the same time.
    /// - `Contended` if concurrent changes of the endpoint interfered too often.
    pub async fn rotate_secret(&self, caller: &Caller, id: &str, keeps_old: bool) -> Result<WebhookEndpoint, Error> {
        let now = self.clock.now();
        change_endpoint(&self.endpoints, &caller.project.id, id, |mut endpoint| {
            endpoint.secrets = match keeps_old {
                true => endpoint.secrets.rotate(now).ok_or_else(rotated_too_often)?,
                false => SigningSecrets::generate(),
            };
            endpoint.updated_at = now.seconds();
            Ok(endpoint)
        })
        .await
    }

    /// Deletes an endpoint. Each pending delivery to it fails when its next attempt is due.
    ///
    /// # Errors
    /// `NotFound` if the project has no endpoint with that id.
    pub async fn delete(&self, caller: &Caller, id: &str) -> Result<(), Error> {
        let endpoint = self.get(caller, id).await?;
        Ok(self.endpoints.delete(&endpoint.project_id, &endpoint.id).await?)
    }

    async fn check_url(&self, url: &str) -> Result<(), Error> {
        let refused =
            |RefusedUrl(message)| Invalid { message, param: Some("url".to_owned()), code: Some("webhook_url_refused") };
        Ok(require_receivers(self.receivers.as_deref())?.check(url).await.map_err(refused)?)
    }
}

fn too_many_endpoints() -> Invalid {
    let message = format!("The project has {MAX_ENDPOINTS} webhook endpoints, the most it can have; delete one.");
    Invalid { message, param: None, code: Some("too_many_webhook_endpoints") }
}

fn rotated_too_often() -> Invalid {
    let message = format!(
        "The secret was rotated {MAX_RETIRED} times within 24 hours, and the secrets before it still sign; \
         rotate again when the first of them has stopped."
    );
    Invalid { message, param: None, code: Some("rotated_too_often") }
}

impl EndpointChange {
    /// The endpoint after the change at `now`. A change that changes nothing is none.
    fn apply(self, endpoint: WebhookEndpoint, now: Timestamp) -> WebhookEndpoint {
        let status = match (self.enabled, endpoint.status) {
            (None, status) => status,
            (Some(true), _) => EndpointStatus::Enabled,
            (Some(false), EndpointStatus::Enabled) => EndpointStatus::Disabled(DisabledReason::Requested),
            (Some(false), disabled) => disabled,
        };
        let changed = WebhookEndpoint {
            url: self.url.unwrap_or_else(|| endpoint.url.clone()),
            event_types: self.event_types.map_or_else(|| endpoint.event_types.clone(), Vec::from),
            name: self.name.map_or_else(|| endpoint.name.clone(), String::from),
            status,
            ..endpoint.clone()
        };
        if changed == endpoint { endpoint } else { WebhookEndpoint { updated_at: now.seconds(), ..changed } }
    }
}
