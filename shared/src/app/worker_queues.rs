//! Waking workers. Every message can be lost: the job is also in the due index, where the sweeper finds it.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::data::{Queue, Queues, ResponseRecord};
use crate::model::batch::{Batch, BatchWork};
use crate::model::error_chain::ErrorChain;
use crate::model::message::Message;
use crate::model::webhook::Delivery;

/// Sends the messages that wake workers.
pub(super) struct WorkerQueues(pub(super) Queues);

impl WorkerQueues {
    /// Wakes a worker for a response after `delay`.
    pub(super) async fn wake_for_response(&self, record: &ResponseRecord, delay: Duration) {
        let message = Message::new(record.key.clone(), record.traceparent.clone());
        self.send(Queue::Respond, &record.key.project_id, &message, delay).await;
    }

    /// Wakes a worker for a delivery after `delay`.
    pub(super) async fn wake_for_delivery(&self, delivery: &Delivery, delay: Duration) {
        let message = Message::new(delivery.key.clone(), delivery.traceparent.clone());
        self.send(Queue::Deliver, &delivery.key.project_id, &message, delay).await;
    }

    /// Wakes a worker after `delay`: for a part of a batch, or for the next step of the whole batch.
    pub(super) async fn wake_for_batch(&self, batch: &Batch, part: Option<u32>, delay: Duration) {
        let message = Message::new(BatchWork { key: batch.key.clone(), part }, batch.traceparent.clone());
        self.send(Queue::Batch, &batch.key.project_id, &message, delay).await;
    }

    async fn send<K: Serialize + DeserializeOwned>(
        &self,
        queue: Queue,
        project_id: &str,
        message: &Message<K>,
        delay: Duration,
    ) {
        if let Err(error) = self.0.send(queue, project_id, message.to_json(), delay).await {
            tracing::error!(worker = queue.name(), error = %ErrorChain(&error), "worker not woken, the sweeper will");
        }
    }
}
