//! Chunks of events, and reading them in order.
//!
//! A chunk is written first and counts only when the record says so (`next_sequence`, written under the fence). A run
//! that lost its fence may leave a chunk behind that never counts; so where two chunks hold the same event, the one with
//! the higher fence is right: its run began after everything that counted before.

use bytes::{Bytes, BytesMut};

use crate::data::Stores;
use crate::data::error::StoreError;
use crate::data::item::Reader;
use crate::data::keys;
use crate::dialects::openai_responses::Status;
use crate::model::message::ResponseKey;

use super::{ResponseRecord, record};

/// How far a reader of events is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventReader {
    /// The sequence number that it wants next.
    next: u64,
    /// Where the chunk that may hold it begins.
    from: u64,
}

impl EventReader {
    /// A reader of what comes after the event with this number; `None`: of all events.
    #[must_use]
    pub fn after(sequence_number: Option<u64>) -> Self {
        Self { next: sequence_number.map_or(0, |number| number.saturating_add(1)), from: 0 }
    }

    /// A reader of the event that a response ended with; `None` if there is none that this one could lack: it wants one of
    /// the response's events, or the response was cancelled or has not ended.
    #[must_use]
    pub fn of_the_end(&self, record: &ResponseRecord) -> Option<Self> {
        let says_its_end = record.status.is_terminal() && record.status != Status::Cancelled;
        (says_its_end && self.next > record.next_sequence).then(|| Self::after(record.next_sequence.checked_sub(2)))
    }

    /// Whether it has all events of a response that has ended.
    #[must_use]
    pub fn is_at_end(&self, record: &ResponseRecord) -> bool {
        self.next >= record.next_sequence
    }
}

/// A chunk as it was read: its events, and which run wrote it.
struct Chunk {
    first: u64,
    fence: u64,
    events: Vec<Bytes>,
}

impl Stores {
    /// A response's record and the events that a reader does not have yet; moves the reader on. One query.
    ///
    /// # Errors
    /// If a store fails or an item is damaged.
    pub async fn follow_response(
        &self,
        key: &ResponseKey,
        reader: &mut EventReader,
    ) -> Result<Option<(ResponseRecord, Bytes)>, StoreError> {
        let first = keys::response_events(&key.project_id, &key.response_id, reader.from, 0);
        // The state first: a run that goes on meanwhile may add to what it says, and takes nothing of it away.
        let items = self.table.query_last_first(&first.pk, &first.sk, keys::RESPONSE_STATE).await?;
        let Some((state, chunks)) = items.split_first() else { return Ok(None) };
        if Reader(state).text("sk")? != keys::RESPONSE_STATE {
            return Ok(None);
        }
        let Some(record) = record(state, None)? else { return Ok(None) };
        let mut read = Vec::with_capacity(chunks.len());
        for item in chunks {
            let sk = Reader(item).text("sk")?;
            let (first, fence) = keys::events_parts(&sk).ok_or_else(|| Reader(item).damaged("sk"))?;
            read.push(Chunk { first, fence, events: split(&self.unpack(item).await?) });
        }
        let events = take(&read, reader, record.next_sequence);
        // The next event is in the latest run's chunk that begins at or before it, or in one that is yet to come.
        let begun =
            read.iter().filter(|chunk| chunk.first <= reader.next).max_by_key(|chunk| (chunk.fence, chunk.first));
        reader.from = begun.map_or(reader.from, |chunk| chunk.first);
        Ok(Some((record, events)))
    }
}

/// The events from the reader's place up to `end`; moves the reader on.
fn take(chunks: &[Chunk], reader: &mut EventReader, end: u64) -> Bytes {
    let mut text = BytesMut::new();
    while reader.next < end {
        // Where a later run began nothing of an earlier one counts, also if its own chunk is not whole yet.
        let begun = chunks.iter().filter(|chunk| chunk.first <= reader.next);
        let Some(chunk) = begun.max_by_key(|chunk| (chunk.fence, chunk.first)) else { break };
        let last = (chunk.first + chunk.events.len() as u64).min(end);
        if last <= reader.next {
            break;
        }
        // Another run's chunk may take over within this one.
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

/// The events of a chunk: server-sent events end with an empty line, and JSON has no line breaks.
fn split(text: &Bytes) -> Vec<Bytes> {
    let mut events = Vec::new();
    let mut start = 0;
    for end in ends(text) {
        events.push(text.slice(start..end));
        start = end;
    }
    events
}

/// The ends of all events of a text.
fn ends(text: &[u8]) -> impl Iterator<Item = usize> {
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
        assert_eq!(take(chunks, &mut reader, end), expected);
    }

    #[test]
    fn events_come_in_order_after_the_one_that_was_named() {
        let chunks = [chunk(0, 0, 2), chunk(2, 1, 3), chunk(5, 1, 2)];
        check(&chunks, None, 7, "0.0 1.0 2.1 3.1 4.1 5.1 6.1 ");
        check(&chunks, Some(2), 7, "3.1 4.1 5.1 6.1 ");
        check(&chunks, Some(6), 7, "");
        check(&chunks, Some(900), 7, "");
    }

    #[test]
    fn what_does_not_count_is_not_read() {
        check(&[chunk(0, 0, 2), chunk(2, 1, 3)], None, 4, "0.0 1.0 2.1 3.1 ");
        check(&[chunk(0, 0, 2), chunk(2, 1, 3)], None, 2, "0.0 1.0 ");
    }

    #[test]
    fn of_two_runs_the_later_is_right() {
        // The first run wrote 2 to 6 but only 2 and 3 counted when the second took over at 4.
        let chunks = [chunk(0, 0, 2), chunk(2, 1, 5), chunk(4, 2, 3)];
        check(&chunks, None, 7, "0.0 1.0 2.1 3.1 4.2 5.2 6.2 ");
        // And it left another chunk where the second has one.
        let chunks = [chunk(0, 0, 2), chunk(2, 1, 2), chunk(4, 1, 9), chunk(4, 2, 1), chunk(5, 2, 3)];
        check(&chunks, None, 8, "0.0 1.0 2.1 3.1 4.2 5.2 6.2 7.2 ");
        // What the second has not written whole is not taken from the first.
        check(&chunks[..4], None, 8, "0.0 1.0 2.1 3.1 4.2 ");
    }

    #[test]
    fn a_reader_goes_on_where_it_stopped() {
        let mut reader = EventReader::after(None);
        assert_eq!(take(&[chunk(0, 0, 2), chunk(2, 1, 3)], &mut reader, 4), "0.0 1.0 2.1 3.1 ");
        assert_eq!(reader.from, 2, "the rest of the chunk is wanted still");
        assert_eq!(take(&[chunk(2, 1, 3), chunk(5, 1, 1)], &mut reader, 6), "4.1 5.1 ");
    }

    #[test]
    fn events_are_split_where_they_end() {
        let text = Bytes::from("event: a\ndata: {}\n\nevent: b\ndata: {\"t\":\"\\n\\n\"}\n\n");
        let events = split(&text);
        assert_eq!(events, ["event: a\ndata: {}\n\n", "event: b\ndata: {\"t\":\"\\n\\n\"}\n\n"]);
    }
}
