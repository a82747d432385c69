//! Listing deliveries, reading one, and sending one again.

use std::time::Duration;

use super::Webhooks;
use crate::app::error::Error;
use crate::data::Guard;
use crate::model::id;
use crate::model::invalid::Invalid;
use crate::model::message::DeliveryKey;
use crate::model::page::{Cursor, Page};
use crate::model::project::Caller;
use crate::model::webhook::{Delivery, DeliveryStatus, EndpointStatus};

impl Webhooks {
    /// Returns a page of the deliveries to an endpoint, newest first. Without `status`, the page has deliveries in all
    /// states.
    ///
    /// # Errors
    /// - `NotFound` if the project has no such endpoint.
    /// - `Invalid` if `after` cannot be an id.
    pub async fn deliveries(
        &self,
        caller: &Caller,
        endpoint_id: &str,
        status: Option<DeliveryStatus>,
        cursor: &Cursor,
    ) -> Result<Page<Delivery>, Error> {
        let after = cursor.after.as_deref();
        if after.is_some_and(|after| after.len() > id::MAX_LENGTH) {
            return Err(Invalid::field("after", "`after` is no id of a delivery.").into());
        }
        let endpoint = self.get(caller, endpoint_id).await?;
        let (status, now, limit) = (status.map(DeliveryStatus::name), self.clock.now(), cursor.limit + 1);
        let found = self.deliveries.list(&endpoint.project_id, &endpoint.id, status, after, limit, now).await?;
        Ok(Page::cut(found, cursor.limit))
    }

    /// Returns a delivery to an endpoint.
    ///
    /// # Errors
    /// `NotFound` if the project has no such endpoint, or the endpoint has no such delivery.
    pub async fn delivery(&self, caller: &Caller, endpoint_id: &str, id: &str) -> Result<Delivery, Error> {
        let endpoint = self.get(caller, endpoint_id).await?;
        self.load_delivery(&endpoint.project_id, &endpoint.id, id).await
    }

    /// Sends a delivery that has ended again. It begins a new schedule of attempts and keeps its `webhook-id`.
    ///
    /// # Errors
    /// - `NotFound` if the project has no such endpoint, or the endpoint has no such delivery.
    /// - `Invalid` if the endpoint is disabled or the delivery is pending.
    /// - `Conflict` if another request changed the delivery at the same time.
    pub async fn redeliver(&self, caller: &Caller, endpoint_id: &str, id: &str) -> Result<Delivery, Error> {
        let endpoint = self.get(caller, endpoint_id).await?;
        let delivery = self.load_delivery(&endpoint.project_id, &endpoint.id, id).await?;
        if endpoint.status != EndpointStatus::Enabled {
            return Err(not_allowed(DISABLED, "webhook_endpoint_disabled"));
        }
        if delivery.pending().is_some() {
            return Err(not_allowed(PENDING, "delivery_pending"));
        }
        let revision = delivery.revision.clone();
        let restarted = delivery.restart(caller.project.policy.kept_seconds(), self.clock.now());
        // The write is refused if another request restarted the delivery first: one restart must cause one schedule.
        if !self.deliveries.save(&restarted, Guard::Revision(&revision)).await?.is_written() {
            return Err(Error::Conflict { kind: "webhook delivery" });
        }
        self.queues.wake_for_delivery(&restarted, Duration::ZERO).await;
        Ok(restarted)
    }

    async fn load_delivery(&self, project_id: &str, endpoint_id: &str, id: &str) -> Result<Delivery, Error> {
        let key = DeliveryKey {
            project_id: project_id.to_owned(),
            endpoint_id: endpoint_id.to_owned(),
            delivery_id: id.to_owned(),
        };
        let found = self.deliveries.get(&key, self.clock.now()).await?;
        found.ok_or_else(|| Error::not_found("webhook delivery", id))
    }
}

const DISABLED: &str =
    "The webhook endpoint is disabled; enable it with {\"status\": \"enabled\"}, then send the delivery again.";
const PENDING: &str = "The delivery is pending: its next attempt is made by itself.";

fn not_allowed(message: &str, code: &'static str) -> Error {
    Invalid { message: message.to_owned(), param: None, code: Some(code) }.into()
}
