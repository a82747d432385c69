//! The queues: messages that name a job and wake a worker. They decide nothing: the record of the job does.

use std::time::Duration;

use aws_sdk_sqs::Client;

use super::error::StoreError;

/// A queue of the deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Queue {
    /// Responses to be generated in the background.
    Respond,
    /// Events to be delivered to webhook endpoints.
    Deliver,
}

impl Queue {
    pub const ALL: [Self; 2] = [Self::Respond, Self::Deliver];

    /// The name of the worker that it feeds.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Respond => "respond",
            Self::Deliver => "deliver",
        }
    }
}

/// Where the queues are. A function is told only those that it sends to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueUrls {
    pub respond: Option<String>,
    pub deliver: Option<String>,
    pub respond_dead_letters: Option<String>,
    pub deliver_dead_letters: Option<String>,
}

impl QueueUrls {
    fn of(&self, queue: Queue) -> Option<&str> {
        match queue {
            Queue::Respond => self.respond.as_deref(),
            Queue::Deliver => self.deliver.as_deref(),
        }
    }

    fn dead_letters_of(&self, queue: Queue) -> Option<&str> {
        match queue {
            Queue::Respond => self.respond_dead_letters.as_deref(),
            Queue::Deliver => self.deliver_dead_letters.as_deref(),
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

/// The longest that SQS keeps a message back.
pub const MAX_DELAY: Duration = Duration::from_secs(900);

impl Queues {
    #[must_use]
    pub fn new(client: Client, urls: QueueUrls) -> Self {
        Self { client: Some(client), urls }
    }

    /// Where the dead letters of a queue are, and how to reach them.
    pub(super) fn dead(&self, queue: Queue) -> Result<(&Client, &str), StoreError> {
        let known = self.client.as_ref().zip(self.urls.dead_letters_of(queue));
        let unknown = || format!("no URL of the dead letters of {} is set", queue.name());
        known.ok_or_else(|| StoreError::queue("give its dead letters")(unknown()))
    }

    /// Sends a message that is seen after `delay`, at most [`MAX_DELAY`].
    ///
    /// Who sends must not rely on it: what has to happen is in the due index as well.
    ///
    /// # Errors
    /// If the queue is not known or does not take it; it may have been sent all the same.
    pub async fn send(
        &self,
        queue: Queue,
        project_id: &str,
        message: String,
        delay: Duration,
    ) -> Result<(), StoreError> {
        let (Some(client), Some(url)) = (&self.client, self.urls.of(queue)) else {
            return Err(StoreError::queue("take the message")(format!("no URL of the {} queue is set", queue.name())));
        };
        let seconds = delay.min(MAX_DELAY).as_millis().div_ceil(1_000);
        let request = client
            .send_message()
            .queue_url(url)
            .message_body(message)
            // A fair queue: a project with many jobs does not keep the others waiting.
            .message_group_id(project_id)
            .delay_seconds(i32::try_from(seconds).unwrap_or(900));
        Box::pin(request.send()).await.map_err(StoreError::queue("take the message"))?;
        Ok(())
    }
}
