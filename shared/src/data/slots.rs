//! Slots: one item per project and kind has those that are taken, as a map: id -> `<until, Unix milliseconds> <holder>`.

use aws_sdk_dynamodb::types::AttributeValue;

use super::change::{Change, Returning, UpdateOutcome, WriteOutcome};
use super::error::StoreError;
use super::item::{Item, Reader, number, text};
use super::keys;
use super::table::Table;
use crate::model::clock::Timestamp;
use crate::model::slot::{Slot, SlotKind, TakenSlot};

/// The outcome of taking a slot.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TakeOutcome {
    Taken,
    /// No slot is free. Contains those that are taken.
    Full(Vec<TakenSlot>),
}

/// DynamoDB may delete an item this long after its last slot was taken. It is made again when it is needed.
const KEPT_SECONDS: u64 = 7 * 86_400;

/// The slots of all projects.
#[derive(Clone, Debug)]
pub struct SlotRecords(pub(super) Table);

impl SlotRecords {
    /// Takes a slot if fewer than `max` are taken, or takes the one with the same id over.
    pub async fn take(&self, slot: &Slot, max: u64, now: Timestamp) -> Result<TakeOutcome, StoreError> {
        let key = keys::slots(&slot.project_id, slot.kind);
        match self.0.update(key, take_change(slot, max, now)).await? {
            UpdateOutcome::Written(_) => Ok(TakeOutcome::Taken),
            UpdateOutcome::Refused(Some(item)) => Ok(TakeOutcome::Full(read_slots(&item)?)),
            UpdateOutcome::Refused(None) => match self.0.put_new(first_item(slot, now)).await? {
                WriteOutcome::Written => Ok(TakeOutcome::Taken),
                // Another holder made the item in between. The caller tries again.
                WriteOutcome::Refused => Ok(TakeOutcome::Full(Vec::new())),
            },
        }
    }

    /// The slots of a project that are taken.
    pub async fn taken(&self, project_id: &str, kind: SlotKind) -> Result<Vec<TakenSlot>, StoreError> {
        self.0.get(keys::slots(project_id, kind)).await?.map_or(Ok(Vec::new()), |item| read_slots(&item))
    }

    /// Removes a slot whose holder died. `Refused`: it is not as the caller read it.
    pub async fn remove(&self, of: &Slot, dead: &TakenSlot) -> Result<WriteOutcome, StoreError> {
        // Without the condition, a slot that its holder renewed meanwhile would be removed.
        let mut change =
            Change::new("REMOVE taken.#id").only_if("taken.#id = :slot").values([(":slot", text(dead.to_text()))]);
        change.names.push(("#id", dead.id.clone()));
        Ok(self.0.update(keys::slots(&of.project_id, of.kind), change).await?.into())
    }

    /// Renews a slot. `Refused`: another holder has it, or it was removed.
    pub async fn renew(&self, slot: &Slot, now: Timestamp) -> Result<WriteOutcome, StoreError> {
        let change = Change::new("SET taken.#id = :slot").values([(":slot", text(slot.taken(now).to_text()))]);
        self.change_own(slot, change).await
    }

    /// Frees a slot. `Refused`: another holder has it, or it was removed.
    pub async fn free(&self, slot: &Slot) -> Result<WriteOutcome, StoreError> {
        self.change_own(slot, Change::new("REMOVE taken.#id")).await
    }

    async fn change_own(&self, slot: &Slot, change: Change) -> Result<WriteOutcome, StoreError> {
        // Without the condition, a holder that was taken for dead would free or renew the slot of the one that took over.
        let mut change = change.only_if("contains(taken.#id, :holder)").values([(":holder", text(&slot.holder))]);
        change.names.push(("#id", slot.id.clone()));
        Ok(self.0.update(keys::slots(&slot.project_id, slot.kind), change).await?.into())
    }
}

/// Each condition protects one rule: no more than `max` are taken, and a slot that is taken over counts once.
fn take_change(slot: &Slot, max: u64, now: Timestamp) -> Change {
    let mut change = Change::new("SET taken.#id = :slot, expires_at = :expires_at")
        .only_if("attribute_exists(taken) AND (attribute_exists(taken.#id) OR size(taken) < :max)")
        .returning(Returning::Changed)
        .values([
            (":slot", text(slot.taken(now).to_text())),
            (":expires_at", number(now.seconds() + KEPT_SECONDS)),
            (":max", number(max)),
        ]);
    change.names.push(("#id", slot.id.clone()));
    change
}

fn first_item(slot: &Slot, now: Timestamp) -> Item {
    let taken = Item::from([(slot.id.clone(), text(slot.taken(now).to_text()))]);
    keys::slots(&slot.project_id, slot.kind)
        .with([("taken", AttributeValue::M(taken)), ("expires_at", number(now.seconds() + KEPT_SECONDS))])
}

fn read_slots(item: &Item) -> Result<Vec<TakenSlot>, StoreError> {
    let damaged = || Reader(item).damaged("taken");
    let taken = item.get("taken").and_then(|taken| taken.as_m().ok()).ok_or_else(damaged)?;
    let read = |(id, value): (&String, &AttributeValue)| TakenSlot::parse(id, value.as_s().ok()?);
    taken.iter().map(read).collect::<Option<_>>().ok_or_else(damaged)
}
