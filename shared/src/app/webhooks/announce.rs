//! Telling endpoints of an event: deliveries are written, then messages sent.

use std::time::Duration;

use futures_util::future::join_all;

use crate::app::{Error, ErrorChain, Gateway};
use crate::data::Queue;
use crate::model::message::Message;
use crate::model::webhook::{Delivery, Endpoint, WebhookEvent};

impl Gateway {
    /// Makes a delivery of an event for every endpoint of the project that wants it.
    ///
    /// May be repeated: an event is delivered to an endpoint once, however often it is announced.
    ///
    /// # Errors
    /// `Internal` if the table failed; then some endpoints may not have been told, and announcing again tells them.
    pub async fn announce(
        &self,
        project_id: &str,
        event: &WebhookEvent,
        traceparent: Option<&str>,
    ) -> Result<(), Error> {
        let endpoints = self.stores.table.endpoints(project_id).await?;
        let wanting = endpoints.iter().filter(|endpoint| endpoint.wants(event.event_type));
        let told = join_all(wanting.map(|endpoint| self.tell_endpoint(event, endpoint, traceparent))).await;
        told.into_iter().collect()
    }

    async fn tell_endpoint(
        &self,
        event: &WebhookEvent,
        endpoint: &Endpoint,
        traceparent: Option<&str>,
    ) -> Result<(), Error> {
        let delivery = Delivery::new(event, endpoint, traceparent, self.clock.now());
        if self.stores.table.create_delivery(&delivery).await? {
            self.wake_delivery(&delivery, Duration::ZERO).await;
        }
        Ok(())
    }

    /// Sends the message for a delivery. A message that is lost is the sweeper's to send again.
    pub(super) async fn wake_delivery(&self, delivery: &Delivery, delay: Duration) {
        let message = Message::new(delivery.key.clone(), delivery.traceparent.clone()).to_json();
        let sent = self.stores.queues.send(Queue::Deliver, &delivery.key.project_id, message, delay).await;
        if let Err(error) = sent {
            let delivery_id = &delivery.key.delivery_id;
            tracing::warn!(delivery.id = delivery_id, error = %ErrorChain(&error), "message for a delivery not sent");
        }
    }
}
