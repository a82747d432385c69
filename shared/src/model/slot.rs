//! Slots: what a project may have open at the same time beside its calls, so that it leaves room for other projects.

use super::clock::Timestamp;
use super::id;

/// What takes a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SlotKind {
    /// A request that reads the events of a response, or waits for another request with its idempotency key.
    Follower,
    /// A background response that a worker makes.
    Job,
    /// An attempt to deliver a webhook event.
    Delivery,
}

impl SlotKind {
    /// A part of a key of the table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Follower => "followers",
            Self::Job => "jobs",
            Self::Delivery => "deliveries",
        }
    }
}

/// How long a slot stays taken without a sign of life of its holder.
pub const SLOT_LEASE_MS: u64 = 60_000;

/// A slot that a process holds or wants to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    pub project_id: String,
    pub kind: SlotKind,
    /// What the slot is for. It has one slot at most: a second holder takes the slot over.
    pub id: String,
    /// A random word that only this holder knows.
    pub holder: String,
}

impl Slot {
    #[must_use]
    pub fn new(project_id: &str, kind: SlotKind, id: impl Into<String>) -> Self {
        Self { project_id: project_id.to_owned(), kind, id: id.into(), holder: id::random(8) }
    }

    /// The slot as the table has it after its holder took or renewed it.
    #[must_use]
    pub fn taken(&self, now: Timestamp) -> TakenSlot {
        TakenSlot { id: self.id.clone(), holder: self.holder.clone(), until: now.plus_ms(SLOT_LEASE_MS) }
    }
}

/// A slot as the table has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenSlot {
    pub id: String,
    pub holder: String,
    pub until: Timestamp,
}

impl TakenSlot {
    /// `<until> <holder>`.
    pub(crate) fn to_text(&self) -> String {
        format!("{} {}", self.until.0, self.holder)
    }

    pub(crate) fn parse(id: &str, stored: &str) -> Option<Self> {
        let (until, holder) = stored.split_once(' ')?;
        Some(Self { id: id.to_owned(), holder: holder.to_owned(), until: Timestamp(until.parse().ok()?) })
    }

    /// Whether its holder gave no sign of life for too long.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        !now.is_before(self.until, SLOT_LEASE_MS)
    }
}
