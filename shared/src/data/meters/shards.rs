//! The shards of a meter: they are read, and change together in transactions.

use aws_sdk_dynamodb::types::AttributeValue;

use super::Meters;
use crate::data::change::{Change, Write, WriteOutcome};
use crate::data::error::StoreError;
use crate::data::item::{Item, Reader, insert, insert_present, number};
use crate::data::keys::{self, Key};
use crate::model::clock::Timestamp;
use crate::model::meter::{MAX_SHARDS, MeterKey, Reservation, ReservationId, Scope, Shard, ShardChange, Window};
use crate::model::money::MicroUsd;

/// DynamoDB may delete a shard this long after it was made. Until then the month can be audited.
const KEPT_SECONDS: u64 = 400 * 86_400;

impl Meters {
    /// Returns all shards of a meter by number; `None` where a shard does not exist.
    pub async fn shards(&self, meter: &MeterKey) -> Result<Vec<Option<Shard>>, StoreError> {
        let all = (0..MAX_SHARDS).map(|shard| keys::meter(&meter.with_shard(shard))).collect();
        let mut shards = vec![None; usize::from(MAX_SHARDS)];
        for item in self.0.get_all(all).await? {
            let reader = Reader(&item);
            let found = keys::meter_parts(&reader.text("pk")?, &reader.text("sk")?);
            let place = found.and_then(|found| shards.get_mut(usize::from(found.shard)));
            let place = place.ok_or_else(|| reader.damaged("pk"))?;
            *place = Some(read_shard(&item)?);
        }
        Ok(shards)
    }

    /// Returns one shard.
    pub async fn shard(&self, at: &MeterKey) -> Result<Option<Shard>, StoreError> {
        self.0.get(keys::meter(at)).await?.map(|item| read_shard(&item)).transpose()
    }

    /// Changes several shards, all or none. `Refused`: one of them is no longer as the caller read it, has less than
    /// `at_least`, or the project or the API key has other limits than a new shard would be made for.
    pub async fn change_shards(
        &self,
        meter: &MeterKey,
        changes: &[ShardChange],
        now: Timestamp,
    ) -> Result<WriteOutcome, StoreError> {
        let writes = changes.iter().map(|change| {
            let key = keys::meter(&meter.with_shard(change.shard));
            match change.seen {
                None => Write::Create(new_shard(key, change, now)),
                Some(seen) => Write::Change(key, shard_change(change, seen)),
            }
        });
        // An existing shard has the newest limits that took effect, and its own condition protects them. A new shard has
        // no memory: without this check an instance with old limits could bring those back.
        let new = changes.iter().find(|change| change.seen.is_none());
        let check = new.map(|change| {
            let revision = vec![(":revision", number(change.revision.abs()))];
            Write::Check(owner(meter), "revision = :revision", revision)
        });
        self.0.transact(writes.chain(check).collect()).await
    }
}

/// The item with the limits of a meter, and their revision. The meter of a run has its own.
fn owner(meter: &MeterKey) -> Key {
    match &meter.scope {
        Scope::Project => keys::project(&meter.project_id),
        Scope::ApiKey(hash) => keys::api_key(hash),
        Scope::Run(_) => keys::meter(meter),
    }
}

fn new_shard(key: Key, change: &ShardChange, now: Timestamp) -> Item {
    let numbers = [
        ("rev", change.revision),
        ("avail", change.delta),
        ("spent", 0),
        ("live", 0),
        ("win", 0),
        ("reqs", 0),
        ("toks", 0),
    ];
    let mut item = key.with(numbers.map(|(name, value)| (name, number(value))));
    let expires_at = number(now.seconds() + KEPT_SECONDS);
    insert(&mut item, [("holds", AttributeValue::M(Item::new())), ("expires_at", expires_at)]);
    insert_present(&mut item, [("limit", change.limit.map(|limit| number(limit.0)))]);
    item
}

fn shard_change(change: &ShardChange, seen: i64) -> Change {
    // Without this condition two instances could fill a shard for the same limits, or undo newer ones.
    let mut update = Change::new("SET rev = :new, avail = avail + :delta").only_if("rev = :seen").values([
        (":new", number(change.revision)),
        (":delta", number(change.delta)),
        (":seen", number(seen)),
    ]);
    if let Some(least) = change.at_least {
        // Without this condition a call that was admitted meanwhile could overdraw the shard.
        update.condition.push_str(" AND avail >= :least");
        update.values.push((":least", number(least)));
    }
    if change.shard == 0 {
        update.names.push(("#limit", "limit".to_owned()));
        match change.limit {
            Some(limit) => update.push(", #limit = :limit", ":limit", number(limit.0)),
            None => update.update.push_str(" REMOVE #limit"),
        }
    }
    update
}

pub(super) fn read_shard(item: &Item) -> Result<Shard, StoreError> {
    let reader = Reader(item);
    let holds = item.get("holds").and_then(|holds| holds.as_m().ok()).ok_or_else(|| reader.damaged("holds"))?;
    let reservations = holds.iter().map(|(id, value)| read_reservation(id, value));
    let mut reservations = reservations.collect::<Option<Vec<_>>>().ok_or_else(|| reader.damaged("holds"))?;
    reservations.sort_unstable_by(|one, other| one.id.cmp(&other.id));
    Ok(Shard {
        revision: reader.number("rev")?,
        avail: reader.number("avail")?,
        spent: MicroUsd(reader.number("spent")?),
        limit: reader.maybe_number("limit")?.map(MicroUsd),
        ends_at: reader.maybe_number("ends_at")?.map(Timestamp),
        open_requests: reader.number("live")?,
        reservations,
        window: read_window(&reader)?,
    })
}

fn read_reservation(id: &str, value: &AttributeValue) -> Option<Reservation> {
    let (amount, model) = value.as_s().ok()?.split_once(' ')?;
    let amount = MicroUsd(amount.parse().ok()?);
    Some(Reservation { id: ReservationId::from_stored(id), amount, model: model.to_owned() })
}

pub(super) fn read_window(reader: &Reader) -> Result<Window, StoreError> {
    Ok(Window {
        ends: Timestamp(reader.maybe_number("win")?.unwrap_or(0)),
        requests: reader.maybe_number("reqs")?.unwrap_or(0),
        // A settlement may return tokens just after a new window opened, and so take its count below zero.
        tokens: u64::try_from(reader.maybe_number::<i64>("toks")?.unwrap_or(0)).unwrap_or(0),
    })
}
