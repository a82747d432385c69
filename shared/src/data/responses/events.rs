//! Chunks of events, and their readers.
//!
//! A run writes a chunk first. The chunk counts only after the record says so (`next_sequence`, written under the fence).
//! A run that lost its fence may leave a chunk that never counts. Where two chunks hold the same event, the one with the
//! higher fence is right: its run began after everything that counted before.

use bytes::{Bytes, BytesMut};

use super::record::read_record;
use super::{ResponseRecord, ResponseRecords};
use crate::data::change::Change;
use crate::data::error::StoreError;
use crate::data::item::{Reader, number};
use crate::data::keys;
use crate::model::clock::Timestamp;
use crate::model::message::ResponseKey;
use crate::model::response::Status;

/// The position of a reader of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventReader {
    /// The next sequence number.
    next: u64,
    /// The first sequence number of the chunk that may hold the next event.
    from: u64,
}

impl EventReader {
    /// Makes a reader of the events after the one with this number; `None`: of all events.
    #[must_use]
    pub fn after(sequence_number: Option<u64>) -> Self {
        Self { next: sequence_number.map_or(0, |number| number.saturating_add(1)), from: 0 }
    }

    /// Makes a reader of the last event of a response, for a reader that is past it. Returns `None` if this reader still
    /// has events before it, or if the response has no last event: it was cancelled or has not ended.
    #[must_use]
    pub fn of_the_end(&self, record: &ResponseRecord) -> Option<Self> {
        let has_last_event = record.status.is_terminal() && record.status != Status::Cancelled;
        (has_last_event && self.next > record.next_sequence).then(|| Self::after(record.next_sequence.checked_sub(2)))
    }

    /// Whether the reader has all events of a response that has ended.
    #[must_use]
    pub fn is_at_end(&self, record: &ResponseRecord) -> bool {
        self.next >= record.next_sequence
    }
}

/// A chunk: its events, and the fence of the run that wrote it.
struct Chunk {
    first: u64,
    fence: u64,
    events: Vec<Bytes>,
}

impl ResponseRecords {
    /// Returns a response's record and the events that a reader does not have, and advances the reader. One query.
    pub async fn read_events(
        &self,
        key: &ResponseKey,
        reader: &mut EventReader,
    ) -> Result<Option<(ResponseRecord, Bytes)>, StoreError> {
        let first = keys::response_events(key, reader.from, 0);
        // The query reads the record first: a concurrent run may add events after that, but removes none that count.
        let items = self.table.query_backwards(&first.pk, &first.sk, keys::RESPONSE_STATE).await?;
        let Some((state, chunks)) = items.split_first() else { return Ok(None) };
        if Reader(state).text("sk")? != keys::RESPONSE_STATE {
            return Ok(None);
        }
        let record = read_record(state)?;
        let mut read = Vec::with_capacity(chunks.len());
        for item in chunks {
            let sk = Reader(item).text("sk")?;
            let (first, fence) = keys::events_parts(&sk).ok_or_else(|| Reader(item).damaged("sk"))?;
            read.push(Chunk { first, fence, events: split_events(&self.bodies.unpack(item).await?) });
        }
        let events = take_events(&read, reader, record.next_sequence);
        // The next event is in the latest run's chunk that begins at or before it, or in a chunk that is not written yet.
        let begun =
            read.iter().filter(|chunk| chunk.first <= reader.next).max_by_key(|chunk| (chunk.fence, chunk.first));
        reader.from = begun.map_or(reader.from, |chunk| chunk.first);
        Ok(Some((record, events)))
    }

    /// Marks that a client follows a response until `until`.
    pub async fn watch(&self, key: &ResponseKey, until: Timestamp) -> Result<(), StoreError> {
        // Without the condition, one follower would shorten the mark of another.
        let change = Change::new("SET watched_until = :until")
            .only_if("attribute_exists(pk) AND watched_until < :until")
            .values([(":until", number(until.0))]);
        self.table.update(keys::response(key), change).await.map(drop)
    }
}

/// Returns the events from the reader's position up to `end`, and advances the reader.
fn take_events(chunks: &[Chunk], reader: &mut EventReader, end: u64) -> Bytes {
    let mut text = BytesMut::new();
    while reader.next < end {
        // From where a later run began, no event of an earlier run counts, even if the later chunk is still incomplete.
        let begun = chunks.iter().filter(|chunk| chunk.first <= reader.next);
        let Some(chunk) = begun.max_by_key(|chunk| (chunk.fence, chunk.first)) else { break };
        let last = (chunk.first + chunk.events.len() as u64).min(end);
        if last <= reader.next {
            break;
        }
        // A chunk of a later run may begin within this one.
        let next_run = chunks.iter().filter(|other| other.fence > chunk.fence).map(|other| other.first).min();
        let last = next_run.map_or(last, |first| last.min(first.max(reader.next + 1)));
        for number in reader.next..last {
            let index = usize::try_from(number - chunk.first).unwrap_or(usize::MAX);
            text.extend_from_slice(chunk.events.get(index).map_or(&[][..], |event| event));
        }
        reader.from = chunk.first;
        reader.next = last;
    }
    text.freeze()
}

/// Splits a chunk into its events: server-sent events end with an empty line, and JSON has no line breaks.
fn split_events(text: &Bytes) -> Vec<Bytes> {
    let mut events = Vec::new();
    let mut start = 0;
    for end in find_event_ends(text) {
        events.push(text.slice(start..end));
        start = end;
    }
    events
}

fn find_event_ends(text: &[u8]) -> impl Iterator<Item = usize> {
    text.windows(2).enumerate().filter(|(_, pair)| *pair == b"\n\n").map(|(at, _)| at + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(first: u64, fence: u64, count: u64) -> Chunk {
        let event = |number| Bytes::from(format!("{number}.{fence} "));
        Chunk { first, fence, events: (first..first + count).map(event).collect() }
    }

    #[track_caller]
    fn check(chunks: &[Chunk], after: Option<u64>, end: u64, expected: &str) {
        let mut reader = EventReader::after(after);
        assert_eq!(take_events(chunks, &mut reader, end), expected);
    }

    #[test]
    fn returns_events_in_order_after_the_named_one() {
        let chunks = [chunk(0, 0, 2), chunk(2, 1, 3), chunk(5, 1, 2)];
        check(&chunks, None, 7, "0.0 1.0 2.1 3.1 4.1 5.1 6.1 ");
        check(&chunks, Some(2), 7, "3.1 4.1 5.1 6.1 ");
        check(&chunks, Some(6), 7, "");
        check(&chunks, Some(900), 7, "");
    }

    #[test]
    fn skips_events_that_do_not_count() {
        check(&[chunk(0, 0, 2), chunk(2, 1, 3)], None, 4, "0.0 1.0 2.1 3.1 ");
        check(&[chunk(0, 0, 2), chunk(2, 1, 3)], None, 2, "0.0 1.0 ");
    }

    #[test]
    fn prefers_the_later_of_two_runs() {
        // The first run wrote 2 to 6 but only 2 and 3 counted when the second took over at 4.
        let chunks = [chunk(0, 0, 2), chunk(2, 1, 5), chunk(4, 2, 3)];
        check(&chunks, None, 7, "0.0 1.0 2.1 3.1 4.2 5.2 6.2 ");
        // The first run also left a chunk where the second has one.
        let chunks = [chunk(0, 0, 2), chunk(2, 1, 2), chunk(4, 1, 9), chunk(4, 2, 1), chunk(5, 2, 3)];
        check(&chunks, None, 8, "0.0 1.0 2.1 3.1 4.2 5.2 6.2 7.2 ");
        // The reader does not take from the first run the rest of an incomplete chunk of the second.
        check(&chunks[..4], None, 8, "0.0 1.0 2.1 3.1 4.2 ");
    }

    #[test]
    fn a_reader_continues_where_it_stopped() {
        let mut reader = EventReader::after(None);
        assert_eq!(take_events(&[chunk(0, 0, 2), chunk(2, 1, 3)], &mut reader, 4), "0.0 1.0 2.1 3.1 ");
        assert_eq!(reader.from, 2, "the reader still needs the rest of the chunk");
        assert_eq!(take_events(&[chunk(2, 1, 3), chunk(5, 1, 1)], &mut reader, 6), "4.1 5.1 ");
    }

    #[test]
    fn splits_events_at_their_ends() {
        let text = Bytes::from("event: a\ndata: {}\n\nevent: b\ndata: {\"t\":\"\\n\\n\"}\n\n");
        let events = split_events(&text);
        assert_eq!(events, ["event: a\ndata: {}\n\n", "event: b\ndata: {\"t\":\"\\n\\n\"}\n\n"]);
    }
}
