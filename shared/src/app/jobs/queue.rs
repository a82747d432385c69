//! Waking workers.

use std::time::Duration;

use crate::data::{Queue, Queues, ResponseRecord};
use crate::model::error_chain::ErrorChain;
use crate::model::message::Message;

/// Sends the messages that wake workers.
pub(in crate::app) struct JobQueue {
    queues: Queues,
}

impl JobQueue {
    pub(in crate::app) fn new(queues: Queues) -> Self {
        Self { queues }
    }

    /// Wakes a worker for a response. If the message is lost, the sweeper finds the response in the due index.
    pub(in crate::app) async fn wake(&self, record: &ResponseRecord, delay: Duration) {
        let message = Message::new(record.key.clone(), record.traceparent.clone()).to_json();
        let sent = self.queues.send(Queue::Respond, &record.key.project_id, message, delay).await;
        if let Err(error) = sent {
            tracing::error!(error = %ErrorChain(&error), "worker not woken, the sweeper will");
        }
    }
}
