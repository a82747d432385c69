//! No reservation without a call: when no call runs any more, no money is reserved.

use std::sync::Arc;

use async_trait::async_trait;

use super::budget::load_meters;
use super::{CheckResult, Invariant, expect};
use crate::deployment::Deployment;

pub(super) struct Holds;

#[async_trait]
impl Invariant for Holds {
    fn name(&self) -> &'static str {
        "holds"
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        for (n, shards, month) in load_meters(deployment).await? {
            let reserved: Vec<_> = shards.iter().flat_map(|shard| &shard.reservations).collect();
            expect(reserved.is_empty(), || format!("tenant {n}: still reserved in {month}: {reserved:?}"))?;
        }
        Ok(())
    }
}
