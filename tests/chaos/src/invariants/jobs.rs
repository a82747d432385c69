//! Never lost: every accepted background response reaches one terminal status. Its status, its fence and the number of
//! its events never go back.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use shared::data::ResponseRecord;
use shared::model::message::ResponseKey;

use super::{CheckResult, Invariant, expect};
use crate::deployment::Deployment;

#[derive(Default)]
pub(super) struct Jobs(HashMap<String, ResponseRecord>);

#[async_trait]
impl Invariant for Jobs {
    fn name(&self) -> &'static str {
        "jobs"
    }

    async fn at_any_time(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        for (id, project_id, is_deleted) in known_responses(deployment) {
            let key = ResponseKey { project_id, response_id: id.clone() };
            match deployment.inspector.response(&key).await? {
                Some(now) => {
                    if let Some(before) = self.0.get(&id) {
                        check_progress(before, &now)?;
                    }
                    self.0.insert(id, now);
                }
                None => expect(is_deleted, || format!("{id} was accepted, and is gone"))?,
            }
        }
        Ok(())
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        find_unknown_responses(deployment).await?;
        self.at_any_time(deployment).await?;
        for (id, record) in &self.0 {
            expect(record.status.is_terminal(), || format!("{id} never ended: it is {}", record.status.name()))?;
        }
        Ok(())
    }
}

/// Adds the responses that were accepted but whose clients never got the id. The same must hold for them.
async fn find_unknown_responses(deployment: &Deployment) -> CheckResult {
    let projects: Vec<String> =
        deployment.sim.observed().tenants.iter().map(|tenant| tenant.project.id.clone()).collect();
    for (n, project) in projects.iter().enumerate() {
        let found = deployment.inspector.background_responses(project).await?;
        let mut observed = deployment.sim.observed();
        for record in found.into_iter().filter(|record| !record.deleted) {
            observed.response(&record.key.response_id, n).is_background = true;
        }
    }
    Ok(())
}

/// Returns the background responses that clients know: id, project, and whether a client deleted it.
fn known_responses(deployment: &Deployment) -> Vec<(String, String, bool)> {
    let observed = deployment.sim.observed();
    let known = observed.responses.iter().filter(|(_, seen)| seen.is_background);
    known.map(|(id, seen)| (id.clone(), observed.tenants[seen.project].project.id.clone(), seen.is_deleted)).collect()
}

fn check_progress(before: &ResponseRecord, now: &ResponseRecord) -> CheckResult {
    let id = &now.key.response_id;
    expect(!before.status.is_terminal() || before.status == now.status, || {
        format!("{id} was {}, and is {}", before.status.name(), now.status.name())
    })?;
    let end = |record: &ResponseRecord| (record.fence, record.next_sequence, record.charge);
    expect(!before.status.is_terminal() || end(before) == end(now), || format!("{id} was written to after its end"))?;
    expect(before.fence <= now.fence, || format!("{id}: the fence was {}, and is {}", before.fence, now.fence))?;
    expect(before.next_sequence <= now.next_sequence, || {
        format!("{id} had {} events that count, and has {}", before.next_sequence, now.next_sequence)
    })
}
