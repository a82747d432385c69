//! No hold without an owner: when nothing runs any more, nothing is held.

use std::sync::Arc;

use async_trait::async_trait;

use super::budget::months;
use super::{Invariant, Verdict, expect};
use crate::deployment::Deployment;

pub(super) struct Holds;

#[async_trait]
impl Invariant for Holds {
    fn name(&self) -> &'static str {
        "holds"
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> Verdict {
        for (n, shards, month) in months(deployment).await? {
            let held: Vec<_> = shards.iter().flat_map(|shard| &shard.holds).collect();
            expect(held.is_empty(), || format!("tenant {n}: still held in {month}: {held:?}"))?;
        }
        Ok(())
    }
}
