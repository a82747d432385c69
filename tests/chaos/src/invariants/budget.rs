//! Never over budget: what is spent and held is within the limit, and together with what is left it is the limit.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use shared::data::Shard;

use super::{Invariant, Verdict, expect};
use crate::deployment::Deployment;
use crate::ledger;

/// Where a project stood when it was last looked at.
#[derive(Default)]
struct Seen {
    /// What it may have spent and held by then.
    allowed: i64,
    /// Budgets that had been tried to set.
    budgets: usize,
}

#[derive(Default)]
pub(super) struct Budget {
    seen: HashMap<(usize, String), Seen>,
    /// Writes to meters when it last looked.
    writes: u64,
}

#[async_trait]
impl Invariant for Budget {
    fn name(&self) -> &'static str {
        "budget"
    }

    fn looks_every(&self) -> u64 {
        1
    }

    /// While clients are busy, after each second in which somebody wrote to a meter.
    async fn at_any_time(&mut self, deployment: &Arc<Deployment>) -> Verdict {
        let writes = deployment.sim.meter_writes.load(Ordering::SeqCst);
        if std::mem::replace(&mut self.writes, writes) == writes {
            return Ok(());
        }
        self.at_the_end(deployment).await
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> Verdict {
        let known = known(deployment);
        let this_month = deployment.sim.clock.now().month();
        let found = months(deployment).await?;
        let still_known = known == self::known(deployment) && this_month == deployment.sim.clock.now().month();
        for (n, shards, month) in found {
            if still_known && month == this_month {
                in_force(n, &shards, known[n])?;
            }
            self.check(deployment, n, &shards, month)?;
        }
        Ok(())
    }
}

impl Budget {
    fn check(&mut self, deployment: &Deployment, n: usize, shards: &[Shard], month: String) -> Verdict {
        let limit = shards.iter().find_map(|shard| shard.limit).map(|limit| limit.signed());
        let used: i64 = shards.iter().map(|shard| shard.spent.signed() + shard.held().signed()).sum();
        let left: i64 = shards.iter().map(|shard| shard.avail).sum();
        expect(left + used == limit.unwrap_or(0), || {
            format!("tenant {n}: {left} left and {used} spent or held do not make the limit of {limit:?} in {month}")
        })?;
        let Some(limit) = limit else { return Ok(()) };
        let tried: Vec<u64> =
            deployment.sim.ledger().budgets.iter().filter(|(m, _)| *m == n).map(|(_, b)| *b).collect();
        let seen = self.seen.entry((n, month.clone())).or_default();
        let mut allowed = limit.max(seen.allowed);
        if seen.budgets != tried.len() {
            // Limits changed since: what was admitted under any of them stays.
            let dearest = tried.iter().max().copied().unwrap_or(0);
            let first = deployment.sim.ledger().tenants[n].project.limits.budget;
            allowed =
                allowed.max(i64::try_from(dearest).unwrap_or(i64::MAX)).max(first.map_or(i64::MAX, |b| b.signed()));
        }
        *seen = Seen { allowed: limit.max(used), budgets: tried.len() };
        expect(used <= allowed, || {
            format!("tenant {n}: {used} spent or held in {month}, at most {allowed} allowed, the limit is {limit}")
        })
    }
}

/// What is known of the tenants' budgets.
fn known(deployment: &Deployment) -> Vec<ledger::Budget> {
    deployment.sim.ledger().tenants.iter().map(|tenant| tenant.budget).collect()
}

/// A budget that was confirmed is the one that this month's meter has, if there is a meter.
fn in_force(n: usize, shards: &[Shard], known: ledger::Budget) -> Verdict {
    let limit = shards.iter().find_map(|shard| shard.limit).map(|limit| limit.0);
    let confirmed = known.in_force.filter(|_| !shards.is_empty());
    expect(confirmed.is_none_or(|confirmed| confirmed == limit), || {
        format!("tenant {n}: a limit of {confirmed:?} was confirmed, and {limit:?} is in force")
    })
}

/// The meters of all tenants, by month.
pub(super) async fn months(deployment: &Arc<Deployment>) -> Result<Vec<(usize, Vec<Shard>, String)>, String> {
    let ids: Vec<String> = deployment.sim.ledger().tenants.iter().map(|tenant| tenant.project.id.clone()).collect();
    let months = [deployment.sim.weather.begins_at.month(), deployment.sim.weather.begins_at.next_month().month()];
    let now = deployment.sim.clock.now().month();
    let mut found = Vec::new();
    for month in months.iter().filter(|month| **month <= now) {
        for (n, id) in ids.iter().enumerate() {
            let shards = deployment.stores.table.shards(id, month).await.map_err(|error| error.to_string())?;
            found.push((n, shards.into_iter().flatten().collect(), month.clone()));
        }
    }
    Ok(found)
}
