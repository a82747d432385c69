//! Never over budget: what is spent and held is within the limit, and together with what is left it is the limit.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use shared::data::Shard;

use super::{Invariant, Verdict, expect};
use crate::deployment::Deployment;

/// Where a project stood when it was last looked at.
#[derive(Default)]
struct Seen {
    /// What it may have spent and held by then.
    allowed: i64,
    /// Budgets that had been tried to set.
    budgets: usize,
}

#[derive(Default)]
pub(super) struct Budget(HashMap<(usize, String), Seen>);

#[async_trait]
impl Invariant for Budget {
    fn name(&self) -> &'static str {
        "budget"
    }

    async fn at_any_time(&mut self, deployment: &Arc<Deployment>) -> Verdict {
        for (n, shards, month) in months(deployment).await? {
            self.check(deployment, n, &shards, month)?;
        }
        Ok(())
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> Verdict {
        self.at_any_time(deployment).await
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
        let seen = self.0.entry((n, month.clone())).or_default();
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
