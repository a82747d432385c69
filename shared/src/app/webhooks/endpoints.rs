//! Endpoints: registering, changing, rotating secrets.

use std::sync::Arc;

use crate::app::admin::Patch;
use crate::app::page::{Cursor, LONGEST_ID, Page};
use crate::app::{Error, Gateway};
use crate::model::id;
use crate::model::invalid::Invalid;
use crate::model::project::Caller;
use crate::model::webhook::{
    Description, DisabledReason, Endpoint, EventTypes, MAX_ENDPOINTS, MAX_RETIRED, Receivers, RefusedUrl,
    SigningSecrets, Status,
};

/// An endpoint to be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEndpoint {
    pub url: String,
    pub event_types: EventTypes,
    pub description: Option<Description>,
}

/// What is to be changed of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointChange {
    pub url: Option<String>,
    pub event_types: Option<EventTypes>,
    pub description: Patch<Description>,
    /// Enables or disables it.
    pub enabled: Option<bool>,
}

/// Changes of one endpoint at once that are waited for.
const TRIES: u32 = 5;

impl Gateway {
    /// Registers an endpoint. Its secret is in what is returned, to be shown this once.
    ///
    /// # Errors
    /// `Invalid` if events are not sent to that URL, or if the project has [`MAX_ENDPOINTS`] (which registrations at the
    /// same moment may exceed by a few); `Internal` if the table failed.
    pub async fn create_endpoint(&self, caller: &Caller, new: NewEndpoint) -> Result<Endpoint, Error> {
        let project_id = &caller.project.id;
        if self.stores.table.endpoints(project_id).await?.len() >= MAX_ENDPOINTS {
            let message =
                format!("The project has {MAX_ENDPOINTS} webhook endpoints, the most it can have; delete one.");
            return Err(Invalid { message, param: None, code: Some("too_many_webhook_endpoints") }.into());
        }
        self.check_url(&new.url).await?;
        let now = self.clock.now();
        let endpoint = Endpoint {
            id: id::new_ordered("we_", now),
            project_id: project_id.clone(),
            url: new.url,
            event_types: new.event_types.into(),
            description: new.description.and_then(Option::from),
            created_at: now.seconds(),
            status: Status::Enabled,
            secrets: SigningSecrets::generate(),
            revision: id::random(16),
        };
        self.stores.table.create_endpoint(&endpoint).await?;
        Ok(endpoint)
    }

    /// An endpoint of the caller's project.
    ///
    /// # Errors
    /// `NotFound` if the project has none with that id; `Internal` if the table failed.
    pub async fn endpoint(&self, caller: &Caller, id: &str) -> Result<Endpoint, Error> {
        self.endpoint_of(&caller.project.id, id).await
    }

    /// A page of the project's endpoints, newest first.
    ///
    /// # Errors
    /// `Internal` if the table failed.
    pub async fn endpoints(&self, caller: &Caller, cursor: &Cursor) -> Result<Page<Endpoint>, Error> {
        let all = self.stores.table.endpoints(&caller.project.id).await?;
        Ok(Page::newest_first(all, cursor, |endpoint| &endpoint.id))
    }

    /// Changes an endpoint.
    ///
    /// # Errors
    /// `NotFound` if the project has none with that id; `Invalid` if events are not sent to that URL; `Contended` if
    /// others keep changing it; `Internal` if the table failed.
    pub async fn update_endpoint(&self, caller: &Caller, id: &str, change: EndpointChange) -> Result<Endpoint, Error> {
        let project_id = &caller.project.id;
        if let Some(url) = &change.url {
            self.endpoint_of(project_id, id).await?;
            self.check_url(url).await?;
        }
        self.change_endpoint(project_id, id, |endpoint| Ok(change.clone().apply(endpoint))).await
    }

    /// Makes a new secret for an endpoint; the one before signs beside it for a day.
    ///
    /// # Errors
    /// `NotFound` if the project has none with that id; `Invalid` if it was rotated too often within a day; `Contended`
    /// if others keep changing it; `Internal` if the table failed.
    pub async fn rotate_secret(&self, caller: &Caller, id: &str) -> Result<Endpoint, Error> {
        let now = self.clock.now();
        self.change_endpoint(&caller.project.id, id, |mut endpoint| {
            endpoint.secrets = endpoint.secrets.rotated(now).ok_or_else(too_often)?;
            Ok(endpoint)
        })
        .await
    }

    /// Deletes an endpoint. Its deliveries that are pending fail when they are due.
    ///
    /// # Errors
    /// `NotFound` if the project has none with that id; `Internal` if the table failed.
    pub async fn delete_endpoint(&self, caller: &Caller, id: &str) -> Result<(), Error> {
        let endpoint = self.endpoint(caller, id).await?;
        Ok(self.stores.table.delete_endpoint(&endpoint.project_id, &endpoint.id).await?)
    }

    /// The way to receivers.
    pub(super) fn receivers(&self) -> Result<&Arc<dyn Receivers>, Error> {
        self.receivers.as_ref().ok_or_else(|| Error::internal("reach receivers")("this function has no way to them"))
    }

    /// Disables an endpoint that answered 410, unless it was pointed elsewhere since.
    pub(super) async fn disable_gone(&self, gone: &Endpoint) -> Result<(), Error> {
        let change = |mut endpoint: Endpoint| {
            if endpoint.url == gone.url {
                endpoint.status = Status::Disabled(DisabledReason::Gone);
            }
            Ok(endpoint)
        };
        match self.change_endpoint(&gone.project_id, &gone.id, change).await {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn endpoint_of(&self, project_id: &str, id: &str) -> Result<Endpoint, Error> {
        let found = match id.len() {
            0..=LONGEST_ID => self.stores.table.endpoint(project_id, id).await?,
            _ => None,
        };
        found.ok_or_else(|| Error::NotFound { kind: "webhook endpoint", id: id.to_owned() })
    }

    async fn change_endpoint(
        &self,
        project_id: &str,
        id: &str,
        change: impl Fn(Endpoint) -> Result<Endpoint, Error>,
    ) -> Result<Endpoint, Error> {
        for _ in 0..TRIES {
            let read = self.endpoint_of(project_id, id).await?;
            let expected = read.revision.clone();
            let changed = Endpoint { revision: id::random(16), ..change(read)? };
            if self.stores.table.save_endpoint(&changed, &expected).await? {
                return Ok(changed);
            }
        }
        Err(Error::Contended("the webhook endpoint"))
    }

    async fn check_url(&self, url: &str) -> Result<(), Error> {
        let refused =
            |RefusedUrl(message)| Invalid { message, param: Some("url".to_owned()), code: Some("webhook_url_refused") };
        Ok(self.receivers()?.check(url).await.map_err(refused)?)
    }
}

fn too_often() -> Invalid {
    let message = format!(
        "The secret was rotated {MAX_RETIRED} times within 24 hours, and the secrets before it still sign; \
         rotate again when the first of them has stopped."
    );
    Invalid { message, param: None, code: Some("rotated_too_often") }
}

impl EndpointChange {
    fn apply(self, endpoint: Endpoint) -> Endpoint {
        let status = match (self.enabled, endpoint.status) {
            (None, status) => status,
            (Some(true), _) => Status::Enabled,
            (Some(false), Status::Enabled) => Status::Disabled(DisabledReason::Requested),
            (Some(false), disabled) => disabled,
        };
        let description = match self.description {
            Patch::Keep => endpoint.description,
            Patch::Clear => None,
            Patch::Set(description) => description.into(),
        };
        Endpoint {
            url: self.url.unwrap_or(endpoint.url),
            event_types: self.event_types.map_or(endpoint.event_types, Vec::from),
            description,
            status,
            ..endpoint
        }
    }
}
