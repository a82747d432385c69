//! Usage counters say what the meter says, as far as decision 9 promises it: where no answer of a store was lost.

use std::sync::Arc;

use async_trait::async_trait;

use super::budget::months;
use super::{Invariant, Verdict, expect};
use crate::deployment::{Deployment, TENANTS};

pub(super) struct Counters;

#[async_trait]
impl Invariant for Counters {
    fn name(&self) -> &'static str {
        "counters"
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> Verdict {
        if !deployment.sim.weather.is_calm {
            return Ok(());
        }
        let mut spent = [0; TENANTS];
        for (n, shards, _) in months(deployment).await? {
            spent[n] += shards.iter().map(|shard| shard.spent.0).sum::<u64>();
        }
        for (n, spent) in spent.into_iter().enumerate() {
            let id = deployment.sim.ledger().tenants[n].project.id.clone();
            let counters =
                deployment.stores.table.usage(&id, "2026", "2027").await.map_err(|error| error.to_string())?;
            let counted: u64 = counters.iter().map(|(_, count)| count.cost.0).sum();
            expect(counted == spent, || format!("tenant {n}: the counters say {counted}, the meter {spent}"))?;
        }
        Ok(())
    }
}
