//! Parts of batches: ranges of lines that one worker runs at a time.
//!
//! A part has no item before its first run: the index of parts is in the bucket. Each run, and each wave of lines within it, has a
//! fence of its own, and writes its results under that fence.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use super::super::change::{Change, Returning, UpdateOutcome, Write, WriteOutcome};
use super::super::error::{Contended, StoreError};
use super::super::item::{Item, Reader, number, text};
use super::super::keys;
use super::super::table::{Table, conflict_pause};
use crate::data::StoredReservation;
use crate::model::batch::{Batch, BatchKey, BatchStatus, LineCounts};
use crate::model::clock::Timestamp;

/// The key of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartKey {
    pub batch: BatchKey,
    /// Counted from 0.
    pub part: u32,
}

/// A part that a worker has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartRun {
    pub key: PartKey,
    pub fence: u64,
    /// Waves that died with their process.
    pub deaths: u64,
    /// Of the last wave, if its run died before it settled it.
    pub reservation: Option<StoredReservation>,
    /// The lines of the last wave, if a provider has them.
    pub native: Option<NativeWave>,
    /// The lines that were tried in runs before and have no result.
    pub tries: TriedLines,
}

/// Lines that are in a batch of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NativeWave {
    /// The name of the provider in the models file.
    pub provider: String,
    /// By which the provider's batch is found if its submission had no answer.
    pub tag: String,
    /// The id of the provider's batch; `None`: its submission had no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    pub since: Timestamp,
    /// The number of the last line in it.
    pub last_line: u64,
    /// The provider was asked to run no further line.
    #[serde(default)]
    pub is_cancelled: bool,
    /// Processes that began to read the results.
    #[serde(default)]
    pub readers: u64,
}

/// Tries by the number of the line, and what they cost in micro-dollars.
pub type TriedLines = BTreeMap<u64, (u32, u64)>;

/// A part as the batch sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartState {
    pub part: u32,
    pub is_done: bool,
    /// When the worker's lease or the part's wait ends.
    pub taken_until: Timestamp,
    /// Nobody runs it: it waits.
    pub waits: bool,
}

/// The parts of all batches.
#[derive(Clone, Debug)]
pub struct BatchParts(pub(in crate::data) Table);

/// DynamoDB deletes an item that is left this long after its batch expired.
const KEPT_SECONDS: u64 = 2 * 86_400;
/// Times that a transaction is tried while others come first.
const MAX_TRIES: u32 = 20;

impl BatchParts {
    /// Takes a part that nobody runs. `None`: another worker has it, it waits (which no part of a cancelled batch does), or it is done.
    /// A lease or a wait that ends later than `longest_ms` from now is from before the clock was set back, and has ended.
    pub async fn take(
        &self,
        key: &PartKey,
        batch: &Batch,
        now: Timestamp,
        lease_until: Timestamp,
        longest_ms: u64,
    ) -> Result<Option<PartRun>, StoreError> {
        let model = batch.model.as_deref().unwrap_or_default();
        let is_free = "NOT (attribute_exists(taken_until) AND taken_until BETWEEN :next AND :latest)";
        let is_free = match batch.status {
            BatchStatus::Cancelling => format!("({is_free} OR attribute_exists(waits))"),
            _ => is_free.to_owned(),
        };
        // A write that comes after the end of the batch makes the item again. Nobody may be there to delete it.
        let set = "SET fence = if_not_exists(fence, :none) + :one, taken_until = :lease, lease_owner = :mark, \
                   expires_at = :expires REMOVE waits";
        let change = Change::new(set)
            .only_if(format!("attribute_not_exists(done) AND {is_free}"))
            .values([
                (":none", number(0)),
                (":one", number(1)),
                (":expires", number(batch.expires_at().seconds() + KEPT_SECONDS)),
                (":lease", number(lease_until.0)),
                (":next", number(now.plus_ms(1).0)),
                (":latest", number(now.latest_end(longest_ms).0)),
            ])
            .marked("lease_owner")
            .returning(Returning::All);
        let item = match self.0.update(keys::batch_part(key), change).await? {
            UpdateOutcome::Written(item) => item,
            UpdateOutcome::Refused(_) => return Ok(None),
        };
        let reader = Reader(&item);
        let holding = reader.maybe_text("holding");
        let parse =
            |holding: String| StoredReservation::parse(&holding, model).ok_or_else(|| reader.damaged("holding"));
        let reservation = holding.map(parse).transpose()?;
        let native = reader.maybe_text("native").map(|native| serde_json::from_str(&native)).transpose();
        let native: Option<NativeWave> = native.map_err(|_| reader.damaged("native"))?;
        // A wave whose run lived would have taken its reservation with it. A provider's batch outlives its runs.
        let has_died = reservation.is_some() && native.is_none();
        let deaths = reader.maybe_number("deaths")?.unwrap_or(0) + u64::from(has_died);
        let tries = reader.maybe_text("tries").map(|tries| serde_json::from_str(&tries)).transpose();
        let tries = tries.map_err(|_| reader.damaged("tries"))?.unwrap_or_default();
        Ok(Some(PartRun { key: key.clone(), fence: reader.number("fence")?, deaths, reservation, native, tries }))
    }

    /// Begins a wave of lines: it gets the next fence, and the reservation is noted. `native`: a provider is to get the lines. `Refused`:
    /// the run lost its part.
    pub async fn begin_wave(
        &self,
        run: &mut PartRun,
        reservation: StoredReservation,
        native: Option<NativeWave>,
        lease_until: Timestamp,
    ) -> Result<WriteOutcome, StoreError> {
        let fence = run.fence + 1;
        let mut change = Change::new(
            "SET fence = :next, holding = :holding, deaths = :deaths, taken_until = :lease, lease_owner = :mark",
        )
        .only_if("fence = :fence AND attribute_not_exists(done)")
        .values([
            (":next", number(fence)),
            (":fence", number(run.fence)),
            (":deaths", number(run.deaths)),
            (":holding", text(reservation.to_text())),
            (":lease", number(lease_until.0)),
        ])
        .marked("lease_owner")
        .returning(Returning::Changed);
        match &native {
            Some(native) => change.push(", native = :native", ":native", json(native)),
            None => change.update.push_str(" REMOVE native"),
        }
        let begun: WriteOutcome = self.0.update(keys::batch_part(&run.key), change).await?.into();
        if begun.is_written() {
            run.fence = fence;
            run.reservation = Some(reservation);
            run.native = native;
        }
        Ok(begun)
    }

    /// Renews the lease of a run. `Refused`: the run lost its part.
    pub async fn renew(&self, run: &PartRun, lease_until: Timestamp) -> Result<WriteOutcome, StoreError> {
        let change = Change::new("SET taken_until = :lease")
            .only_if("fence = :fence AND attribute_not_exists(done)")
            .values([(":fence", number(run.fence)), (":lease", number(lease_until.0))]);
        Ok(self.0.update(keys::batch_part(&run.key), change).await?.into())
    }

    /// Gives a part back whose lines a provider has: nobody looks before a time. The reservation stays.
    pub async fn park(
        &self,
        run: &PartRun,
        native: &NativeWave,
        not_before: Timestamp,
    ) -> Result<WriteOutcome, StoreError> {
        let mut change = Change::new("SET taken_until = :until, native = :native, tries = :tries")
            .only_if("fence = :fence AND attribute_not_exists(done)")
            .values([
                (":fence", number(run.fence)),
                (":until", number(not_before.0)),
                (":native", json(native)),
                (":tries", json(&run.tries)),
            ]);
        // A worker of a cancelled batch takes parts that wait. This one has told the provider already.
        if !native.is_cancelled {
            change.push(", waits = :one", ":one", number(1));
        }
        Ok(self.0.update(keys::batch_part(&run.key), change).await?.into())
    }

    /// Notes that the lines of a provider's batch are settled. `Refused`: the run lost its part.
    pub async fn end_native(&self, run: &PartRun) -> Result<WriteOutcome, StoreError> {
        let change = Change::new("SET tries = :tries REMOVE holding, native")
            .only_if("fence = :fence AND attribute_not_exists(done)")
            .values([(":fence", number(run.fence)), (":tries", json(&run.tries))]);
        Ok(self.0.update(keys::batch_part(&run.key), change).await?.into())
    }

    /// Notes what is known of a provider's batch. `Refused`: the run lost its part.
    pub async fn note_native(&self, run: &PartRun, native: &NativeWave) -> Result<WriteOutcome, StoreError> {
        let change = Change::new("SET native = :native")
            .only_if("fence = :fence AND attribute_not_exists(done)")
            .values([(":fence", number(run.fence)), (":native", json(native))]);
        Ok(self.0.update(keys::batch_part(&run.key), change).await?.into())
    }

    /// Gives a part back whose wave is settled: nobody runs it before a time.
    pub async fn give_back(&self, run: &PartRun, not_before: Timestamp) -> Result<WriteOutcome, StoreError> {
        let set = "SET taken_until = :until, waits = :one, deaths = :deaths, tries = :tries REMOVE holding, native";
        let change = Change::new(set).only_if("fence = :fence AND attribute_not_exists(done)").values([
            (":fence", number(run.fence)),
            (":until", number(not_before.0)),
            (":one", number(1)),
            (":deaths", number(run.deaths)),
            (":tries", json(&run.tries)),
        ]);
        Ok(self.0.update(keys::batch_part(&run.key), change).await?.into())
    }

    /// Notes that each line of a part has its result, and counts them in the batch. `Refused`: the run lost its part.
    pub async fn complete(&self, run: &PartRun, counts: &LineCounts) -> Result<WriteOutcome, StoreError> {
        for tried in 0..MAX_TRIES {
            let done = Change::new("SET done = :one REMOVE holding, native, taken_until, lease_owner")
                .only_if("fence = :fence AND attribute_not_exists(done)")
                .values([(":one", number(1)), (":fence", number(run.fence))]);
            let writes = vec![
                Write::Change(keys::batch_part(&run.key), done),
                Write::Change(keys::batch(&run.key.batch), added(counts)),
            ];
            if self.0.transact(writes).await?.is_written() {
                return Ok(WriteOutcome::Written);
            }
            // The parts of a batch end at the same time, and their transactions are in each other's way.
            let item = self.0.get(keys::batch_part(&run.key)).await?.unwrap_or_default();
            if item.contains_key("done") || Reader(&item).maybe_number("fence")? != Some(run.fence) {
                return Ok(WriteOutcome::Refused);
            }
            conflict_pause(tried).await;
        }
        Err(StoreError::table("complete the part")(Contended("its transactions were cancelled")))
    }

    /// Returns the parts that were begun, in order.
    pub async fn list(&self, batch: &BatchKey) -> Result<Vec<PartState>, StoreError> {
        let items = self
            .0
            .query_prefix(&keys::batch_part(&PartKey { batch: batch.clone(), part: 0 }).pk, keys::PART_PREFIX)
            .await?;
        items.iter().map(read_part).collect()
    }

    /// Deletes a part of a batch that has ended: a message that came late had made it again.
    pub async fn forget(&self, run: &PartRun) -> Result<(), StoreError> {
        self.0.delete(keys::batch_part(&run.key)).await
    }

    /// Deletes the items of a batch that has ended.
    pub async fn delete_all(&self, batch: &BatchKey) -> Result<(), StoreError> {
        for PartState { part, .. } in self.list(batch).await? {
            self.0.delete(keys::batch_part(&PartKey { batch: batch.clone(), part })).await?;
        }
        Ok(())
    }
}

fn json<T: Serialize>(value: &T) -> AttributeValue {
    text(serde_json::to_string(value).unwrap_or_default())
}

fn read_part(item: &Item) -> Result<PartState, StoreError> {
    let reader = Reader(item);
    let part = reader.text("sk")?.strip_prefix(keys::PART_PREFIX).and_then(|part| part.parse().ok());
    Ok(PartState {
        part: part.ok_or_else(|| reader.damaged("sk"))?,
        is_done: item.contains_key("done"),
        taken_until: Timestamp(reader.maybe_number("taken_until")?.unwrap_or(0)),
        waits: item.contains_key("waits"),
    })
}

fn added(counts: &LineCounts) -> Change {
    let LineCounts { completed, failed, expired, usage, cost } = counts;
    Change::new(
        "ADD parts_done :one, completed :completed, failed :failed, expired :expired, input_tokens :input, cached_tokens :cached, \
         output_tokens :output, reasoning_tokens :reasoning, cost :cost REMOVE waiting_for, waiting_until",
    )
    .only_if("attribute_exists(pk)")
    .values([
        (":one", number(1)),
        (":completed", number(completed)),
        (":failed", number(failed)),
        (":expired", number(expired)),
        (":input", number(usage.input)),
        (":cached", number(usage.cached_input)),
        (":output", number(usage.output)),
        (":reasoning", number(usage.reasoning)),
        (":cost", number(cost.0)),
    ])
}
