//! Room for others: no project has more open at the same time than its limits say, and what is counted as open is open.

use std::sync::Arc;

use async_trait::async_trait;
use shared::model::meter::{ReservedFor, Shard};
use shared::model::slot::SlotKind;

use super::budget::load_meters;
use super::{CheckResult, Invariant, expect};
use crate::deployment::Deployment;

pub(super) struct Concurrency;

/// `app::webhooks` allows this many attempts of a project at the same time.
const DELIVERIES: u64 = 10;

#[async_trait]
impl Invariant for Concurrency {
    fn name(&self) -> &'static str {
        "concurrency"
    }

    fn interval_seconds(&self) -> u64 {
        20
    }

    async fn at_any_time(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        for (n, shards, month) in load_meters(deployment).await? {
            let limit = deployment.sim.observed().tenants[n].project.concurrent_followers();
            let open = shards.iter().map(|shard| shard.open_requests).sum::<u64>();
            expect(open <= limit, || format!("tenant {n}: {open} calls are open in {month}, the limit is {limit}"))?;
            shards.iter().try_for_each(|shard| check_count(n, shard))?;
        }
        check_slots(deployment).await
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        for (n, shards, month) in load_meters(deployment).await? {
            let open = shards.iter().map(|shard| shard.open_requests).sum::<u64>();
            expect(open == 0, || format!("tenant {n}: {open} calls count as open in {month}, and none is"))?;
        }
        Ok(())
    }
}

fn check_count(n: usize, shard: &Shard) -> CheckResult {
    let is_request = |id: &shared::model::meter::ReservationId| id.reserved_for() == ReservedFor::Request;
    let reserved = shard.reservations.iter().filter(|reservation| is_request(&reservation.id)).count() as u64;
    expect(shard.open_requests == reserved, || {
        format!("tenant {n}: {} calls are counted as open, and {reserved} have a reservation", shard.open_requests)
    })
}

async fn check_slots(deployment: &Arc<Deployment>) -> CheckResult {
    let projects: Vec<_> = deployment.sim.observed().tenants.iter().map(|tenant| tenant.project.clone()).collect();
    for project in projects {
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
