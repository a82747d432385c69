//! The shared state of the circuit breakers: one item per provider, written only when the state changes.

use super::change::{Change, WriteOutcome};
use super::error::StoreError;
use super::item::{Reader, number};
use super::keys;
use super::table::Table;
use crate::model::clock::Timestamp;

/// The state that all instances share. An absent state means a closed breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerState {
    /// No calls before this time. After it, one probe at a time.
    pub open_until: Timestamp,
    /// An instance is probing the provider, and no other starts a probe before this time.
    pub probe_until: Timestamp,
}

/// An open breaker that no instance probes counts as closed after this.
const KEPT_SECONDS: u64 = 86_400;

/// The circuit breakers of all providers.
#[derive(Clone, Debug)]
pub struct BreakerRecords(pub(super) Table);

impl BreakerRecords {
    /// Returns the shared state of a provider's breaker, or `None` if the breaker is closed.
    pub async fn get(&self, provider: &str, now: Timestamp) -> Result<Option<BreakerState>, StoreError> {
        let Some(item) = self.0.get(keys::breaker(provider)).await? else { return Ok(None) };
        let reader = Reader(&item);
        if reader.number::<u64>("expires_at")? <= now.seconds() {
            return Ok(None);
        }
        let (open_until, probe_until) = (reader.number("open_until")?, reader.number("probe_until")?);
        Ok(Some(BreakerState { open_until: Timestamp(open_until), probe_until: Timestamp(probe_until) }))
    }

    /// Opens a breaker until `until`.
    pub async fn open(&self, provider: &str, until: Timestamp) -> Result<(), StoreError> {
        let expires_at = number(until.seconds() + KEPT_SECONDS);
        let state = [("open_until", number(until.0)), ("probe_until", number(0)), ("expires_at", expires_at)];
        self.0.put(keys::breaker(provider).with(state)).await
    }

    /// Claims the one probe of a breaker until `until`. `Refused`: the breaker is closed or must stay open for longer,
    /// or another instance has the probe.
    pub async fn claim_probe(
        &self,
        provider: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<WriteOutcome, StoreError> {
        // Without the condition, every instance would probe a provider that has just failed.
        let change = Change::new("SET probe_until = :until")
            .only_if("open_until <= :now AND probe_until <= :now")
            .values([(":until", number(until.0)), (":now", number(now.0))]);
        Ok(self.0.update(keys::breaker(provider), change).await?.into())
    }

    /// Closes a breaker.
    pub async fn close(&self, provider: &str) -> Result<(), StoreError> {
        self.0.delete(keys::breaker(provider)).await
    }
}
