//! Waking workers. Every message can be lost: the job is also in the due index, where the sweeper finds it.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::data::{Queue, Queues, ResponseRecord};
use crate::model::batch::{Batch, BatchWork};
use crate::model::error_chain::ErrorChain;
use crate::model::message::Message;
use crate::model::vector_store::{IngestWork, StoreFile, StoreFileKey, VectorStoreKey};
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

    /// Wakes a worker for a file of a vector store, which is to be ingested or whose chunks are to be deleted.
    pub(super) async fn wake_for_store_file(&self, file: &StoreFile, delay: Duration) {
        let StoreFileKey { store, file_id } = file.key.clone();
        let message = Message::new(IngestWork { key: store, file_id: Some(file_id) }, file.traceparent.clone());
        self.send(Queue::Ingest, &file.key.store.project_id, &message, delay).await;
    }

    /// Wakes a worker for a vector store that is to be emptied.
    pub(super) async fn wake_for_store(&self, key: &VectorStoreKey) {
        let message = Message::new(IngestWork { key: key.clone(), file_id: None }, None);
        self.send(Queue::Ingest, &key.project_id, &message, Duration::ZERO).await;
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
