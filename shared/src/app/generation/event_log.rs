//! Writing the events of a run into its record, and keeping the run's lease.

use bytes::{Bytes, BytesMut};
use tokio::time::{Duration, Instant};

use super::LEASE_MS;
use crate::data::{CommitOutcome, ResponseRecord, ResponseRecords};
use crate::dialects::openai_responses::ResponseEvent;
use crate::model::clock::{Clock, Timestamp};
use crate::model::error_chain::ErrorChain;

/// How often events are written while another request follows the run, and while none does.
const WATCHED: Duration = Duration::from_millis(250);
const UNWATCHED: Duration = Duration::from_secs(2);
/// How often a run renews its lease while it has nothing to write.
const HEARTBEAT: Duration = Duration::from_millis(LEASE_MS / 3);
/// A lease with this much left is not renewed yet: more than is left after a heartbeat.
const LONG_ENOUGH_MS: u64 = LEASE_MS / 4 * 3;
/// A chunk of this size is written earlier.
const CHUNK_BYTES: usize = 512 * 1024;

/// The run may not go on: another process ended or deleted its response, or took it over. With the record as it is then.
#[derive(Debug)]
pub(in crate::app) struct RunLost(pub(in crate::app) Option<Box<ResponseRecord>>);

/// The events of a run that are not written yet, and the way into its record.
pub(in crate::app) struct EventLog {
    records: ResponseRecords,
    clock: Clock,
    /// The run: its key and its fence.
    pub(in crate::app) run: ResponseRecord,
    pending: BytesMut,
    /// The number of the first event of `pending`, and of the next one that will come.
    first: u64,
    next: u64,
    output_bytes: u64,
    last_write: Instant,
    /// How long events may wait.
    pace: Duration,
}

impl EventLog {
    /// A log that goes on after the events that the record has. It writes its first events at once if another request
    /// follows the run.
    pub(in crate::app) fn new(records: ResponseRecords, clock: Clock, run: ResponseRecord) -> Self {
        let next = run.next_sequence;
        let is_watched = run.watched_until > clock.now();
        let (last_write, pace) =
            if is_watched { (Instant::now() - WATCHED, WATCHED) } else { (Instant::now(), UNWATCHED) };
        Self { records, clock, run, pending: BytesMut::new(), first: next, next, output_bytes: 0, last_write, pace }
    }

    pub(super) fn add(&mut self, event: &ResponseEvent) {
        self.pending.extend_from_slice(&event.sse());
        self.next = event.sequence_number + 1;
    }

    /// Notes the bytes of the provider's chunks so far. If the process dies, they bound the output to charge.
    pub(super) fn note_output(&mut self, bytes: u64) {
        self.output_bytes = bytes;
    }

    /// Takes the events that are not written yet: their text, the number of the first, and the number after the last.
    pub(super) fn take_rest(&mut self) -> (Bytes, u64, u64) {
        (std::mem::take(&mut self.pending).freeze(), self.first, self.next)
    }

    pub(super) fn is_due(&self) -> bool {
        Instant::now() >= self.due_at() || self.pending.len() >= CHUNK_BYTES
    }

    pub(super) fn due_at(&self) -> Instant {
        self.last_write + if self.pending.is_empty() { HEARTBEAT } else { self.pace }
    }

    /// The end of the lease to write. A lease that is long enough stays: it is in the due index, and each change of an
    /// index bills two more writes.
    fn lease_from(&self, now: Timestamp) -> Timestamp {
        let left = now.until(self.run.lease_until);
        if (LONG_ENOUGH_MS..=LEASE_MS).contains(&left) { self.run.lease_until } else { now.plus_ms(LEASE_MS) }
    }

    /// Writes a chunk, then commits it and renews the lease. If a store fails, the next chunk holds the same events again;
    /// while it fails for long the lease ends.
    ///
    /// # Errors
    /// `RunLost` if the run may not go on.
    pub(super) async fn write(&mut self) -> Result<(), RunLost> {
        self.last_write = Instant::now();
        let now = self.clock.now();
        if !self.pending.is_empty() {
            let chunk = Bytes::copy_from_slice(&self.pending);
            if let Err(error) = self.records.put_events(&self.run, self.first, &chunk).await {
                tracing::warn!(error = %ErrorChain(&error), "events of a response not written yet");
                return Ok(());
            }
        }
        let lease_until = self.lease_from(now);
        match self.records.commit_events(&self.run, self.next, self.output_bytes, lease_until).await {
            Ok(CommitOutcome::Committed(record)) => {
                self.run.lease_until = record.lease_until;
                self.first = self.next;
                self.pending.clear();
                self.pace = if record.watched_until > now { WATCHED } else { UNWATCHED };
                Ok(())
            }
            Ok(CommitOutcome::FenceLost(found)) => Err(RunLost(found)),
            Err(error) => {
                tracing::warn!(error = %ErrorChain(&error), "events of a response not committed yet");
                Ok(())
            }
        }
    }
}
