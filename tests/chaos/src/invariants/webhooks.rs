//! Every end of a background response is told to every endpoint: delivered, or a dead letter, and of one event one of both.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use shared::model::webhook::{Delivery, State};

use super::{Invariant, Verdict, expect};
use crate::deployment::{Deployment, TENANTS};

pub(super) struct Webhooks;

#[async_trait]
impl Invariant for Webhooks {
    fn name(&self) -> &'static str {
        "webhooks"
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> Verdict {
        for n in 0..TENANTS {
            check(deployment, n).await?;
        }
        Ok(())
    }
}

async fn check(deployment: &Arc<Deployment>, n: usize) -> Verdict {
    let (project_id, endpoints, jobs) = {
        let ledger = deployment.sim.ledger();
        let tenant = &ledger.tenants[n];
        let endpoints: Vec<_> = tenant.endpoints.iter().map(|e| (e.id.clone(), e.is_untouched)).collect();
        (tenant.project.id.clone(), endpoints, ledger.jobs(n))
    };
    for (endpoint, is_untouched) in endpoints {
        let now = deployment.sim.clock.now();
        let table = &deployment.stores.table;
        let found = table.deliveries(&project_id, &endpoint, None, None, 1_000, now).await;
        let deliveries = found.map_err(|error| error.to_string())?;
        for delivery in &deliveries {
            arrived(deployment, n, delivery)?;
        }
        for job in &jobs {
            let count = deliveries.iter().filter(|delivery| about(delivery) == *job).count();
            let right = if is_untouched { count == 1 } else { count <= 1 };
            expect(right, || format!("{count} deliveries to {endpoint} say that {job} has ended"))?;
        }
    }
    Ok(())
}

/// It is over; what counts as delivered was taken by somebody.
fn arrived(deployment: &Deployment, n: usize, delivery: &Delivery) -> Verdict {
    let id = &delivery.key.delivery_id;
    let taken = deployment.sim.ledger().taken.iter().any(|(_, taken)| taken == id);
    match &delivery.state {
        State::Pending(_) => Err(format!("tenant {n}: delivery {id} never ended")),
        State::Delivered => expect(taken, || format!("tenant {n}: delivery {id} was delivered, and nobody took it")),
        State::Failed(_) => Ok(()),
    }
}

/// The response that a delivery is about.
fn about(delivery: &Delivery) -> String {
    let body: Value = serde_json::from_str(&delivery.body).unwrap_or_default();
    body["data"]["id"].as_str().unwrap_or_default().to_owned()
}
