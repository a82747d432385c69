//! A job that never called a provider costs nothing: it was cancelled while it waited, or its workers died before.

use std::sync::Arc;

use async_trait::async_trait;
use shared::model::message::ResponseKey;
use shared::model::meter::{Run, RunName};

use super::{CheckResult, Invariant, expect};
use crate::deployment::Deployment;

pub(super) struct Unbegun;

#[async_trait]
impl Invariant for Unbegun {
    fn name(&self) -> &'static str {
        "unbegun"
    }

    /// Each of these jobs has a run of its own, whose meter has the cost of the job alone.
    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        let jobs = deployment.sim.observed().lone_jobs.clone();
        for job in jobs {
            let project = deployment.sim.observed().tenants[job.tenant].project.clone();
            let key = ResponseKey { project_id: project.id.clone(), response_id: job.id.clone() };
            let has_begun = deployment.inspector.response(&key).await?.is_none_or(|record| record.begun > 0);
            let name = RunName::parse(&job.run, "run").map_err(|invalid| invalid.to_string())?;
            let meter = Run::new(name, None, &project.policy).meter(&project.id);
            let shards = deployment.inspector.shards_of(&meter).await?;
            let spent: u64 = shards.iter().map(|shard| shard.spent.0).sum();
            expect(has_begun || spent == 0, || {
                format!("{} of tenant {} never began, and cost {spent}", job.id, job.tenant)
            })?;
        }
        Ok(())
    }
}
