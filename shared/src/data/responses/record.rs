//! The record of a response: its state, as one small item.

use aws_sdk_dynamodb::types::AttributeValue;

use super::StoredReservation;
use crate::data::due::due_shard;
use crate::data::error::StoreError;
use crate::data::item::{Item, Reader, flag, insert_present, number, text};
use crate::data::keys;
use crate::model::clock::Timestamp;
use crate::model::message::ResponseKey;
use crate::model::meter::RunName;
use crate::model::money::MicroUsd;
use crate::model::response::Status;
use crate::model::tokens::{Charge, Served, Usage};

/// Every response is kept this long, because its job may take a day, and an idempotency key is kept a day from the end of
/// its run. A response that clients cannot retrieve is not kept longer.
const SHORTEST_SECONDS: u64 = 86_400 + 3_600;
/// A response can be retrieved for this long after its end, however short its retention is.
const POLLED_SECONDS: u64 = 600;

/// The state of a response, as the table holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseRecord {
    pub key: ResponseKey,
    pub status: Status,
    /// Whether a worker runs the response. Otherwise the request that made it does.
    pub background: bool,
    /// Whether clients can retrieve the response. Otherwise it only answers repetitions of its request.
    pub stored: bool,
    pub deleted: bool,
    /// Counts the claims. A run writes only while this is the number of its claim.
    pub fence: u64,
    /// Counts the runs that were about to call a provider.
    pub runs: u64,
    /// The fence of the last of those runs; 0: there was none.
    pub begun: u64,
    /// Counts the claims since then: those whose process died before its run began.
    pub unbegun: u64,
    pub lease_until: Timestamp,
    /// No run of a queued response begins before this time.
    pub not_before: Timestamp,
    /// When the sweeper looks at the response; `None`: no work is left.
    pub due_at: Option<Timestamp>,
    /// Events count if their sequence number is less than this.
    pub next_sequence: u64,
    /// Until this time a client follows the response, and the run writes events more often.
    pub watched_until: Timestamp,
    pub created_at: Timestamp,
    /// How long clients can retrieve the response, by the policy of its project when it was made. 0: until 10 minutes after
    /// its end.
    pub kept_seconds: u64,
    pub finished_at: Option<Timestamp>,
    pub model: String,
    pub api_key_id: String,
    pub run: Option<RunName>,
    pub conversation_id: Option<String>,
    pub traceparent: Option<String>,
    pub reservation: Option<StoredReservation>,
    /// Bytes that the run is known to have written. They bound its output tokens if it dies.
    pub output_bytes: u64,
    /// The charge for the last run, once the response has ended.
    pub charge: Charge,
}

impl ResponseRecord {
    /// The reservation, if the run with the record's fence may use it: it was made for that run, or no run has used it.
    #[must_use]
    pub fn own_reservation(&self) -> Option<&StoredReservation> {
        self.reservation.as_ref().filter(|stored| stored.fence == self.fence || self.begun < stored.fence)
    }

    /// The reservation, if a run has used it or uses it.
    #[must_use]
    pub fn used_reservation(&self) -> Option<&StoredReservation> {
        self.reservation.as_ref().filter(|stored| stored.fence <= self.begun)
    }

    /// Whether the time for which clients can retrieve the response is over.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        let created = self.created_at.seconds();
        let until = match self.finished_at {
            Some(end) => (created + self.kept_seconds).max(end.seconds() + POLLED_SECONDS),
            None => created + self.items_kept_seconds(),
        };
        until <= now.seconds()
    }

    /// When a response of a project that keeps nothing is erased after its end: nobody can retrieve it any more.
    #[must_use]
    pub fn erased_at(&self) -> Option<Timestamp> {
        self.finished_at.filter(|_| self.kept_seconds == 0).map(|end| end.plus_ms(POLLED_SECONDS * 1_000))
    }

    /// How long the items of the response are kept.
    pub(super) fn items_kept_seconds(&self) -> u64 {
        if self.stored { self.kept_seconds.max(SHORTEST_SECONDS) } else { SHORTEST_SECONDS }
    }
}

/// When DynamoDB may delete the items of a response, in Unix seconds.
pub(super) fn expires_at(record: &ResponseRecord) -> u64 {
    record.created_at.seconds() + record.items_kept_seconds()
}

/// Makes the item of a record.
pub(super) fn to_item(record: &ResponseRecord) -> Item {
    let mut item = keys::response(&record.key).with([
        ("run_status", text(record.status.name())),
        ("background", flag(record.background)),
        ("stored", flag(record.stored)),
        ("fence", number(record.fence)),
        ("runs", number(record.runs)),
        ("begun", number(record.begun)),
        ("unbegun", number(record.unbegun)),
        ("lease_until", number(record.lease_until.0)),
        ("not_before", number(record.not_before.0)),
        ("next_sequence", number(record.next_sequence)),
        ("watched_until", number(record.watched_until.0)),
        ("created_ms", number(record.created_at.0)),
        ("kept_seconds", number(record.kept_seconds)),
        ("model_name", text(&record.model)),
        ("api_key_id", text(&record.api_key_id)),
        ("output_bytes", number(record.output_bytes)),
        ("tokens_used", usage_attribute(&record.charge.usage)),
        ("cost", number(record.charge.cost.0)),
        ("expires_at", number(expires_at(record))),
    ]);
    let optional = [
        ("finished_ms", record.finished_at.map(|at| number(at.0))),
        ("conversation_id", record.conversation_id.as_ref().map(text)),
        ("traceparent", record.traceparent.as_ref().map(text)),
        ("run_name", record.run.as_ref().map(|run| text(run.as_str()))),
        ("holding", record.reservation.as_ref().map(|reservation| text(reservation.to_text()))),
        ("due_at", record.due_at.map(|at| number(at.0))),
        ("due_shard", record.due_at.map(|_| text(due_shard(&record.key.response_id)))),
    ];
    insert_present(&mut item, optional);
    item
}

/// Reads a record, unless it has expired by `now`.
pub(super) fn read_unexpired(item: &Item, now: Timestamp) -> Result<Option<ResponseRecord>, StoreError> {
    Ok(Some(read_record(item)?).filter(|record| !record.is_expired(now)))
}

/// Reads a record, expired or not.
pub(super) fn read_record(item: &Item) -> Result<ResponseRecord, StoreError> {
    let reader = Reader(item);
    let pk = reader.text("pk")?;
    let rest = pk.strip_prefix(keys::RESPONSE_PREFIX).and_then(|rest| rest.split_once('#'));
    let (project_id, response_id) = rest.ok_or_else(|| reader.damaged("pk"))?;
    let status = Status::parse(&reader.text("run_status")?).ok_or_else(|| reader.damaged("run_status"))?;
    let is_set = |name| Ok::<_, StoreError>(reader.maybe_number::<u8>(name)?.unwrap_or(0) == 1);
    let time = |name| Ok::<_, StoreError>(reader.maybe_number(name)?.map(Timestamp));
    let model = reader.text("model_name")?;
    let parse = |text: String| StoredReservation::parse(&text, &model).ok_or_else(|| reader.damaged("holding"));
    let reservation = reader.maybe_text("holding").map(parse).transpose()?;
    let usage = parse_usage(&reader.text("tokens_used")?).ok_or_else(|| reader.damaged("tokens_used"))?;
    Ok(ResponseRecord {
        key: ResponseKey { project_id: project_id.to_owned(), response_id: response_id.to_owned() },
        status,
        background: is_set("background")?,
        stored: is_set("stored")?,
        deleted: is_set("deleted")?,
        fence: reader.number("fence")?,
        runs: reader.number("runs")?,
        begun: reader.number("begun")?,
        unbegun: reader.number("unbegun")?,
        lease_until: Timestamp(reader.number("lease_until")?),
        not_before: Timestamp(reader.number("not_before")?),
        due_at: time("due_at")?,
        next_sequence: reader.number("next_sequence")?,
        watched_until: Timestamp(reader.number("watched_until")?),
        created_at: Timestamp(reader.number("created_ms")?),
        kept_seconds: reader.number("kept_seconds")?,
        finished_at: time("finished_ms")?,
        model,
        api_key_id: reader.text("api_key_id")?,
        run: reader.maybe_text("run_name").map(RunName::from_stored),
        conversation_id: reader.maybe_text("conversation_id"),
        traceparent: reader.maybe_text("traceparent"),
        reservation,
        output_bytes: reader.number("output_bytes")?,
        charge: Charge { usage, cost: MicroUsd(reader.number("cost")?), ..Charge::default() },
    })
}

/// The counts in the order in which they came into the type. The charge beside them has the price of how the call was served.
pub(super) fn usage_attribute(usage: &Usage) -> AttributeValue {
    // A response has no pieces.
    let counts = [
        usage.input,
        usage.cached_input,
        usage.cache_write,
        usage.cache_write_1h,
        usage.output,
        usage.reasoning,
        usage.cached_audio,
        usage.cache_write_30m,
        usage.cache_write_12h,
        usage.audio_input,
        usage.image_input,
        usage.audio_output,
        usage.image_output,
    ];
    text(counts.map(|count| count.to_string()).join(" "))
}

fn parse_usage(text: &str) -> Option<Usage> {
    let mut numbers: Vec<u64> = text.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
    // Earlier versions wrote six counts.
    if numbers.len() == 6 {
        numbers.resize(13, 0);
    }
    let [input, cached_input, cache_write, cache_write_1h, output, reasoning, rest @ ..]: [u64; 13] =
        numbers.try_into().ok()?;
    let [cached_audio, cache_write_30m, cache_write_12h, audio_input, image_input, audio_output, image_output] = rest;
    Some(Usage {
        input,
        cached_input,
        cached_audio,
        cache_write,
        cache_write_30m,
        cache_write_1h,
        cache_write_12h,
        audio_input,
        image_input,
        output,
        reasoning,
        audio_output,
        image_output,
        pieces: 0,
        served: Served::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::meter::{
        MeterKey, PlacedReservation, PlacedReservations, Reservation, ReservationId, ReservedFor,
    };
    use crate::model::tokens::Bound;

    /// Each count is another number.
    fn usage() -> Usage {
        Usage {
            input: 1,
            cached_input: 2,
            cached_audio: 3,
            cache_write: 4,
            cache_write_30m: 5,
            cache_write_1h: 6,
            cache_write_12h: 7,
            audio_input: 8,
            image_input: 9,
            output: 10,
            reasoning: 11,
            audio_output: 12,
            image_output: 13,
            pieces: 0,
            served: Served::default(),
        }
    }

    #[test]
    fn a_usage_of_an_earlier_version_is_read() {
        let expected = Usage {
            input: 1,
            cached_input: 2,
            cache_write: 3,
            cache_write_1h: 4,
            output: 5,
            reasoning: 6,
            ..Usage::default()
        };
        assert_eq!(parse_usage("1 2 3 4 5 6"), Some(expected));
        assert_eq!(parse_usage("1 2 3 4 5"), None);
    }

    #[test]
    fn a_record_reads_back() {
        let written = ResponseRecord {
            key: ResponseKey { project_id: "proj_1".into(), response_id: "resp_1".into() },
            status: Status::InProgress,
            background: true,
            stored: true,
            deleted: false,
            fence: 3,
            runs: 2,
            begun: 1,
            unbegun: 3,
            lease_until: Timestamp(30_000),
            not_before: Timestamp(1),
            due_at: Some(Timestamp(30_000)),
            next_sequence: 17,
            watched_until: Timestamp(2),
            created_at: Timestamp(1_000),
            kept_seconds: 30 * 86_400,
            finished_at: None,
            model: "m".into(),
            api_key_id: "key_1".into(),
            run: Some(RunName::from_stored("run-1".into())),
            conversation_id: Some("conv_1".into()),
            traceparent: None,
            reservation: Some(StoredReservation {
                fence: 3,
                placed: PlacedReservations {
                    project: PlacedReservation {
                        meter: MeterKey::of_project("proj_1", "2026-11".into()),
                        reservation: Reservation {
                            id: ReservationId::new(Timestamp(99_000), ReservedFor::Job),
                            amount: MicroUsd(70),
                            model: "m".into(),
                        },
                        tokens: 8,
                        window_ends: Timestamp(60_000),
                    },
                    inner: Vec::new(),
                },
                bound: Bound { input: 5, output: 6, pieces: 0 },
                price: None,
            }),
            output_bytes: 12,
            charge: Charge { usage: usage(), cost: MicroUsd(9), ..Charge::default() },
        };
        let item = to_item(&written);
        assert_eq!(read_unexpired(&item, Timestamp((30 * 86_400 + 1) * 1_000)).unwrap(), None);
        assert_eq!(read_record(&item).unwrap(), written);
        let bare = ResponseRecord { reservation: None, run: None, ..written.clone() };
        assert_eq!(read_record(&to_item(&bare)).unwrap(), bare);
        expires(&written);
    }

    /// Checks the last second of a response, by its retention and its end.
    fn expires(written: &ResponseRecord) {
        const DAY: u64 = 86_400;
        for (kept_seconds, finished_at, last) in [
            (30 * DAY, Some(2), 30 * DAY),
            (DAY, Some(2), DAY),
            (DAY, Some(DAY), DAY + 599),
            (DAY, None, DAY + 3_600),
            (0, Some(60), 659),
            (0, None, DAY + 3_600),
        ] {
            let finished_at = finished_at.map(|second| Timestamp(second * 1_000));
            let record = ResponseRecord { kept_seconds, finished_at, ..written.clone() };
            let is_expired = [last, last + 1].map(|second| record.is_expired(Timestamp(second * 1_000)));
            assert_eq!(is_expired, [false, true], "{kept_seconds} {finished_at:?}");
            assert!(expires_at(&record) > last, "{kept_seconds} {finished_at:?}");
        }
    }
}
