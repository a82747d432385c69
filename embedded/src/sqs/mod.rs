//! The SDK's requests, answered by queues in memory, and what on AWS the platform does with those queues.
//!
//! Standard queues: every message comes at least once, in any order, and again when it was not deleted in time. They are
//! gone with the process, and nothing is lost by it: whatever has to happen is in the table's due index as well, and the
//! next sweep sends its message again.

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

/// A queue and what becomes of messages that nobody deletes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSettings {
    pub name: &'static str,
    /// How long a message stays hidden after it was received.
    pub visibility: Duration,
    /// Where a message goes instead of being received once more, and after how many times.
    pub dead_letters: Option<(&'static str, u32)>,
}

/// The queues of a deployment. `template.yaml` says the same.
pub const QUEUES: [QueueSettings; 4] = [
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
];

const ACCOUNT: &str = "000000000000";

/// The URL by which a client names a queue.
#[must_use]
pub fn queue_url(queue: &str) -> String {
    format!("http://sqs.embedded/{ACCOUNT}/{queue}")
}

/// The ARN of a queue: what a worker is told that its messages come from.
#[must_use]
pub fn queue_arn(queue: &str) -> String {
    format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{queue}")
}

/// The queues of this process. Clones are the same queues.
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

    /// What an SDK client talks through.
    #[must_use]
    pub fn connector(&self) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }

    /// Takes up to `max` messages that are visible and hides them for the queue's visibility timeout.
    ///
    /// # Errors
    /// If there is no such queue.
    pub fn receive(&self, queue: &str, max: usize) -> Result<Vec<Received>, Refusal> {
        self.store().receive(queue, max, None, (self.now)())
    }

    /// Deletes a message that was received; does nothing if it was received again since.
    ///
    /// # Errors
    /// If there is no such queue, or the receipt is none of its.
    pub fn delete(&self, queue: &str, receipt_handle: &str) -> Result<(), Refusal> {
        self.store().delete(queue, receipt_handle)
    }

    /// Waits until a message of the queue is visible: one that is there or comes, whose delay or visibility timeout ends.
    /// Delays are waited for in real time; a clock that is moved by hand wakes nobody.
    ///
    /// # Errors
    /// If there is no such queue.
    pub async fn wait_for_message(&self, queue: &str) -> Result<(), Refusal> {
        let changed = self.store().changed(queue)?;
        loop {
            let notified = changed.notified();
            tokio::pin!(notified);
            // From here on no change is missed, also one that comes before the wait.
            notified.as_mut().enable();
            let visible_at = self.store().next_visible(queue)?;
            match visible_at.map(|at| at.saturating_sub((self.now)())) {
                Some(0) => return Ok(()),
                Some(ms) => {
                    let _ = tokio::time::timeout(Duration::from_millis(ms), notified).await;
                }
                None => notified.await,
            }
        }
    }

    /// How many messages there are, by what keeps them.
    ///
    /// # Errors
    /// If there is no such queue.
    pub fn counts(&self, queue: &str) -> Result<Counts, Refusal> {
        self.store().counts(queue, (self.now)())
    }

    /// The bodies of all messages, also of those that are hidden. For tests.
    ///
    /// # Errors
    /// If there is no such queue.
    pub fn bodies(&self, queue: &str) -> Result<Vec<String>, Refusal> {
        self.store().bodies(queue)
    }

    /// Delivers every message of the queue once more, as SQS may. For tests.
    ///
    /// # Errors
    /// If there is no such queue.
    pub fn duplicate_all(&self, queue: &str) -> Result<(), Refusal> {
        self.store().duplicate_all(queue)
    }

    /// Turns the order of the messages around, as SQS may. For tests.
    ///
    /// # Errors
    /// If there is no such queue.
    pub fn reverse(&self, queue: &str) -> Result<(), Refusal> {
        self.store().reverse(queue)
    }

    /// Loses a message, with all its copies. For tests.
    pub fn forget(&self, message_id: &str) {
        self.store().forget(message_id);
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
