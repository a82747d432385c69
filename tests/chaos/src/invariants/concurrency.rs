//! Room for others: no project has more open at the same time than its limits say, and what is counted as open is open.

use std::sync::Arc;

use async_trait::async_trait;
use shared::model::meter::{ReservedFor, Shard};
use shared::model::project::Project;
use shared::model::slot::SlotKind;

use super::budget::load_meters;
use super::{CheckResult, Invariant, expect, levels};
use crate::deployment::Deployment;
use crate::load::hostile;
use crate::observations::{Observations, ProviderCall};

#[derive(Default)]
pub(super) struct Concurrency {
    checks: u32,
}

/// Of this many checks, one reads the slots.
const SLOTS_EACH: u32 = 10;

/// `app::webhooks` allows this many attempts of a project at the same time.
const DELIVERIES: u64 = 10;

#[async_trait]
impl Invariant for Concurrency {
    fn name(&self) -> &'static str {
        "concurrency"
    }

    fn interval_seconds(&self) -> u64 {
        1
    }

    async fn at_any_time(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        for project in projects(deployment) {
            for at in months(deployment) {
                let shards = deployment.inspector.shards(&project.id, &at).await?;
                check_open(&project.name, &shards, project.concurrent_followers())?;
            }
        }
        check_keys(deployment).await?;
        // Slots are read from the table each time, and a slot is taken for seconds.
        self.checks += 1;
        if self.checks.is_multiple_of(SLOTS_EACH) { check_slots(deployment).await } else { Ok(()) }
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        for (n, shards, month) in load_meters(deployment).await? {
            let open = shards.iter().map(|shard| shard.open_requests).sum::<u64>();
            expect(open == 0, || format!("tenant {n}: {open} calls count as open in {month}, and none is"))?;
        }
        Ok(())
    }
}

/// The projects of the tenants, and of the hostile one.
fn projects(deployment: &Deployment) -> Vec<Project> {
    let observed = deployment.sim.observed();
    let tenants = observed.tenants.iter().map(|tenant| &tenant.project);
    tenants.chain(observed.hostile.iter().map(|hostile| &hostile.project)).cloned().collect()
}

/// The months that the run has seen.
fn months(deployment: &Deployment) -> Vec<String> {
    let starts_at = deployment.sim.scenario.starts_at;
    let months = [starts_at.month(), starts_at.next_month().month()];
    let now = deployment.sim.clock.now().month();
    months.into_iter().filter(|month| *month <= now).collect()
}

async fn check_keys(deployment: &Arc<Deployment>) -> CheckResult {
    for level in levels::all(deployment) {
        let Some(limit) = level.concurrent_requests else { continue };
        for meter in &level.meters {
            check_open(&level.name, &deployment.inspector.shards_of(meter).await?, limit)?;
        }
    }
    Ok(())
}

fn check_open(name: &str, shards: &[Shard], limit: u64) -> CheckResult {
    let open = shards.iter().map(|shard| shard.open_requests).sum::<u64>();
    expect(open <= limit, || format!("{name}: {open} calls are open, the limit is {limit}"))?;
    shards.iter().try_for_each(|shard| check_count(name, shard))
}

fn check_count(name: &str, shard: &Shard) -> CheckResult {
    let is_request = |id: &shared::model::meter::ReservationId| id.reserved_for() == ReservedFor::Request;
    let reserved = shard.reservations.iter().filter(|reservation| is_request(&reservation.id)).count() as u64;
    expect(shard.open_requests == reserved, || {
        format!("{name}: {} calls are counted as open, and {reserved} have a reservation", shard.open_requests)
    })
}

/// Checks that no more jobs of a project wait for a provider than may run at the same time, whatever slots they took.
pub(crate) fn check_jobs(observed: &mut Observations, tenant: usize) {
    let project = match tenant {
        hostile::NUMBER => observed.hostile.as_ref().map(|hostile| &hostile.project),
        tenant => observed.tenants.get(tenant).map(|tenant| &tenant.project),
    };
    let Some(limit) = project.map(Project::concurrent_jobs) else { return };
    let is_running = |call: &&ProviderCall| call.project == tenant && call.is_job && call.is_open();
    let running = observed.calls.iter().filter(is_running).count() as u64;
    if running > limit {
        observed.violation("concurrency", format!("tenant {tenant}: {running} jobs run, the limit is {limit}"));
    }
}

async fn check_slots(deployment: &Arc<Deployment>) -> CheckResult {
    for project in projects(deployment) {
        let kinds = [
            (SlotKind::Job, project.concurrent_jobs()),
            (SlotKind::Follower, project.concurrent_followers()),
            (SlotKind::Delivery, DELIVERIES),
        ];
        for (kind, limit) in kinds {
            let taken = deployment.inspector.slots(&project.id, kind).await?;
            expect(taken <= limit, || format!("{}: {taken} {} have a slot of {limit}", project.name, kind.name()))?;
        }
    }
    Ok(())
}
