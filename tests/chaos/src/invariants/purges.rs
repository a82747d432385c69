//! After the purge of a project has completed, nothing of its content is in the stores. Every purge completes.

use std::sync::Arc;

use async_trait::async_trait;

use super::{CheckResult, Invariant, expect};
use crate::deployment::Deployment;

pub(super) struct Purges;

#[async_trait]
impl Invariant for Purges {
    fn name(&self) -> &'static str {
        "purges"
    }

    async fn at_any_time(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        let guests = deployment.sim.observed().guests.clone();
        for id in guests.into_iter().filter(|guest| guest.is_leaving).map(|guest| guest.project_id) {
            if deployment.inspector.project(&id).await?.is_some_and(|project| project.is_purged()) {
                let left = deployment.inspector.content(&id).await?;
                expect(left.is_empty(), || format!("{id} is purged, and the stores have {left:?}"))?;
            }
        }
        Ok(())
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        let guests = deployment.sim.observed().guests.clone();
        for guest in guests {
            let project = deployment.inspector.project(&guest.project_id).await?;
            let goes_on = project.is_some_and(|project| project.purge.is_some() && !project.is_purged());
            expect(!goes_on, || format!("the purge of {} never completed", guest.project_id))?;
        }
        self.at_any_time(deployment).await
    }
}
