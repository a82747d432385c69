//! Answers the SDK's requests with queues in memory, and does the part of Lambda that reads these queues.
//!
//! The queues are standard queues. A message is delivered at least once, in any order. It is delivered again if it was
//! not deleted in time. The messages are lost when the process ends, which does no harm: the table's due index has all
//! work, and the next sweep sends the messages again.

mod store;
mod wire;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;

use store::Store;
pub use store::{Counts, Received, Refusal};

/// The time in Unix milliseconds.
pub type NowMs = Arc<dyn Fn() -> u64 + Send + Sync>;

/// A queue, and the fate of messages that are never deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSettings {
    pub name: &'static str,
    /// How long a message stays hidden after it is received.
    pub visibility: Duration,
    /// The queue of dead letters, and how often a message is received before it moves there.
    pub dead_letters: Option<(&'static str, u32)>,
}

/// The queues of a deployment. `template.yaml` defines the same ones.
pub const QUEUES: [QueueSettings; 8] = [
    QueueSettings {
        name: "respond",
        visibility: Duration::from_secs(5_400),
        dead_letters: Some(("respond-dead-letters", 5)),
    },
    QueueSettings { name: "respond-dead-letters", visibility: Duration::from_secs(30), dead_letters: None },
    QueueSettings {
        name: "deliver",
        visibility: Duration::from_secs(360),
        dead_letters: Some(("deliver-dead-letters", 5)),
    },
    QueueSettings { name: "deliver-dead-letters", visibility: Duration::from_secs(30), dead_letters: None },
    QueueSettings {
        name: "batch",
        visibility: Duration::from_secs(5_400),
        dead_letters: Some(("batch-dead-letters", 5)),
    },
    QueueSettings { name: "batch-dead-letters", visibility: Duration::from_secs(30), dead_letters: None },
    QueueSettings {
        name: "ingest",
        visibility: Duration::from_secs(5_400),
        dead_letters: Some(("ingest-dead-letters", 5)),
    },
    QueueSettings { name: "ingest-dead-letters", visibility: Duration::from_secs(30), dead_letters: None },
];

const ACCOUNT: &str = "000000000000";

/// The URL by which a client names a queue.
#[must_use]
pub fn queue_url(queue: &str) -> String {
    format!("http://sqs.embedded/{ACCOUNT}/{queue}")
}

/// The ARN of a queue. A worker sees it as the source of its messages.
#[must_use]
pub fn queue_arn(queue: &str) -> String {
    format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{queue}")
}

/// The queues of this process. Clones share them.
#[derive(Clone)]
pub struct Sqs {
    store: Arc<Mutex<Store>>,
    now: NowMs,
}

impl fmt::Debug for Sqs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("embedded SQS")
    }
}

impl Sqs {
    pub(crate) fn new(now: NowMs) -> Self {
        Self { store: Arc::new(Mutex::new(Store::new(&QUEUES))), now }
    }

    /// The connector for an SDK client.
    #[must_use]
    pub fn connector(&self) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }

    /// Receives up to `max` visible messages and hides them for the queue's visibility timeout.
    ///
    /// # Errors
    /// `UnknownQueue`.
    pub fn receive(&self, queue: &str, max: usize) -> Result<Vec<Received>, Refusal> {
        self.store().receive(queue, max, None, (self.now)())
    }

    /// Deletes a received message. Does nothing if the message was received again since.
    ///
    /// # Errors
    /// `UnknownQueue`. `InvalidReceipt` if the receipt does not belong to the queue.
    pub fn delete(&self, queue: &str, receipt_handle: &str) -> Result<(), Refusal> {
        self.store().delete(queue, receipt_handle)
    }

    /// Waits until a message of the queue is visible: one in the queue whose delay or visibility timeout ends, or a new
    /// one. Delays pass in real time; moving a manual clock does not end the wait.
    ///
    /// # Errors
    /// `UnknownQueue`.
    pub async fn wait_for_message(&self, queue: &str) -> Result<(), Refusal> {
        let changed = self.store().change_notifier(queue)?;
        loop {
            let notified = changed.notified();
            tokio::pin!(notified);
            // Registers for changes before the queue is read. A change between the read and the wait would be missed
            // otherwise.
            notified.as_mut().enable();
            let wait = self.store().next_visible_ms(queue, (self.now)())?;
            match wait {
                Some(0) => return Ok(()),
                Some(ms) => {
                    let _ = tokio::time::timeout(Duration::from_millis(ms), notified).await;
                }
                None => notified.await,
            }
        }
    }

    /// The number of messages in each state.
    ///
    /// # Errors
    /// `UnknownQueue`.
    pub fn counts(&self, queue: &str) -> Result<Counts, Refusal> {
        self.store().counts(queue, (self.now)())
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpConnector for Sqs {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit_once('.').map_or(target, |(_, operation)| operation);
        let Some(body) = request.body().bytes() else {
            let streamed = ConnectorError::user("the embedded SQS takes no streamed body".into());
            return HttpConnectorFuture::ready(Err(streamed));
        };
        let answer = wire::dispatch(&mut self.store(), operation, body, (self.now)());
        HttpConnectorFuture::ready(wire::respond(answer))
    }
}
