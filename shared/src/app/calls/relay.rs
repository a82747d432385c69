//! Streams: events go to the client as they arrive, and are kept for the requests that follow or replay them.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::time::{Duration, Instant};

use super::framing::Framing;
use crate::app::answer::ResponseSender;
use crate::app::dispatch::EventStream;
use crate::app::idempotency::success_answer;
use crate::app::pipeline::OpenCall;
use crate::data::StoredAnswer;
use crate::dialects::ContentType;
use crate::model::error_chain::ErrorChain;
use crate::model::provider::{Event, Failure};

/// Each second, the received chunks are stored as one part.
const PART_EVERY: Duration = Duration::from_secs(1);
/// A part of this size is stored earlier.
const PART_BYTES: usize = 64 * 1024;
/// An item of the table holds 400 KB.
const MAX_PART_BYTES: usize = 350 * 1024;

/// Carries a provider's stream to the client, the idempotency record and the cache.
pub(super) struct StreamRelay<'a> {
    open: &'a OpenCall<'a>,
    sender: &'a mut ResponseSender,
    framing: Framing,
    /// Everything sent, if it goes into the cache.
    copy: Option<BytesMut>,
    /// The bytes that are not stored as a part yet, if another request may follow.
    pending: BytesMut,
    /// Byte of the stream that `pending` begins with.
    pending_at: u64,
    parts: u32,
    last_part: Instant,
    part_failed: bool,
}

impl<'a> StreamRelay<'a> {
    pub(super) fn new(open: &'a OpenCall<'a>, sender: &'a mut ResponseSender, framing: Framing) -> Self {
        Self {
            open,
            sender,
            framing,
            copy: open.call.cache.as_ref().map(|_| BytesMut::new()),
            pending: BytesMut::new(),
            pending_at: 0,
            parts: 0,
            last_part: Instant::now(),
            part_failed: false,
        }
    }

    /// Relays the stream to its end, then settles the call. The body ends after that.
    pub(super) async fn run(mut self, mut events: EventStream) {
        self.sender.begin_stream(self.open.metadata.clone());
        let mut failure = None;
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => self.forward(&event).await,
                Err(error) => failure = Some(error),
            }
        }
        self.emit(self.last_event(failure.as_ref())).await;
        self.sender.flush().await;
        self.finish(failure.is_some()).await;
    }

    async fn forward(&mut self, event: &Event) {
        self.open.used.observe(event);
        let cost = || self.open.charge().cost;
        if let Some(event) = self.framing.event(event, self.open.call.body.include_usage, cost) {
            self.emit(event).await;
        }
    }

    fn last_event(&self, failure: Option<&Failure>) -> Bytes {
        let Some(failure) = failure else { return self.framing.end() };
        tracing::warn!(error = failure.summary(), "stream broke after it had begun");
        let message = format!("The stream was interrupted: {failure}. Send the request again.");
        (self.framing.interruption())(&message, &[])
    }

    async fn emit(&mut self, event: Bytes) {
        if event.is_empty() {
            return;
        }
        if let Some(copy) = &mut self.copy {
            copy.extend_from_slice(&event);
        }
        self.sender.send(event.clone()).await;
        self.store_due_part().await;
        if self.open.lease.is_some() {
            self.pending.extend_from_slice(&event);
        }
    }

    /// Stores the events before the newest one, if it is time. The newest may be the last: it is stored with the end, in one
    /// write. If this process died between two writes, a follower would read the last event, and then that the run is dead.
    async fn store_due_part(&mut self) {
        let is_large = self.pending.len() >= PART_BYTES && !self.part_failed;
        let is_due = is_large || self.last_part.elapsed() >= PART_EVERY;
        // Bytes that the table refused for so long that they fill an item are stored with the end.
        if is_due && (1..=MAX_PART_BYTES).contains(&self.pending.len()) {
            self.store_part().await;
        }
    }

    /// Stores the bytes since the last part. If that fails, the next part holds them again. Each part says where it
    /// begins, because the failed one may have been stored.
    async fn store_part(&mut self) {
        let Some(lease) = &self.open.lease else { return };
        self.last_part = Instant::now();
        let part = Bytes::copy_from_slice(&self.pending);
        let written = self.open.pipeline.idempotency.put_part(lease, self.parts, self.pending_at, &part).await;
        self.parts += 1;
        self.part_failed = written.is_err();
        match written {
            Ok(()) => {
                self.pending_at += part.len() as u64;
                self.pending.clear();
            }
            Err(error) => tracing::warn!(error = %ErrorChain(&error), "part of a stream not stored yet"),
        }
    }

    async fn finish(self, failed: bool) {
        let Self { open, copy, pending, pending_at, .. } = self;
        let charge = open.charge();
        open.report(charge, failed);
        let answer = StoredAnswer { tail_at: pending_at, ..success_answer(ContentType::EventStream, pending.freeze()) };
        let cache = async {
            if let Some(copy) = copy.filter(|_| !failed) {
                open.cache(ContentType::EventStream, copy.freeze()).await;
            }
        };
        tokio::join!(open.settle(charge), open.complete(!failed, answer), cache);
    }
}
