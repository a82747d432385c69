//! Responses: one record with a fence each, its request, its events in chunks, and its end.
//!
//! A record is small, because every write is billed by the size of the item and a running response is written to every
//! two seconds. Whoever runs a response holds its fence; all its writes are conditional on it.

mod ending;
mod events;
mod reading;
mod running;

use bytes::Bytes;

pub use ending::End;
pub use events::EventReader;
pub use reading::WholeResponse;
pub use running::{Claim, GivenBack};

use super::Stores;
use super::due::due_shard;
use super::error::StoreError;
use super::idempotency::{Finished, Lease};
use super::item::{Item, Reader, number, text};
use super::keys;
use super::meter::{MeterKey, Reservation, ReservationId};
use super::table::{Write, conflict_pause};
use crate::dialects::openai_responses::Status;
use crate::model::clock::Timestamp;
use crate::model::message::ResponseKey;
use crate::model::money::MicroUsd;
use crate::model::tokens::{Bound, Usage};

/// How long a response is kept, in seconds: OpenAI's 30 days.
const KEPT_SECONDS: u64 = 30 * 86_400;
/// How long one that is not to be stored is kept: longer than any idempotency key.
const REPEATED_SECONDS: u64 = 2 * 86_400;
/// A transaction is cancelled by another on the same items at the same moment.
const CREATE_TRIES: u32 = 4;

/// The state of a response, as the table holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseRecord {
    pub key: ResponseKey,
    pub status: Status,
    /// Whether a worker runs it; else the request that made it does.
    pub background: bool,
    /// Whether it can be retrieved; else it is there only for those who repeat its request.
    pub stored: bool,
    pub deleted: bool,
    /// Counts the claims. Whoever claimed it writes only while this is its number.
    pub fence: u64,
    /// Claims that came to call a provider, or died.
    pub runs: u64,
    pub lease_until: Timestamp,
    /// A queued response is not begun before.
    pub not_before: Timestamp,
    /// When the sweeper looks at it; `None`: nothing is left to do.
    pub due_at: Option<Timestamp>,
    /// Events that count: those below it.
    pub next_sequence: u64,
    /// Somebody follows it until then: its events are written more often.
    pub watched_until: Timestamp,
    pub created_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    pub model: String,
    pub api_key_id: String,
    pub conversation_id: Option<String>,
    pub traceparent: Option<String>,
    pub holding: Option<StoredReservation>,
    /// What the running attempt is known to have written, in bytes: bounds its output tokens if it dies.
    pub output_bytes: u64,
    /// At the end: what the last attempt used and cost.
    pub usage: Usage,
    pub cost: MicroUsd,
}

/// The hold of the attempt that runs or will run next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReservation {
    /// The run that it is for. A run with a higher fence knows by it that the hold was another's.
    pub fence: u64,
    pub period: String,
    pub shard: u8,
    pub id: ReservationId,
    pub amount: MicroUsd,
    /// Counted into the rate window that ends then.
    pub tokens: u64,
    pub window_ends: Timestamp,
    /// The most that the attempt can use.
    pub bound: Bound,
}

impl StoredReservation {
    /// Where the hold lies.
    #[must_use]
    pub fn meter(&self, project_id: &str) -> MeterKey {
        MeterKey { project_id: project_id.to_owned(), period: self.period.clone(), shard: self.shard }
    }

    #[must_use]
    pub fn hold(&self, model: &str) -> Reservation {
        Reservation { id: self.id.clone(), amount: self.amount, model: model.to_owned() }
    }

    fn to_text(&self) -> String {
        let Self { fence, period, shard, id, amount, tokens, window_ends, bound } = self;
        let Bound { input, output } = bound;
        format!("{fence} {period} {shard} {} {} {tokens} {} {input} {output}", id.as_str(), amount.0, window_ends.0)
    }

    fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split(' ').collect();
        let [fence, period, shard, id, amount, tokens, window_ends, input, output] = parts.try_into().ok()?;
        Some(Self {
            fence: fence.parse().ok()?,
            period: period.to_owned(),
            shard: shard.parse().ok()?,
            id: ReservationId::stored(id),
            amount: MicroUsd(amount.parse().ok()?),
            tokens: tokens.parse().ok()?,
            window_ends: Timestamp(window_ends.parse().ok()?),
            bound: Bound { input: input.parse().ok()?, output: output.parse().ok()? },
        })
    }
}

/// A response to be written for the first time.
pub struct NewResponse {
    pub record: ResponseRecord,
    /// What was asked, as JSON.
    pub request: Bytes,
    /// Its first events, as they go to a client.
    pub events: Bytes,
    /// The response object, if it has ended already.
    pub response: Option<Bytes>,
    /// The run of an idempotency key that ends with this: one key never makes two responses.
    pub claim: Option<Claimed>,
}

/// The run of an idempotency key, and what those get who repeat its request.
pub struct Claimed {
    pub lease: Lease,
    pub end: Finished,
    /// Whether they follow the response instead.
    pub follows: bool,
}

impl Stores {
    /// Writes a new response, all of it or nothing. `false` if the idempotency key belongs to another run by now.
    ///
    /// # Errors
    /// If a store fails; it may have been written all the same, see [`Stores::void_response`].
    pub async fn create_response(&self, new: &NewResponse) -> Result<bool, StoreError> {
        let ResponseKey { project_id, response_id } = &new.record.key;
        let expires_at = expires_at(&new.record);
        let mut writes = vec![Write::Create(record_item(&new.record))];
        let mut add = async |key: keys::Key, body: &Bytes| {
            let mut item = key.into_item();
            self.pack(project_id, &mut item, body).await?;
            item.insert("expires_at".to_owned(), number(expires_at));
            writes.push(Write::Create(item));
            Ok::<_, StoreError>(())
        };
        add(keys::response_request(project_id, response_id), &new.request).await?;
        if !new.events.is_empty() {
            add(keys::response_events(project_id, response_id, 0, 0), &new.events).await?;
        }
        if let Some(response) = &new.response {
            add(keys::response_end(project_id, response_id), response).await?;
        }
        if new.record.background {
            let mut pointer = keys::job(project_id, response_id).into_item();
            pointer.insert("expires_at".to_owned(), number(expires_at));
            writes.push(Write::Create(pointer));
        }
        if let Some(Claimed { lease, end, follows }) = &new.claim {
            let followed = follows.then_some(response_id.as_str());
            writes.push(self.end_of_run(lease, end.clone(), followed).await?);
        }
        for tried in 0..CREATE_TRIES {
            // Its id is new: if it exists, the SDK repeated a write that had taken effect.
            if self.table.transact(writes.clone()).await? || self.response(&new.record.key).await?.is_some() {
                return Ok(true);
            }
            conflict_pause(tried).await;
        }
        Ok(false)
    }

    /// Makes sure that a response whose writing failed does not exist and never will. `false` if it does.
    ///
    /// # Errors
    /// If the table fails: then nobody knows.
    pub async fn void_response(&self, record: &ResponseRecord) -> Result<bool, StoreError> {
        let void = ResponseRecord { status: Status::Failed, due_at: None, holding: None, ..record.clone() };
        let mut item = record_item(&void);
        item.insert("deleted".to_owned(), number(1));
        self.table.put_if(item, "attribute_not_exists(pk)", Vec::new()).await
    }
}

/// What is not stored is there only for those who repeat its request.
fn expires_at(record: &ResponseRecord) -> u64 {
    record.created_at.seconds() + if record.stored { KEPT_SECONDS } else { REPEATED_SECONDS }
}

fn record_item(record: &ResponseRecord) -> Item {
    let ResponseKey { project_id, response_id } = &record.key;
    let mut item = keys::response(project_id, response_id).into_item();
    let flag = |value: bool| number(u8::from(value));
    item.extend(
        [
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
            ("tokens_used", usage_text(&record.usage)),
            ("cost", number(record.cost.0)),
            ("expires_at", number(expires_at(record))),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    let optional = [
        ("finished_ms", record.finished_at.map(|at| number(at.0))),
        ("conversation_id", record.conversation_id.as_ref().map(text)),
        ("traceparent", record.traceparent.as_ref().map(text)),
        ("holding", record.holding.as_ref().map(|holding| text(holding.to_text()))),
        ("due_at", record.due_at.map(|at| number(at.0))),
        ("due_shard", record.due_at.map(|_| text(due_shard(response_id)))),
    ];
    item.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    item
}

/// Reads a record; `None` for one that has expired.
fn record(item: &Item, now: Option<Timestamp>) -> Result<Option<ResponseRecord>, StoreError> {
    let reader = Reader(item);
    if let Some(now) = now
        && reader.number::<u64>("expires_at")? <= now.seconds()
    {
        return Ok(None);
    }
    let pk = reader.text("pk")?;
    let rest = pk.strip_prefix(keys::RESPONSE_PREFIX).and_then(|rest| rest.split_once('#'));
    let (project_id, response_id) = rest.ok_or_else(|| reader.damaged("pk"))?;
    let status = Status::parse(&reader.text("run_status")?).ok_or_else(|| reader.damaged("run_status"))?;
    let flag = |name| Ok::<_, StoreError>(reader.maybe_number::<u8>(name)?.unwrap_or(0) == 1);
    let time = |name| Ok::<_, StoreError>(reader.maybe_number(name)?.map(Timestamp));
    let holding = reader
        .maybe_text("holding")
        .map(|text| StoredReservation::parse(&text).ok_or_else(|| reader.damaged("holding")));
    Ok(Some(ResponseRecord {
        key: ResponseKey { project_id: project_id.to_owned(), response_id: response_id.to_owned() },
        status,
        background: flag("background")?,
        stored: flag("stored")?,
        deleted: flag("deleted")?,
        fence: reader.number("fence")?,
        runs: reader.number("runs")?,
        lease_until: Timestamp(reader.number("lease_until")?),
        not_before: Timestamp(reader.number("not_before")?),
        due_at: time("due_at")?,
        next_sequence: reader.number("next_sequence")?,
        watched_until: Timestamp(reader.number("watched_until")?),
        created_at: Timestamp(reader.number("created_ms")?),
        finished_at: time("finished_ms")?,
        model: reader.text("model_name")?,
        api_key_id: reader.text("api_key_id")?,
        conversation_id: reader.maybe_text("conversation_id"),
        traceparent: reader.maybe_text("traceparent"),
        holding: holding.transpose()?,
        output_bytes: reader.number("output_bytes")?,
        usage: usage(&reader.text("tokens_used")?).ok_or_else(|| reader.damaged("tokens_used"))?,
        cost: MicroUsd(reader.number("cost")?),
    }))
}

fn usage_text(usage: &Usage) -> aws_sdk_dynamodb::types::AttributeValue {
    let Usage { input, cached_input, cache_write, output, reasoning } = usage;
    text(format!("{input} {cached_input} {cache_write} {output} {reasoning}"))
}

fn usage(text: &str) -> Option<Usage> {
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
            holding: Some(StoredReservation {
                fence: 3,
                period: "2026-11".into(),
                shard: 2,
                id: ReservationId::new(Timestamp(99_000)),
                amount: MicroUsd(70),
                tokens: 8,
                window_ends: Timestamp(60_000),
                bound: Bound { input: 5, output: 6 },
            }),
            output_bytes: 12,
            usage: Usage { input: 1, cached_input: 2, cache_write: 3, output: 4, reasoning: 5 },
            cost: MicroUsd(9),
        };
        let item = record_item(&written);
        assert_eq!(record(&item, None).unwrap(), Some(written));
        assert_eq!(record(&item, Some(Timestamp((KEPT_SECONDS + 1) * 1_000))).unwrap(), None);
    }
}
