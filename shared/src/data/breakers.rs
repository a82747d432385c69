//! Circuit breakers' shared state: one item per provider, written only when the state changes.

use super::error::StoreError;
use super::item::{Reader, number};
use super::keys;
use super::table::{Change, Outcome, Table};
use crate::model::clock::Timestamp;

/// The state that all instances share; absent means closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerState {
    /// No calls before this; after it one probe at a time.
    pub open_until: Timestamp,
    /// A probe is under way and nobody else starts one before this.
    pub probe_until: Timestamp,
}

/// An open breaker that nobody probes is forgotten after this.
const KEPT_SECONDS: u64 = 86_400;

impl Table {
    /// The shared state of a provider's breaker.
    ///
    /// # Errors
    /// If the table fails or the item is damaged.
    pub async fn breaker(&self, provider: &str, now: Timestamp) -> Result<Option<BreakerState>, StoreError> {
        let Some(item) = self.get(keys::breaker(provider)).await? else { return Ok(None) };
        let reader = Reader(&item);
        if reader.number::<u64>("expires_at")? <= now.seconds() {
            return Ok(None);
        }
        let (open_until, probe_until) = (reader.number("open_until")?, reader.number("probe_until")?);
        Ok(Some(BreakerState { open_until: Timestamp(open_until), probe_until: Timestamp(probe_until) }))
    }

    /// Opens a breaker until `until`.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn open_breaker(&self, provider: &str, until: Timestamp) -> Result<(), StoreError> {
        let mut item = keys::breaker(provider).into_item();
        item.insert("open_until".to_owned(), number(until.0));
        item.insert("probe_until".to_owned(), number(0));
        item.insert("expires_at".to_owned(), number(until.seconds() + KEPT_SECONDS));
        self.put(item).await
    }

    /// Claims the one probe of a breaker whose open time is over. `false` if another instance has it.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn claim_probe(&self, provider: &str, now: Timestamp, until: Timestamp) -> Result<bool, StoreError> {
        let change = Change {
            update: "SET probe_until = :until".to_owned(),
            condition: "open_until <= :now AND probe_until <= :now".to_owned(),
            values: vec![(":until", number(until.0)), (":now", number(now.0))],
            ..Change::default()
        };
        Ok(matches!(self.update(keys::breaker(provider), change).await?, Outcome::Done(_)))
    }

    /// Closes a breaker.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn close_breaker(&self, provider: &str) -> Result<(), StoreError> {
        self.delete(keys::breaker(provider)).await
    }
}
