//! Never over budget: the amounts that are spent and reserved are within the limit, and with the amount left they are
//! equal to the limit.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use shared::model::meter::Shard;

use super::{CheckResult, Invariant, expect};
use crate::deployment::Deployment;
use crate::observations;

/// The state of a project at the last check.
#[derive(Default)]
struct Seen {
    /// The most that it may have spent and reserved by then.
    allowed: i64,
    /// The number of budgets that an administrator had tried to set.
    budgets: usize,
}

#[derive(Default)]
pub(super) struct Budget {
    seen: HashMap<(usize, String), Seen>,
    /// The number of writes to meters at the last check.
    writes: u64,
}

#[async_trait]
impl Invariant for Budget {
    fn name(&self) -> &'static str {
        "budget"
    }

    fn interval_seconds(&self) -> u64 {
        1
    }

    /// Checks only if a meter was written since the last check.
    async fn at_any_time(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        let writes = deployment.sim.meter_writes.all();
        if std::mem::replace(&mut self.writes, writes) == writes {
            return Ok(());
        }
        self.at_the_end(deployment).await
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        let confirmed = confirmed_budgets(deployment);
        let this_month = deployment.sim.clock.now().month();
        let found = load_meters(deployment).await?;
        // A change or a new month during the read would make the comparison meaningless.
        let is_stable = confirmed == confirmed_budgets(deployment) && this_month == deployment.sim.clock.now().month();
        for (n, shards, month) in found {
            if is_stable && month == this_month {
                check_limit_in_force(n, &shards, confirmed[n])?;
            }
            self.check(deployment, n, &shards, month)?;
        }
        Ok(())
    }
}

impl Budget {
    fn check(&mut self, deployment: &Deployment, n: usize, shards: &[Shard], month: String) -> CheckResult {
        let limit = shards.iter().find_map(|shard| shard.limit).map(|limit| limit.signed());
        let used: i64 = shards.iter().map(|shard| shard.spent.signed() + shard.held().signed()).sum();
        let left: i64 = shards.iter().map(|shard| shard.avail).sum();
        expect(left + used == limit.unwrap_or(0), || {
            format!(
                "tenant {n}: {left} left and {used} spent or reserved do not make the limit of {limit:?} in {month}"
            )
        })?;
        let Some(limit) = limit else { return Ok(()) };
        let tried: Vec<u64> =
            deployment.sim.observed().attempted_budgets.iter().filter(|(m, _)| *m == n).map(|(_, b)| *b).collect();
        let seen = self.seen.entry((n, month.clone())).or_default();
        let mut allowed = limit.max(seen.allowed);
        if seen.budgets != tried.len() {
            // A call that was admitted under any of the limits since stays admitted.
            let highest = tried.iter().max().copied().unwrap_or(0);
            let first = deployment.sim.observed().tenants[n].project.limits.budget;
            allowed =
                allowed.max(i64::try_from(highest).unwrap_or(i64::MAX)).max(first.map_or(i64::MAX, |b| b.signed()));
        }
        *seen = Seen { allowed: limit.max(used), budgets: tried.len() };
        expect(used <= allowed, || {
            format!("tenant {n}: {used} spent or reserved in {month}, at most {allowed} allowed, the limit is {limit}")
        })
    }
}

/// Returns the administrator's knowledge of all budgets.
fn confirmed_budgets(deployment: &Deployment) -> Vec<observations::Budget> {
    deployment.sim.observed().tenants.iter().map(|tenant| tenant.budget).collect()
}

/// Checks that this month's meter, if there is one, has the budget that was confirmed last.
fn check_limit_in_force(n: usize, shards: &[Shard], budget: observations::Budget) -> CheckResult {
    let limit = shards.iter().find_map(|shard| shard.limit).map(|limit| limit.0);
    let confirmed = budget.in_force.filter(|_| !shards.is_empty());
    expect(confirmed.is_none_or(|confirmed| confirmed == limit), || {
        format!("tenant {n}: a limit of {confirmed:?} was confirmed, and {limit:?} is in force")
    })
}

/// Loads the meters of all tenants: tenant, shards and month of each.
pub(super) async fn load_meters(deployment: &Arc<Deployment>) -> Result<Vec<(usize, Vec<Shard>, String)>, String> {
    let ids: Vec<String> = deployment.sim.observed().tenants.iter().map(|tenant| tenant.project.id.clone()).collect();
    let months = [deployment.sim.scenario.starts_at.month(), deployment.sim.scenario.starts_at.next_month().month()];
    let now = deployment.sim.clock.now().month();
    let mut found = Vec::new();
    for month in months.iter().filter(|month| **month <= now) {
        for (n, id) in ids.iter().enumerate() {
            found.push((n, deployment.inspector.shards(id, month).await?, month.clone()));
        }
    }
    Ok(found)
}
