//! Never lost: every accepted job ends in a terminal status, once. Statuses, fences and events never go back.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use shared::data::ResponseRecord;
use shared::model::message::ResponseKey;

use super::{Invariant, Verdict, expect};
use crate::deployment::Deployment;

#[derive(Default)]
pub(super) struct Jobs(HashMap<String, ResponseRecord>);

#[async_trait]
impl Invariant for Jobs {
    fn name(&self) -> &'static str {
        "jobs"
    }

    async fn at_any_time(&mut self, deployment: &Arc<Deployment>) -> Verdict {
        for (id, project_id, is_deleted) in known(deployment) {
            let key = ResponseKey { project_id, response_id: id.clone() };
            let found = deployment.stores.response(&key).await.map_err(|error| error.to_string())?;
            match found {
                Some(now) => {
                    if let Some(before) = self.0.get(&id) {
                        goes_on(before, &now)?;
                    }
                    self.0.insert(id, now);
                }
                None => expect(is_deleted, || format!("{id} was accepted, and is gone"))?,
            }
        }
        Ok(())
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> Verdict {
        find(deployment).await?;
        self.at_any_time(deployment).await?;
        for (id, record) in &self.0 {
            expect(record.status.is_terminal(), || format!("{id} never ended: it is {}", record.status.name()))?;
        }
        Ok(())
    }
}

/// Finds what was accepted and nobody was told of: what holds for the others holds for these.
async fn find(deployment: &Deployment) -> Verdict {
    let projects: Vec<String> =
        deployment.sim.ledger().tenants.iter().map(|tenant| tenant.project.id.clone()).collect();
    for (n, project) in projects.iter().enumerate() {
        let found = deployment.stores.jobs(project, None, 100).await.map_err(|error| error.to_string())?;
        let mut ledger = deployment.sim.ledger();
        for record in found.into_iter().filter(|record| !record.deleted) {
            ledger.response(&record.key.response_id, n).is_background = true;
        }
    }
    Ok(())
}

/// Responses that clients know: the id, the project, whether somebody deleted it.
fn known(deployment: &Deployment) -> Vec<(String, String, bool)> {
    let ledger = deployment.sim.ledger();
    let known = ledger.responses.iter().filter(|(_, seen)| seen.is_background);
    known.map(|(id, seen)| (id.clone(), ledger.tenants[seen.project].project.id.clone(), seen.is_deleted)).collect()
}

fn goes_on(before: &ResponseRecord, now: &ResponseRecord) -> Verdict {
    let id = &now.key.response_id;
    expect(!before.status.is_terminal() || before.status == now.status, || {
        format!("{id} was {}, and is {}", before.status.name(), now.status.name())
    })?;
    let end = |record: &ResponseRecord| (record.fence, record.next_sequence, record.usage, record.cost);
    expect(!before.status.is_terminal() || end(before) == end(now), || format!("{id} was written to after its end"))?;
    expect(before.fence <= now.fence, || format!("{id}: the fence was {}, and is {}", before.fence, now.fence))?;
    expect(before.next_sequence <= now.next_sequence, || {
        format!("{id} had {} events that count, and has {}", before.next_sequence, now.next_sequence)
    })
}
