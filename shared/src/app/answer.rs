//! The answer to a call on its way to a client that may be gone: its head once, then its body.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::cache::CacheOutcome;
use super::error::Error;
use crate::dialects::ContentType;
use crate::model::error_chain::ErrorChain;
use crate::model::meter::RateStatus;
use crate::model::money::MicroUsd;
use crate::model::tokens::Usage;

/// The answer to a call: its head, and a body that ends when the call is settled.
pub struct CallAnswer {
    pub content_type: ContentType,
    /// Of the body in bytes, where it is known before.
    pub length: Option<usize>,
    pub metadata: CallMetadata,
    pub body: mpsc::Receiver<Bytes>,
}

impl CallAnswer {
    /// The answer with another whole body.
    #[must_use]
    pub fn with_body(self, body: Bytes) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        let length = Some(body.len());
        // The channel has room for it.
        let _ = sender.try_send(body);
        Self { length, body: receiver, ..self }
    }
}

/// Facts about a call that its answer's headers and its log line carry.
#[derive(Debug, Clone, Default)]
pub struct CallMetadata {
    pub model: String,
    pub provider: Option<String>,
    pub attempts: u32,
    pub cache: CacheOutcome,
    pub replayed: bool,
    pub rates: RateStatus,
    /// Known before the answer's body for all but streams.
    pub cost: Option<MicroUsd>,
    /// Store round trips before the provider was called, and the provider's time to the first byte.
    pub admission: Duration,
    pub provider_time: Duration,
    /// Known when the body has ended.
    pub final_usage: Arc<OnceLock<FinalUsage>>,
}

/// The end of a call, for its log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FinalUsage {
    pub usage: Usage,
    pub cost: MicroUsd,
    pub failed: bool,
}

/// Sends an answer to a client that may be gone.
pub(super) struct ResponseSender {
    head: Option<oneshot::Sender<Result<CallAnswer, Error>>>,
    /// Of the answer that has begun.
    final_usage: Arc<OnceLock<FinalUsage>>,
    sender: mpsc::Sender<Bytes>,
    body: Option<mpsc::Receiver<Bytes>>,
    deadline: Instant,
    interruption: Interruption,
    /// The last piece of the body.
    last: Bytes,
}

/// Writes the event that ends a stream with an error, from the message and the last piece that was sent.
pub(super) type Interruption = fn(&str, &[u8]) -> Bytes;

/// How long a piece may wait for its client even at the deadline: it may be the error that says that the time is over.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Chunks that may wait for a slow client.
const WAITING_CHUNKS: usize = 64;

impl ResponseSender {
    pub(super) fn new(
        deadline: Instant,
        interruption: Interruption,
    ) -> (Self, oneshot::Receiver<Result<CallAnswer, Error>>) {
        let (head, answer) = oneshot::channel();
        let (sender, body) = mpsc::channel(WAITING_CHUNKS);
        let (head, body, last) = (Some(head), Some(body), Bytes::new());
        (Self { head, final_usage: Arc::default(), sender, body, deadline, interruption, last }, answer)
    }

    /// Whether the client has left.
    pub(super) fn is_abandoned(&self) -> bool {
        self.sender.is_closed()
    }

    pub(super) fn has_begun(&self) -> bool {
        self.head.is_none()
    }

    /// Begins a stream: its length is unknown.
    pub(super) fn begin_stream(&mut self, metadata: CallMetadata) {
        self.begin(ContentType::EventStream, None, metadata);
    }

    /// Sends the head, once.
    pub(super) fn begin(&mut self, content_type: ContentType, length: Option<usize>, metadata: CallMetadata) {
        if let (Some(sender), Some(body)) = (self.head.take(), self.body.take()) {
            self.final_usage = Arc::clone(&metadata.final_usage);
            // A client that is gone already gets no answer; the call goes on.
            let _ = sender.send(Ok(CallAnswer { content_type, length, metadata, body }));
        }
    }

    /// Sends a piece of the body. A client that left, or that takes nothing until the deadline, misses it.
    pub(super) async fn send(&mut self, piece: Bytes) {
        if !piece.is_empty() && !self.sender.is_closed() {
            self.last = piece.clone();
            let until = self.deadline.max(Instant::now() + LAST_WAIT);
            let _ = tokio::time::timeout_at(until, self.sender.send(piece)).await;
        }
    }

    /// Sends a whole answer.
    pub(super) async fn send_whole(&mut self, content_type: ContentType, body: Bytes, metadata: CallMetadata) {
        self.begin(content_type, Some(body.len()), metadata);
        self.send(body).await;
    }

    /// Lets the sent pieces leave before the call is settled: settling computes for a while before it first waits, and
    /// the task that writes to the client may be queued behind this one.
    pub(super) async fn flush(&self) {
        tokio::task::yield_now().await;
    }

    /// Answers with an error, or ends an answer that has begun with an error event.
    pub(super) async fn fail(&mut self, error: Error) {
        match self.head.take() {
            Some(sender) => drop(sender.send(Err(error))),
            None => {
                tracing::warn!(error = %ErrorChain(&error), "answer broke after it had begun");
                let message = error.no_answer();
                let message = message.as_deref().unwrap_or("The stream was interrupted. Send the request again.");
                self.interrupt(message).await;
            }
        }
    }

    /// Ends an answer that has begun with an error event.
    pub(super) async fn interrupt(&mut self, message: &str) {
        let _ = self.final_usage.set(FinalUsage { failed: true, ..FinalUsage::default() });
        self.send((self.interruption)(message, &self.last)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialects::sse;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_gets_the_error_at_the_deadline_although_pieces_wait_for_it() {
        let until = Instant::now() + Duration::from_millis(10);
        let (mut sender, answer) = ResponseSender::new(until, |message, _| sse::error(message));
        sender.begin_stream(CallMetadata::default());
        let mut body = answer.await.unwrap().unwrap().body;
        for _ in 0..WAITING_CHUNKS {
            sender.send(Bytes::from_static(b"piece")).await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        let reading = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let mut last = Bytes::new();
            while let Some(piece) = body.recv().await {
                last = piece;
            }
            last
        };
        let sending = async {
            sender.interrupt("Too late.").await;
            drop(sender);
        };
        let (last, ()) = tokio::join!(reading, sending);
        assert_eq!(last, sse::error("Too late."));
    }
}
