//! Everything that is due is handled: at the end the index of what is due is empty.

use std::sync::Arc;

use async_trait::async_trait;
use shared::data::DUE_SHARDS;
use shared::model::clock::Timestamp;

use super::{Invariant, Verdict, expect};
use crate::deployment::Deployment;

pub(super) struct Due;

#[async_trait]
impl Invariant for Due {
    fn name(&self) -> &'static str {
        "due"
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> Verdict {
        for shard in 0..DUE_SHARDS {
            let due = deployment.stores.table.due(shard, Timestamp(u64::MAX / 2)).await;
            let due = due.map_err(|error| error.to_string())?;
            expect(due.is_empty(), || format!("never handled: {due:?}"))?;
        }
        Ok(())
    }
}
