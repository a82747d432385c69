//! The queues: messages that name a job and wake a worker. The job's record decides whether the worker runs it.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};

use super::error::{StoreError, Unusable};

/// A queue of the deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Queue {
    /// Responses that run in the background.
    Respond,
    /// Events for webhook endpoints.
    Deliver,
    /// Steps and parts of batches.
    Batch,
    /// Files for vector stores, and stores that are to be emptied.
    Ingest,
}

impl Queue {
    pub const ALL: [Self; 4] = [Self::Respond, Self::Deliver, Self::Batch, Self::Ingest];

    /// The name of the worker that the queue feeds.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Respond => "respond",
            Self::Deliver => "deliver",
            Self::Batch => "batch",
            Self::Ingest => "ingest",
        }
    }
}

/// The URLs of the queues. A function has only those that it sends to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueUrls {
    pub respond: Option<String>,
    pub deliver: Option<String>,
    pub batch: Option<String>,
    pub ingest: Option<String>,
    pub respond_dead_letters: Option<String>,
    pub deliver_dead_letters: Option<String>,
    pub batch_dead_letters: Option<String>,
    pub ingest_dead_letters: Option<String>,
}

impl QueueUrls {
    fn url_of(&self, queue: Queue) -> Option<&str> {
        match queue {
            Queue::Respond => self.respond.as_deref(),
            Queue::Deliver => self.deliver.as_deref(),
            Queue::Batch => self.batch.as_deref(),
            Queue::Ingest => self.ingest.as_deref(),
        }
    }

    fn dead_letters_of(&self, queue: Queue) -> Option<&str> {
        match queue {
            Queue::Respond => self.respond_dead_letters.as_deref(),
            Queue::Deliver => self.deliver_dead_letters.as_deref(),
            Queue::Batch => self.batch_dead_letters.as_deref(),
            Queue::Ingest => self.ingest_dead_letters.as_deref(),
        }
    }
}

/// The queues of one deployment. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Queues {
    /// `None` in functions that send nothing: they make no client.
    client: Option<Client>,
    urls: QueueUrls,
}

/// The longest delay that SQS accepts.
pub const MAX_DELAY: Duration = Duration::from_secs(900);

/// SQS gives at most this many messages at once.
const MAX_RECEIVED: i32 = 10;

impl Queues {
    #[must_use]
    pub fn new(client: Client, urls: QueueUrls) -> Self {
        Self { client: Some(client), urls }
    }

    /// The client and the URL of a queue's dead letters.
    pub(super) fn dead_letter_queue(&self, queue: Queue) -> Result<(&Client, &str), StoreError> {
        let known = self.client.as_ref().zip(self.urls.dead_letters_of(queue));
        let unknown = || Unusable(format!("no URL of the dead letters of {} is set", queue.name()));
        known.ok_or_else(|| StoreError::queue("give its dead letters")(unknown()))
    }

    fn queue(&self, queue: Queue) -> Result<(&Client, &str), StoreError> {
        let known = self.client.as_ref().zip(self.urls.url_of(queue));
        let unknown = || Unusable(format!("no URL of the {} queue is set", queue.name()));
        known.ok_or_else(|| StoreError::queue("be used")(unknown()))
    }

    /// Receives up to `count` messages, 10 at most, without waiting for any. The receiver deletes those that it is done with; SQS
    /// delivers the others again.
    pub async fn receive(&self, queue: Queue, count: usize) -> Result<Vec<Message>, StoreError> {
        let (client, url) = self.queue(queue)?;
        let request = client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(i32::try_from(count).unwrap_or(MAX_RECEIVED).min(MAX_RECEIVED))
            .message_system_attribute_names(MessageSystemAttributeName::All);
        let answer = Box::pin(request.send()).await.map_err(StoreError::queue("give messages"))?;
        Ok(answer.messages.unwrap_or_default())
    }

    /// Deletes a received message by the handle of its reception.
    pub async fn delete(&self, queue: Queue, receipt_handle: &str) -> Result<(), StoreError> {
        let (client, url) = self.queue(queue)?;
        let request = client.delete_message().queue_url(url).receipt_handle(receipt_handle);
        Box::pin(request.send()).await.map_err(StoreError::queue("delete the message"))?;
        Ok(())
    }

    /// Sends a message that becomes visible after `delay`, at most [`MAX_DELAY`].
    ///
    /// The message only saves time: the job must also be in the due index, where the sweeper finds it.
    pub async fn send(
        &self,
        queue: Queue,
        project_id: &str,
        message: String,
        delay: Duration,
    ) -> Result<(), StoreError> {
        let (client, url) = self.queue(queue)?;
        let seconds = delay.min(MAX_DELAY).as_millis().div_ceil(1_000);
        let request = client
            .send_message()
            .queue_url(url)
            .message_body(message)
            // SQS serves the groups in turn, so that a project with many jobs does not delay the others.
            .message_group_id(project_id)
            .delay_seconds(i32::try_from(seconds).unwrap_or(900));
        Box::pin(request.send()).await.map_err(StoreError::queue("take the message"))?;
        Ok(())
    }
}
