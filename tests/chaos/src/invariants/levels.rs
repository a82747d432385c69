//! Budgets nest: no key and no run spends more than its own limit, and what a key or a run spent is what was counted for it.

use std::sync::Arc;

use async_trait::async_trait;
use shared::model::clock::Timestamp;
use shared::model::key_text::ApiKeySecret;
use shared::model::meter::{MeterKey, Run, RunName, Scope, Shard};
use shared::model::project::{Limits, Project};

use super::{CheckResult, Invariant, expect};
use crate::deployment::Deployment;
use crate::load::runs::RUNS;

#[derive(Default)]
pub(super) struct Levels {
    /// The number of writes to meters at the last check.
    writes: u64,
}

/// The meters of one key (of each month) or of one run.
pub(super) struct Level {
    tenant: usize,
    project_id: String,
    pub(super) name: String,
    pub(super) meters: Vec<MeterKey>,
    /// The calls that may be open at the same time.
    pub(super) concurrent_requests: Option<u64>,
    /// The id of the key, or the name of the run, as usage counters have it.
    key_id: Option<String>,
    run: Option<String>,
}

#[async_trait]
impl Invariant for Levels {
    fn name(&self) -> &'static str {
        "levels"
    }

    /// Checks only if a meter was written since the last check.
    async fn at_any_time(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        let writes = deployment.sim.meter_writes.all();
        if std::mem::replace(&mut self.writes, writes) == writes {
            return Ok(());
        }
        for level in all(deployment) {
            for meter in &level.meters {
                check_limit(&level, &deployment.inspector.shards_of(meter).await?)?;
            }
        }
        Ok(())
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        for level in all(deployment) {
            let mut spent = 0;
            for meter in &level.meters {
                let shards = deployment.inspector.shards_of(meter).await?;
                check_limit(&level, &shards)?;
                let reserved: Vec<_> = shards.iter().flat_map(|shard| &shard.reservations).collect();
                expect(reserved.is_empty(), || format!("{}: still reserved: {reserved:?}", level.name))?;
                spent += shards.iter().map(|shard| shard.spent.0).sum::<u64>();
            }
            if deployment.sim.scenario.only_harmless && has_limits(deployment, &level) {
                check_counters(deployment, &level, spent).await?;
            }
        }
        Ok(())
    }
}

fn check_limit(level: &Level, shards: &[Shard]) -> CheckResult {
    let Some(limit) = shards.iter().find_map(|shard| shard.limit).map(|limit| limit.signed()) else { return Ok(()) };
    let used: i64 = shards.iter().map(|shard| shard.spent.signed() + shard.held().signed()).sum();
    let left: i64 = shards.iter().map(|shard| shard.avail).sum();
    expect(left + used == limit && used <= limit, || {
        format!("{}: {used} spent or reserved and {left} left, the limit is {limit}", level.name)
    })
}

async fn check_counters(deployment: &Deployment, level: &Level, spent: u64) -> CheckResult {
    let counts = |name: &Option<String>, counted: &str| name.as_deref().is_none_or(|name| name == counted);
    let inspector = &deployment.inspector;
    let counted = inspector
        .counted_cost(&level.project_id, |key| counts(&level.key_id, &key.api_key_id) && counts(&level.run, &key.run));
    let counted = counted.await?;
    expect(counted == spent, || format!("{}: the counters say {counted}, the meter {spent}", level.name))
}

/// Whether the level has a meter to the end: a key without limits has none, and the limits of a revoked key end with it, although
/// its jobs may run again.
fn has_limits(deployment: &Deployment, level: &Level) -> bool {
    let Some(key_id) = &level.key_id else { return true };
    let observed = deployment.sim.observed();
    let tenant = &observed.tenants[level.tenant];
    let is_revoked = tenant.revoked.keys().any(|key| tenant.keys[*key].1 == *key_id);
    tenant.limited_keys.contains(key_id) && !is_revoked
}

/// All keys and runs of all tenants.
pub(super) fn all(deployment: &Deployment) -> Vec<Level> {
    let months = [deployment.sim.scenario.starts_at, deployment.sim.scenario.starts_at.next_month()];
    let observed = deployment.sim.observed();
    let mut levels = Vec::new();
    for (tenant, found) in observed.tenants.iter().enumerate() {
        let project = &found.project;
        let keys = found.keys.iter().zip(&found.key_limits);
        levels.extend(keys.map(|(key, limits)| of_key(tenant, project, key, limits, &months)));
        levels.extend(RUNS.iter().map(|run| of_run(tenant, project, run)));
    }
    levels
}

fn of_key(
    tenant: usize,
    project: &Project,
    (secret, id): &(String, String),
    limits: &Limits,
    months: &[Timestamp],
) -> Level {
    let scope =
        ApiKeySecret::parse(secret).map(|key| Scope::ApiKey(key.hash().as_str().to_owned())).unwrap_or_default();
    let meter = |at: &Timestamp| MeterKey { scope: scope.clone(), ..MeterKey::of_project(&project.id, at.month()) };
    Level {
        tenant,
        project_id: project.id.clone(),
        name: format!("tenant {tenant}, key {id}"),
        meters: months.iter().map(meter).collect(),
        concurrent_requests: limits.concurrent_requests,
        key_id: Some(id.to_owned()),
        run: None,
    }
}

fn of_run(tenant: usize, project: &Project, run: &str) -> Level {
    let name = RunName::parse(run, "run").ok();
    Level {
        tenant,
        project_id: project.id.clone(),
        name: format!("tenant {tenant}, {run}"),
        meters: name.map(|name| Run::new(name, None, &project.policy).meter(&project.id)).into_iter().collect(),
        concurrent_requests: None,
        key_id: None,
        run: Some(run.to_owned()),
    }
}
