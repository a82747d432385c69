//! The shared state of the circuit breakers: one item per target whose breaker is not closed, written only when the state
//! changes.

use aws_sdk_dynamodb::types::AttributeValue;

use super::change::{Change, WriteOutcome};
use super::error::StoreError;
use super::item::{Item, Reader, number, text};
use super::keys;
use super::table::Table;
use crate::model::catalog::Target;
use crate::model::clock::Timestamp;

/// The state of a breaker that is not closed. All instances share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerState {
    pub opened_at: Timestamp,
    /// Before this time, the breaker refuses calls. After it, some calls probe the target.
    pub open_until: Timestamp,
    /// The end of the latest round of probes.
    pub probe_until: Timestamp,
    /// Of the calls that opened it, as one instance counted them.
    pub failures: u64,
    pub calls: u64,
    /// The kind of the last failure.
    pub cause: String,
}

/// The calls that probe a target in one round, each of another project.
const PROBES: usize = 3;

/// A breaker that is not closed, and that no instance changes, counts as closed after this.
const KEPT_SECONDS: u64 = 86_400;

/// A probe that asks for permission.
#[derive(Debug, Clone, Copy)]
pub struct Probe<'a> {
    pub project_id: &'a str,
    pub now: Timestamp,
    /// The end of the round, if this probe begins one.
    pub until: Timestamp,
    /// No breaker stays open until later than this: the clock of the instance that wrote such a time was wrong.
    pub latest: Timestamp,
}

/// The circuit breakers of all targets.
#[derive(Clone, Debug)]
pub struct BreakerRecords(pub(super) Table);

impl BreakerRecords {
    /// Returns the breakers of a provider's targets that are not closed, by the provider's name of the model.
    pub async fn of_provider(&self, provider: &str, now: Timestamp) -> Result<Vec<(String, BreakerState)>, StoreError> {
        let items = self.0.query_prefix(&keys::breakers_partition(provider), keys::BREAKER_PREFIX).await?;
        let is_kept = |item: &&Item| Reader(item).number("expires_at").is_ok_and(|at: u64| at > now.seconds());
        items.iter().filter(is_kept).map(read).collect()
    }

    /// Opens a breaker.
    pub async fn open(&self, target: &Target, state: &BreakerState) -> Result<(), StoreError> {
        let item = keys::breaker(&target.provider, &target.model).with([
            ("opened_at", number(state.opened_at.0)),
            ("open_until", number(state.open_until.0)),
            ("probe_until", number(state.probe_until.0)),
            ("failures", number(state.failures)),
            ("calls", number(state.calls)),
            ("cause", text(state.cause.as_str())),
            ("expires_at", number(state.open_until.seconds() + KEPT_SECONDS)),
        ]);
        self.0.put(item).await
    }

    /// Begins a round of probes with the first one. `Refused`: the breaker is closed or must stay open for longer, or
    /// another instance has begun a round.
    pub async fn begin_probes(&self, target: &Target, probe: &Probe<'_>) -> Result<WriteOutcome, StoreError> {
        // Without the condition, every instance would probe a target that has just failed.
        let is_over = "(open_until <= :now OR open_until > :latest) AND (probe_until <= :now OR probe_until > :until)";
        let change = Change::new("SET probe_until = :until, probers = :probers").only_if(is_over).values([
            (":now", number(probe.now.0)),
            (":latest", number(probe.latest.0)),
            (":until", number(probe.until.0)),
            (":probers", AttributeValue::Ss(vec![probe.project_id.to_owned()])),
        ]);
        Ok(self.0.update(keys::breaker(&target.provider, &target.model), change).await?.into())
    }

    /// Adds a probe to the round that goes on. `Refused`: the round has enough probes or one of this project, or is over.
    pub async fn join_probes(&self, target: &Target, probe: &Probe<'_>) -> Result<WriteOutcome, StoreError> {
        // Without the condition, the project that stalls a target could be the only one that probes it.
        let has_room = "probe_until > :now AND size(probers) < :most AND NOT contains(probers, :project)";
        let change = Change::new("ADD probers :probers").only_if(has_room).values([
            (":now", number(probe.now.0)),
            (":most", number(PROBES)),
            (":project", text(probe.project_id)),
            (":probers", AttributeValue::Ss(vec![probe.project_id.to_owned()])),
        ]);
        Ok(self.0.update(keys::breaker(&target.provider, &target.model), change).await?.into())
    }

    /// Closes a breaker.
    pub async fn close(&self, target: &Target) -> Result<(), StoreError> {
        self.0.delete(keys::breaker(&target.provider, &target.model)).await
    }
}

fn read(item: &Item) -> Result<(String, BreakerState), StoreError> {
    let reader = Reader(item);
    let model = keys::target_of_breaker(&reader.text("sk")?).ok_or_else(|| reader.damaged("sk"))?.to_owned();
    let state = BreakerState {
        opened_at: Timestamp(reader.number("opened_at")?),
        open_until: Timestamp(reader.number("open_until")?),
        probe_until: Timestamp(reader.number("probe_until")?),
        failures: reader.number("failures")?,
        calls: reader.number("calls")?,
        cause: reader.text("cause")?,
    };
    Ok((model, state))
}
