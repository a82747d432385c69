//! The messages that wake a worker for a delivery.

use std::time::Duration;

use crate::data::{Queue, Queues};
use crate::model::error_chain::ErrorChain;
use crate::model::message::Message;
use crate::model::webhook::Delivery;

/// Sends messages for deliveries.
pub(super) struct DeliveryQueue {
    queues: Queues,
}

impl DeliveryQueue {
    pub(super) fn new(queues: Queues) -> Self {
        Self { queues }
    }

    /// Sends the message for a delivery; a worker receives it after `delay`.
    ///
    /// A failure is only logged: the delivery is in the due index, so the sweeper sends the message later.
    pub(super) async fn wake(&self, delivery: &Delivery, delay: Duration) {
        let message = Message::new(delivery.key.clone(), delivery.traceparent.clone()).to_json();
        let sent = self.queues.send(Queue::Deliver, &delivery.key.project_id, message, delay).await;
        if let Err(error) = sent {
            let delivery_id = &delivery.key.delivery_id;
            tracing::warn!(delivery.id = delivery_id, error = %ErrorChain(&error), "message for a delivery not sent");
        }
    }
}
