//! Usage counters agree with the meter where decision 9 promises it: if no answer of a store was lost.

use std::sync::Arc;

use async_trait::async_trait;

use super::budget::load_meters;
use super::{CheckResult, Invariant, expect};
use crate::deployment::{Deployment, TENANTS};

pub(super) struct Counters;

#[async_trait]
impl Invariant for Counters {
    fn name(&self) -> &'static str {
        "counters"
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        if !deployment.sim.scenario.only_harmless {
            return Ok(());
        }
        let mut spent = [0; TENANTS];
        for (n, shards, _) in load_meters(deployment).await? {
            spent[n] += shards.iter().map(|shard| shard.spent.0).sum::<u64>();
        }
        for (n, spent) in spent.into_iter().enumerate() {
            let id = deployment.sim.observed().tenants[n].project.id.clone();
            let counted = deployment.inspector.counted_cost(&id, |_| true).await?;
            expect(counted == spent, || format!("tenant {n}: the counters say {counted}, the meter {spent}"))?;
        }
        Ok(())
    }
}
