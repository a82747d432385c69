//! Where an answer goes: its head once, then its body, to a client that may be gone.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::admission::RateStatus;
use super::cache::CacheOutcome;
use super::dispatch::ErrorChain;
use super::error::Error;
use super::stream;
use crate::model::money::MicroUsd;
use crate::model::tokens::Usage;

/// The answer to a call: its head, and a body that ends when the books are closed.
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    /// Of the body in bytes, where it is known before.
    pub length: Option<usize>,
    pub facts: CallMetadata,
    pub body: mpsc::Receiver<Bytes>,
}

/// What weir says about a call beside the answer.
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
    pub closing: Arc<OnceLock<FinalUsage>>,
}

/// The end of a call, for its log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FinalUsage {
    pub usage: Usage,
    pub cost: MicroUsd,
    pub failed: bool,
}

impl Answer {
    /// A head without the body, which the sender adds.
    pub(super) fn head(status: u16, content_type: &str, length: Option<usize>, facts: CallMetadata) -> Head {
        Head { status, content_type: content_type.to_owned(), length, facts }
    }
}

pub(super) struct Head {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) length: Option<usize>,
    pub(super) facts: CallMetadata,
}

/// Where an answer goes: to a client that may be gone.
pub(super) struct ResponseSender {
    head: Option<oneshot::Sender<Result<Answer, Error>>>,
    /// Of the answer that has begun.
    closing: Arc<OnceLock<FinalUsage>>,
    sender: mpsc::Sender<Bytes>,
    body: Option<mpsc::Receiver<Bytes>>,
    deadline: Instant,
}

/// Chunks that may wait for a slow client.
const WAITING_CHUNKS: usize = 64;

impl ResponseSender {
    pub(super) fn new(deadline: Instant) -> (Self, oneshot::Receiver<Result<Answer, Error>>) {
        let (head, answer) = oneshot::channel();
        let (sender, body) = mpsc::channel(WAITING_CHUNKS);
        (Self { head: Some(head), closing: Arc::default(), sender, body: Some(body), deadline }, answer)
    }

    /// Whether the client has left.
    pub(super) fn is_abandoned(&self) -> bool {
        self.sender.is_closed()
    }

    pub(super) fn has_begun(&self) -> bool {
        self.head.is_none()
    }

    /// Sends the head, once.
    pub(super) fn begin(&mut self, head: Head) {
        if let (Some(sender), Some(body)) = (self.head.take(), self.body.take()) {
            let Head { status, content_type, length, facts } = head;
            self.closing = Arc::clone(&facts.closing);
            // A client that is gone already gets no answer; the call goes on.
            let _ = sender.send(Ok(Answer { status, content_type, length, facts, body }));
        }
    }

    /// Sends a piece of the body. A client that left, or that takes nothing until the deadline, is passed over.
    pub(super) async fn send(&mut self, piece: Bytes) {
        if !piece.is_empty() && !self.sender.is_closed() {
            let _ = tokio::time::timeout_at(self.deadline, self.sender.send(piece)).await;
        }
    }

    /// Lets what was sent leave before the books are closed: that computes for a while before it first waits, and the
    /// task that writes to the client may be queued behind this one.
    pub(super) async fn let_go(&self) {
        tokio::task::yield_now().await;
    }

    /// Answers with an error, or ends an answer that has begun with an error event.
    pub(super) async fn fail(mut self, error: Error) {
        match self.head.take() {
            Some(sender) => drop(sender.send(Err(error))),
            None => {
                tracing::warn!(error = %ErrorChain(&error), "answer broke after it had begun");
                self.broke();
                self.send(stream::error_event("The stream was interrupted. Send the request again.")).await;
            }
        }
    }

    /// The run that was followed is gone. If its answer had begun there is no way back: says so with `true`.
    pub(super) async fn cut_short(&mut self) -> bool {
        if self.has_begun() {
            let message = "The request that this one followed was interrupted. Send it again.";
            self.broke();
            self.send(stream::error_event(message)).await;
        }
        self.has_begun()
    }

    /// Notes that the answer did not end as it should have.
    fn broke(&self) {
        let _ = self.closing.set(FinalUsage { failed: true, ..FinalUsage::default() });
    }
}
