//! The record of a response: its state, as one small item.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::data::due::due_shard;
use crate::data::error::StoreError;
use crate::data::item::{Item, Reader, flag, insert_present, number, text};
use crate::data::keys;
use crate::model::clock::Timestamp;
use crate::model::message::ResponseKey;
use crate::model::meter::{MeterKey, PlacedReservation, Reservation, ReservationId};
use crate::model::money::MicroUsd;
use crate::model::response::Status;
use crate::model::tokens::{Bound, Charge, Price, Usage};

/// A stored response is kept this long: OpenAI's 30 days.
const KEPT_SECONDS: u64 = 30 * 86_400;
/// A response that only answers repetitions is kept this long: longer than any idempotency key.
const REPEATED_SECONDS: u64 = 2 * 86_400;

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
    /// Counts the claims whose run called a provider, or died.
    pub runs: u64,
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
    pub finished_at: Option<Timestamp>,
    pub model: String,
    pub api_key_id: String,
    pub conversation_id: Option<String>,
    pub traceparent: Option<String>,
    pub reservation: Option<StoredReservation>,
    /// Bytes that the run is known to have written. They bound its output tokens if it dies.
    pub output_bytes: u64,
    /// The charge for the last run, once the response has ended.
    pub charge: Charge,
}

impl ResponseRecord {
    /// The reservation, if it is that of the run with the record's fence, and not of an earlier or a later run.
    #[must_use]
    pub fn own_reservation(&self) -> Option<&StoredReservation> {
        self.reservation.as_ref().filter(|stored| stored.fence == self.fence)
    }
}

/// The reservation of the run that goes on or comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReservation {
    /// The fence of the run that it is for. A run with a higher fence sees from it that the reservation is not its own.
    pub fence: u64,
    pub placed: PlacedReservation,
    /// The most tokens that the run can use.
    pub bound: Bound,
    /// The price at the time of the reservation, by which the run is settled: a later price may exceed the amount.
    /// `None` for a model without a price.
    pub price: Option<Price>,
}

impl StoredReservation {
    pub(super) fn to_text(&self) -> String {
        let Self { fence, placed: PlacedReservation { meter, reservation, tokens, window_ends }, bound, price } = self;
        let MeterKey { period, shard, .. } = meter;
        let Reservation { id, amount, .. } = reservation;
        let Bound { input, output } = bound;
        let (id, amount, window_ends) = (id.as_str(), amount.0, window_ends.0);
        let price = price.as_ref().map_or_else(String::new, price_text);
        format!("{fence} {period} {shard} {id} {amount} {tokens} {window_ends} {input} {output}{price}")
    }

    /// Reads the reservation of a response of `project_id` and `model`.
    fn parse(text: &str, project_id: &str, model: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split(' ').collect();
        let (parts, price) = parts.split_at_checked(9)?;
        let [fence, period, shard, id, amount, tokens, window_ends, input, output] = parts.try_into().ok()?;
        let (project_id, period, model) = (project_id.to_owned(), period.to_owned(), model.to_owned());
        let (id, amount) = (ReservationId::from_stored(id), MicroUsd(amount.parse().ok()?));
        let price = if price.is_empty() { None } else { Some(parse_price(price)?) };
        Some(Self {
            fence: fence.parse().ok()?,
            placed: PlacedReservation {
                meter: MeterKey { project_id, period, shard: shard.parse().ok()? },
                reservation: Reservation { id, amount, model },
                tokens: tokens.parse().ok()?,
                window_ends: Timestamp(window_ends.parse().ok()?),
            },
            bound: Bound { input: input.parse().ok()?, output: output.parse().ok()? },
            price,
        })
    }
}

/// Each rate, after a space.
fn price_text(price: &Price) -> String {
    let Price { input, cached_input, cache_write, output, reasoning } = price;
    format!(" {input} {cached_input} {cache_write} {output} {reasoning}")
}

fn parse_price(parts: &[&str]) -> Option<Price> {
    let rates: Vec<u64> = parts.iter().map(|part| part.parse()).collect::<Result<_, _>>().ok()?;
    let [input, cached_input, cache_write, output, reasoning] = rates.try_into().ok()?;
    Some(Price { input, cached_input, cache_write, output, reasoning })
}

/// When DynamoDB may delete the items of a response, in Unix seconds.
pub(super) fn expires_at(record: &ResponseRecord) -> u64 {
    record.created_at.seconds() + if record.stored { KEPT_SECONDS } else { REPEATED_SECONDS }
}

/// Makes the item of a record.
pub(super) fn to_item(record: &ResponseRecord) -> Item {
    let mut item = keys::response(&record.key).with([
        ("run_status", text(record.status.name())),
        ("background", flag(record.background)),
        ("stored", flag(record.stored)),
        ("fence", number(record.fence)),
        ("runs", number(record.runs)),
        ("lease_until", number(record.lease_until.0)),
        ("not_before", number(record.not_before.0)),
        ("next_sequence", number(record.next_sequence)),
        ("watched_until", number(record.watched_until.0)),
        ("created_ms", number(record.created_at.0)),
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
        ("holding", record.reservation.as_ref().map(|reservation| text(reservation.to_text()))),
        ("due_at", record.due_at.map(|at| number(at.0))),
        ("due_shard", record.due_at.map(|_| text(due_shard(&record.key.response_id)))),
    ];
    insert_present(&mut item, optional);
    item
}

/// Reads a record, unless it has expired by `now`.
pub(super) fn read_unexpired(item: &Item, now: Timestamp) -> Result<Option<ResponseRecord>, StoreError> {
    let expires_at = Reader(item).number::<u64>("expires_at")?;
    if expires_at <= now.seconds() { Ok(None) } else { read_record(item).map(Some) }
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
    let parse =
        |text: String| StoredReservation::parse(&text, project_id, &model).ok_or_else(|| reader.damaged("holding"));
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
        lease_until: Timestamp(reader.number("lease_until")?),
        not_before: Timestamp(reader.number("not_before")?),
        due_at: time("due_at")?,
        next_sequence: reader.number("next_sequence")?,
        watched_until: Timestamp(reader.number("watched_until")?),
        created_at: Timestamp(reader.number("created_ms")?),
        finished_at: time("finished_ms")?,
        model,
        api_key_id: reader.text("api_key_id")?,
        conversation_id: reader.maybe_text("conversation_id"),
        traceparent: reader.maybe_text("traceparent"),
        reservation,
        output_bytes: reader.number("output_bytes")?,
        charge: Charge { usage, cost: MicroUsd(reader.number("cost")?) },
    })
}

pub(super) fn usage_attribute(usage: &Usage) -> AttributeValue {
    let Usage { input, cached_input, cache_write, output, reasoning } = usage;
    text(format!("{input} {cached_input} {cache_write} {output} {reasoning}"))
}

fn parse_usage(text: &str) -> Option<Usage> {
    let numbers: Vec<u64> = text.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [input, cached_input, cache_write, output, reasoning] = numbers.try_into().ok()?;
    Some(Usage { input, cached_input, cache_write, output, reasoning })
}

#[cfg(test)]
mod tests {
    use super::*;

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
            lease_until: Timestamp(30_000),
            not_before: Timestamp(1),
            due_at: Some(Timestamp(30_000)),
            next_sequence: 17,
            watched_until: Timestamp(2),
            created_at: Timestamp(1_000),
            finished_at: None,
            model: "m".into(),
            api_key_id: "key_1".into(),
            conversation_id: Some("conv_1".into()),
            traceparent: None,
            reservation: Some(StoredReservation {
                fence: 3,
                placed: PlacedReservation {
                    meter: MeterKey { project_id: "proj_1".into(), period: "2026-11".into(), shard: 2 },
                    reservation: Reservation {
                        id: ReservationId::new(Timestamp(99_000)),
                        amount: MicroUsd(70),
                        model: "m".into(),
                    },
                    tokens: 8,
                    window_ends: Timestamp(60_000),
                },
                bound: Bound { input: 5, output: 6 },
                price: Some(Price { input: 1, cached_input: 2, cache_write: 3, output: 4, reasoning: 5 }),
            }),
            output_bytes: 12,
            charge: Charge {
                usage: Usage { input: 1, cached_input: 2, cache_write: 3, output: 4, reasoning: 5 },
                cost: MicroUsd(9),
            },
        };
        let item = to_item(&written);
        assert_eq!(read_unexpired(&item, Timestamp((KEPT_SECONDS + 1) * 1_000)).unwrap(), None);
        assert_eq!(read_record(&item).unwrap(), written);
        let reservation = written.reservation.map(|stored| StoredReservation { price: None, ..stored });
        let unpriced = ResponseRecord { reservation, ..written };
        assert_eq!(read_record(&to_item(&unpriced)).unwrap(), unpriced);
    }
}
