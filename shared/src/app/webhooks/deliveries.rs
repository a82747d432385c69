//! Deliveries as their owner sees them: listing, reading, sending again.

use std::time::Duration;

use crate::app::page::{Cursor, LONGEST_ID, Page};
use crate::app::{Error, Gateway};
use crate::data::Guard;
use crate::model::invalid::Invalid;
use crate::model::message::DeliveryKey;
use crate::model::project::Caller;
use crate::model::webhook::{Delivery, Status};

/// Which deliveries to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryStatus {
    Pending,
    Delivered,
    Failed,
}

impl DeliveryStatus {
    pub const ALL: [Self; 3] = [Self::Pending, Self::Delivered, Self::Failed];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

impl Gateway {
    /// A page of the deliveries to an endpoint, newest first.
    ///
    /// # Errors
    /// `NotFound` if the project has no such endpoint; `Invalid` if `after` is no id; `Internal` if the table failed.
    pub async fn deliveries(
        &self,
        caller: &Caller,
        endpoint_id: &str,
        status: Option<DeliveryStatus>,
        cursor: &Cursor,
    ) -> Result<Page<Delivery>, Error> {
        let after = cursor.after.as_deref();
        if after.is_some_and(|after| after.len() > LONGEST_ID) {
            return Err(Invalid::field("after", "`after` is no id of a delivery.").into());
        }
        let endpoint = self.endpoint(caller, endpoint_id).await?;
        let (status, now) = (status.map(DeliveryStatus::name), self.clock.now());
        let (table, limit) = (&self.stores.table, cursor.limit + 1);
        let found = table.deliveries(&endpoint.project_id, &endpoint.id, status, after, limit, now).await?;
        Ok(Page::cut(found, cursor.limit))
    }

    /// A delivery to an endpoint.
    ///
    /// # Errors
    /// `NotFound` if the project has no such endpoint or the endpoint no such delivery; `Internal` if the table failed.
    pub async fn delivery(&self, caller: &Caller, endpoint_id: &str, id: &str) -> Result<Delivery, Error> {
        let endpoint = self.endpoint(caller, endpoint_id).await?;
        self.delivery_of(&endpoint.project_id, &endpoint.id, id).await
    }

    /// Sends a delivery that is over again: by a new schedule, under the same `webhook-id`.
    ///
    /// # Errors
    /// `NotFound` as for [`Gateway::delivery`]; `Invalid` if the endpoint is disabled or the delivery still pending;
    /// `Conflict` if another request was faster; `Internal` if the table failed.
    pub async fn redeliver(&self, caller: &Caller, endpoint_id: &str, id: &str) -> Result<Delivery, Error> {
        let endpoint = self.endpoint(caller, endpoint_id).await?;
        let delivery = self.delivery_of(&endpoint.project_id, &endpoint.id, id).await?;
        if endpoint.status != Status::Enabled {
            return Err(refused(DISABLED, "webhook_endpoint_disabled"));
        }
        if delivery.pending().is_some() {
            return Err(refused(PENDING, "delivery_pending"));
        }
        let revision = delivery.revision.clone();
        let restarted = delivery.restarted(self.clock.now());
        if !self.stores.table.save_delivery(&restarted, Guard::Revision(&revision)).await? {
            return Err(Error::Conflict { kind: "webhook delivery" });
        }
        self.wake_delivery(&restarted, Duration::ZERO).await;
        Ok(restarted)
    }

    async fn delivery_of(&self, project_id: &str, endpoint_id: &str, id: &str) -> Result<Delivery, Error> {
        let key = DeliveryKey {
            project_id: project_id.to_owned(),
            endpoint_id: endpoint_id.to_owned(),
            delivery_id: id.to_owned(),
        };
        let found = match id.len() {
            1..=LONGEST_ID => self.stores.table.delivery(&key, self.clock.now()).await?,
            _ => None,
        };
        found.ok_or_else(|| Error::NotFound { kind: "webhook delivery", id: id.to_owned() })
    }
}

const DISABLED: &str =
    "The webhook endpoint is disabled; enable it with {\"status\": \"enabled\"}, then send the delivery again.";
const PENDING: &str = "The delivery is pending: its next attempt is made by itself.";

fn refused(message: &str, code: &'static str) -> Error {
    Invalid { message: message.to_owned(), param: None, code: Some(code) }.into()
}
