//! Where the events of a running response go: to the client that waits, and into the record for all others.

use bytes::BytesMut;
use tokio::time::{Duration, Instant};

use super::LEASE_MS;
use crate::app::answer::ResponseSender;
use crate::app::dispatch::ErrorChain;
use crate::app::gateway::Gateway;
use crate::data::ResponseRecord;
use crate::dialects::openai_responses::ResponseEvent;
use crate::model::clock::Timestamp;

/// How often events are written down while somebody follows, and while nobody does.
const WATCHED: Duration = Duration::from_millis(250);
const UNWATCHED: Duration = Duration::from_secs(2);
/// How often a run says that it lives while it has nothing to write.
const BEAT: Duration = Duration::from_millis(LEASE_MS / 3);
/// What is left of a lease that is not renewed yet: more than after a beat.
const LONG_ENOUGH_MS: u64 = LEASE_MS / 4 * 3;
/// A chunk is written earlier when it has this size.
const CHUNK_BYTES: usize = 512 * 1024;

/// A run that may not go on: its response was ended or deleted by somebody else, or another run took it over. The record
/// as it is then.
#[derive(Debug)]
pub(super) struct Stopped(pub(super) Option<Box<ResponseRecord>>);

/// Where events go.
pub(super) struct EventSink {
    pub(super) sender: Option<ResponseSender>,
    pub(super) log: Option<EventLog>,
}

impl EventSink {
    /// Tells the events, and writes them down if it is time to.
    pub(super) async fn emit(&mut self, gateway: &Gateway, events: &[ResponseEvent]) -> Result<(), Stopped> {
        self.note(events);
        for event in events {
            self.send_beating(gateway, event).await?;
        }
        match &mut self.log {
            Some(log) if log.is_due() => log.write(gateway).await,
            _ => Ok(()),
        }
    }

    /// Sends an event to a client that may be slow: the run gives its signs of life meanwhile.
    async fn send_beating(&mut self, gateway: &Gateway, event: &ResponseEvent) -> Result<(), Stopped> {
        let Some(sender) = &mut self.sender else { return Ok(()) };
        let Some(log) = &mut self.log else {
            sender.send(event.sse()).await;
            return Ok(());
        };
        loop {
            // A piece that was not sent when the time for a sign of life came is sent anew.
            tokio::select! {
                biased;
                () = sender.send(event.sse()) => return Ok(()),
                () = tokio::time::sleep_until(log.due_at()) => log.write(gateway).await?,
            }
        }
    }

    /// Tells the events; they are written down with the next ones, or with the end.
    pub(super) async fn tell(&mut self, events: &[ResponseEvent]) {
        self.note(events);
        self.send(events).await;
    }

    /// Puts the events where they are written down with the next ones, or with the end.
    pub(super) fn note(&mut self, events: &[ResponseEvent]) {
        if let Some(log) = &mut self.log {
            events.iter().for_each(|event| log.add(event));
        }
    }

    /// Sends the events to the client.
    pub(super) async fn send(&mut self, events: &[ResponseEvent]) {
        if let Some(sender) = &mut self.sender {
            for event in events {
                sender.send(event.sse()).await;
            }
        }
    }

    /// Resolves when the log is to be written although nothing came; never without a log.
    pub(super) async fn quiet(&self) {
        match &self.log {
            Some(log) => tokio::time::sleep_until(log.due_at()).await,
            None => std::future::pending().await,
        }
    }

    /// Writes what the log has, or only that the run lives.
    pub(super) async fn beat(&mut self, gateway: &Gateway) -> Result<(), Stopped> {
        match &mut self.log {
            Some(log) => log.write(gateway).await,
            None => Ok(()),
        }
    }

    /// What the run has received so far, in bytes of the provider's chunks.
    pub(super) fn received(&mut self, bytes: u64) {
        if let Some(log) = &mut self.log {
            log.output_bytes = bytes;
        }
    }
}

/// Writes the events of a run into its record, and keeps the run's lease.
pub(super) struct EventLog {
    /// The run: its key and its fence.
    pub(super) run: ResponseRecord,
    pending: BytesMut,
    /// The number of the first event of `pending`, and of the next one that will come.
    first: u64,
    next: u64,
    output_bytes: u64,
    /// When something was written last.
    last: Instant,
    /// How long events may wait.
    pace: Duration,
}

impl EventLog {
    /// A log that goes on after the events that the record has. Its first events are written at once if somebody
    /// follows.
    pub(super) fn new(run: ResponseRecord, now: Timestamp) -> Self {
        let next = run.next_sequence;
        let watched = run.watched_until > now;
        let (last, pace) = if watched { (Instant::now() - WATCHED, WATCHED) } else { (Instant::now(), UNWATCHED) };
        Self { run, pending: BytesMut::new(), first: next, next, output_bytes: 0, last, pace }
    }

    fn add(&mut self, event: &ResponseEvent) {
        self.pending.extend_from_slice(&event.sse());
        self.next = event.sequence_number + 1;
    }

    /// The events that are not written yet: their text, the number of the first, and the number after the last.
    pub(super) fn rest(&mut self) -> (bytes::Bytes, u64, u64) {
        (std::mem::take(&mut self.pending).freeze(), self.first, self.next)
    }

    fn is_due(&self) -> bool {
        Instant::now() >= self.due_at() || self.pending.len() >= CHUNK_BYTES
    }

    fn due_at(&self) -> Instant {
        self.last + if self.pending.is_empty() { BEAT } else { self.pace }
    }

    /// Until when the run is to be taken for alive. A lease that is long enough is kept as it is: it lies in the index of
    /// what is due, which bills two writes when it changes.
    fn lease_from(&self, now: Timestamp) -> Timestamp {
        let left = now.until(self.run.lease_until);
        if (LONG_ENOUGH_MS..=LEASE_MS).contains(&left) { self.run.lease_until } else { now.plus_ms(LEASE_MS) }
    }

    /// Writes a chunk, then makes it count and renews the lease. What a store that fails did not take is written again
    /// with the next chunk; while it fails for long the lease ends.
    async fn write(&mut self, gateway: &Gateway) -> Result<(), Stopped> {
        self.last = Instant::now();
        let now = gateway.clock.now();
        let stores = &gateway.stores;
        if !self.pending.is_empty() {
            let chunk = bytes::Bytes::copy_from_slice(&self.pending);
            if let Err(error) = stores.put_events(&self.run, self.first, &chunk).await {
                tracing::warn!(error = %ErrorChain(&error), "events of a response not written yet");
                return Ok(());
            }
        }
        match stores.commit_events(&self.run, self.next, self.output_bytes, self.lease_from(now)).await {
            Ok(Ok(record)) => {
                self.run.lease_until = record.lease_until;
                self.first = self.next;
                self.pending.clear();
                self.pace = if record.watched_until > now { WATCHED } else { UNWATCHED };
                Ok(())
            }
            Ok(Err(found)) => Err(Stopped(found.map(Box::new))),
            Err(error) => {
                tracing::warn!(error = %ErrorChain(&error), "events of a response not counted yet");
                Ok(())
            }
        }
    }
}
