//! Announcing an event: creates a delivery for each endpoint that subscribes to the event.

use std::time::Duration;

use futures_util::future::join_all;

use crate::app::error::Error;
use crate::app::worker_queues::WorkerQueues;
use crate::data::{DeliveryRecords, EndpointRecords, Stores};
use crate::model::clock::Clock;
use crate::model::webhook::{Delivery, WebhookEvent};

/// Announces events to the webhook endpoints of a project.
pub struct Announcer {
    endpoints: EndpointRecords,
    deliveries: DeliveryRecords,
    queues: WorkerQueues,
    clock: Clock,
}

impl Announcer {
    #[must_use]
    pub fn new(stores: &Stores, clock: Clock) -> Self {
        Self {
            endpoints: stores.webhook_endpoints(),
            deliveries: stores.deliveries(),
            queues: WorkerQueues(stores.queues.clone()),
            clock,
        }
    }

    /// Creates a delivery of the event for every endpoint of the project that subscribes to it.
    ///
    /// The deliveries join the trace of `traceparent`, and are kept for `kept_seconds` or a little longer. Announcing an event again is safe: each endpoint has at most one
    /// delivery of an event.
    ///
    /// # Errors
    /// `Unavailable` or `Internal` if the table failed. Some endpoints may lack their delivery then; announcing the event
    /// again creates it.
    pub async fn announce(
        &self,
        project_id: &str,
        event: &WebhookEvent,
        traceparent: Option<&str>,
        kept_seconds: u64,
    ) -> Result<(), Error> {
        let endpoints = self.endpoints.list(project_id).await?;
        let subscribed = endpoints.iter().filter(|endpoint| endpoint.wants(event.event_type));
        let now = self.clock.now();
        let deliveries = subscribed.map(|endpoint| Delivery::new(event, endpoint, traceparent, kept_seconds, now));
        join_all(deliveries.map(|delivery| self.create_delivery(delivery))).await.into_iter().collect()
    }

    async fn create_delivery(&self, delivery: Delivery) -> Result<(), Error> {
        // The write is refused if the delivery exists. It was woken when it was created.
        if self.deliveries.create(&delivery).await?.is_written() {
            self.queues.wake_for_delivery(&delivery, Duration::ZERO).await;
        }
        Ok(())
    }
}
