//! More messages for an invocation that has room for them: the worker receives them itself.
//!
//! Lambda passes an invocation one batch, often of one message, and runs few invocations at once. A job that waits for its
//! provider needs no processor. Without this, two jobs of one project that hang would keep everybody else's waiting.

use aws_lambda_events::event::sqs::SqsMessage;

use crate::app::ErrorChain;
use crate::data::{Queue, Queues};
use crate::model::clock::{Clock, Timestamp};

/// The queue from which an invocation receives more messages, until a certain time.
#[derive(Clone)]
pub struct MoreMessages {
    queues: Queues,
    queue: Queue,
    /// The work on a message that is received later could outlive the invocation.
    until: Timestamp,
    clock: Clock,
}

impl MoreMessages {
    /// No messages of a queue: see [`MoreMessages::until`].
    #[must_use]
    pub fn of(queues: Queues, queue: Queue, clock: Clock) -> Self {
        Self { queues, queue, until: Timestamp::default(), clock }
    }

    /// The messages that can be received until a time.
    #[must_use]
    pub fn until(self, until: Timestamp) -> Self {
        Self { until, ..self }
    }

    /// Whether work on another message still fits into the invocation.
    pub(super) fn has_time(&self) -> bool {
        self.clock.now() < self.until
    }

    /// Receives up to `count` messages. A failure is none: SQS keeps what is not received.
    pub(super) async fn receive(&self, count: usize) -> Vec<SqsMessage> {
        match self.queues.receive(self.queue, count).await {
            Ok(messages) => messages.into_iter().map(record_of).collect(),
            Err(error) => {
                tracing::warn!(queue = self.queue.name(), error = %ErrorChain(&error), "no more messages received");
                Vec::new()
            }
        }
    }

    /// Deletes a message. If that fails, SQS delivers it again, and there is nothing left to do.
    pub(super) async fn delete(&self, message: &SqsMessage) {
        let receipt = message.receipt_handle.as_deref().unwrap_or_default();
        if let Err(error) = self.queues.delete(self.queue, receipt).await {
            tracing::warn!(queue = self.queue.name(), error = %ErrorChain(&error), "message not deleted");
        }
    }
}

/// The message as Lambda would pass it.
fn record_of(message: aws_sdk_sqs::types::Message) -> SqsMessage {
    let mut record = SqsMessage::default();
    let attributes = message.attributes.unwrap_or_default();
    record.attributes = attributes.into_iter().map(|(name, value)| (name.as_str().to_owned(), value)).collect();
    record.message_id = message.message_id;
    record.receipt_handle = message.receipt_handle;
    record.body = message.body;
    record
}
