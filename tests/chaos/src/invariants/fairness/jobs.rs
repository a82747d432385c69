//! A job begins within seconds while fewer jobs of its own tenant wait or run than may run at the same time.

use std::sync::Arc;

use shared::data::ResponseRecord;
use shared::model::clock::Timestamp;

use crate::deployment::Deployment;
use crate::invariants::{CheckResult, expect};

/// A job needs some ten calls of the stores to begin, each of which takes two seconds if it is slow.
const BEGINS_WITHIN_MS: u64 = 30_000;

/// Only if no store fails and no process dies: those explain any delay.
pub(super) async fn check(deployment: &Arc<Deployment>) -> CheckResult {
    if !deployment.sim.scenario.only_harmless {
        return Ok(());
    }
    let projects: Vec<_> = deployment.sim.observed().tenants.iter().map(|tenant| tenant.project.clone()).collect();
    for project in projects {
        let jobs = deployment.inspector.background_responses(&project.id).await?;
        let now = deployment.sim.clock.now();
        for job in jobs.iter().filter(|job| is_late(job, now)) {
            let others = jobs.iter().filter(|other| other.key != job.key && may_have_a_slot(other, job.created_at));
            let id = &job.key.response_id;
            let has_room = (others.count() as u64) < project.concurrent_jobs();
            expect(!has_room || deployment.sim.observed().had_message_fault(id), || {
                format!("{id} of {} has waited for {} ms", project.name, job.created_at.until(now))
            })?;
        }
    }
    Ok(())
}

fn is_late(job: &ResponseRecord, now: Timestamp) -> bool {
    job.runs == 0 && !job.status.is_terminal() && !job.deleted && job.created_at.until(now) > BEGINS_WITHIN_MS
}

/// Whether a job may have had a slot since another one was created.
fn may_have_a_slot(job: &ResponseRecord, since: Timestamp) -> bool {
    job.finished_at.is_none_or(|finished| finished >= since)
}
