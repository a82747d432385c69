//! Every end of a background response is told to every endpoint: delivered, or a dead letter, and of one event one of both.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use shared::model::message::ResponseKey;
use shared::model::webhook::{Delivery, Failed, MAX_ATTEMPTS, State};

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
        let endpoints: Vec<_> =
            tenant.endpoints.iter().map(|e| (e.id.clone(), e.url.clone(), e.is_untouched)).collect();
        (tenant.project.id.clone(), endpoints, ledger.jobs(n))
    };
    for (endpoint, url, is_untouched) in endpoints {
        let now = deployment.sim.clock.now();
        let table = &deployment.stores.table;
        let found = table.deliveries(&project_id, &endpoint, None, None, 1_000, now).await;
        let deliveries = found.map_err(|error| error.to_string())?;
        for delivery in &deliveries {
            arrived(deployment, n, &url, delivery)?;
            told_truly(deployment, delivery).await?;
            if is_untouched {
                tried(delivery, !url.contains("dead"))?;
            }
        }
        for job in &jobs {
            let count = deliveries.iter().filter(|delivery| about(delivery) == *job).count();
            let right = if is_untouched { count == 1 } else { count <= 1 };
            expect(right, || format!("{count} deliveries to {endpoint} say that {job} has ended"))?;
        }
    }
    Ok(())
}

/// It is over; it was sent to its endpoint only, and what counts as delivered was taken there, to the byte.
fn arrived(deployment: &Deployment, n: usize, url: &str, delivery: &Delivery) -> Verdict {
    let id = &delivery.key.delivery_id;
    let ledger = deployment.sim.ledger();
    let mut taken = ledger.taken.iter().filter(|taken| taken.id == *id).peekable();
    let was_taken = taken.peek().is_some();
    let strange = taken.find(|taken| taken.url != url || taken.body != delivery.body);
    expect(strange.is_none(), || format!("tenant {n}: delivery {id} to {url} was taken as {strange:?}"))?;
    match &delivery.state {
        State::Pending(_) => Err(format!("tenant {n}: delivery {id} never ended")),
        State::Delivered => {
            expect(was_taken, || format!("tenant {n}: delivery {id} was delivered, and nobody took it"))
        }
        State::Failed(_) => Ok(()),
    }
}

/// It says what became of the response.
async fn told_truly(deployment: &Deployment, delivery: &Delivery) -> Verdict {
    let key = ResponseKey { project_id: delivery.key.project_id.clone(), response_id: about(delivery) };
    let record = deployment.stores.response(&key).await.map_err(|error| error.to_string())?;
    let Some(record) = record else { return Ok(()) };
    let body: Value = serde_json::from_str(&delivery.body).unwrap_or_default();
    let is_true = body["type"] == format!("response.{}", record.status.name()) && body["type"] == delivery.event_type;
    let id = &key.response_id;
    expect(is_true, || format!("{id} is {}, its endpoint is told {}", record.status.name(), body["type"]))
}

/// Nobody gives up before the schedule ends. A receiver that lives takes what is sent when the faults are over.
fn tried(delivery: &Delivery, lives: bool) -> Verdict {
    let id = &delivery.key.delivery_id;
    match &delivery.state {
        State::Failed(Failed::Exhausted) if delivery.tries < MAX_ATTEMPTS => {
            Err(format!("delivery {id} was given up after {} attempts", delivery.tries))
        }
        State::Failed(failed) if lives => Err(format!("delivery {id} to a receiver that lives has failed: {failed:?}")),
        _ => Ok(()),
    }
}

/// The response that a delivery is about.
fn about(delivery: &Delivery) -> String {
    let body: Value = serde_json::from_str(&delivery.body).unwrap_or_default();
    body["data"]["id"].as_str().unwrap_or_default().to_owned()
}
