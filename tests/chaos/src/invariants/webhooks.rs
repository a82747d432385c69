//! Every end of a background response has one delivery to each endpoint, which was either delivered or became a dead
//! letter.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use shared::model::message::ResponseKey;
use shared::model::webhook::{Delivery, DeliveryFailure, DeliveryState, MAX_ATTEMPTS};

use super::{CheckResult, Invariant, expect};
use crate::deployment::{Deployment, TENANTS};

pub(super) struct Webhooks;

#[async_trait]
impl Invariant for Webhooks {
    fn name(&self) -> &'static str {
        "webhooks"
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        for n in 0..TENANTS {
            check(deployment, n).await?;
        }
        Ok(())
    }
}

async fn check(deployment: &Arc<Deployment>, n: usize) -> CheckResult {
    let (project_id, endpoints, jobs) = {
        let observed = deployment.sim.observed();
        let tenant = &observed.tenants[n];
        let endpoints: Vec<_> =
            tenant.endpoints.iter().map(|e| (e.id.clone(), e.url.clone(), e.is_unchanged)).collect();
        (tenant.project.id.clone(), endpoints, observed.jobs(n))
    };
    for (endpoint, url, is_unchanged) in endpoints {
        let now = deployment.sim.clock.now();
        let deliveries = deployment.inspector.deliveries(&project_id, &endpoint, now).await?;
        for delivery in &deliveries {
            check_posts(deployment, n, &url, delivery)?;
            check_event(deployment, delivery).await?;
            if is_unchanged {
                check_attempts(delivery, !url.contains("dead"))?;
            }
        }
        for job in &jobs {
            let count = deliveries.iter().filter(|delivery| response_of(delivery) == *job).count();
            let right = if is_unchanged { count == 1 } else { count <= 1 };
            expect(right, || format!("{count} deliveries to {endpoint} say that {job} has ended"))?;
        }
    }
    Ok(())
}

/// Checks that a delivery ended, that only its endpoint got it, with the stored bytes, and that the endpoint accepted
/// it if its state is delivered.
fn check_posts(deployment: &Deployment, n: usize, url: &str, delivery: &Delivery) -> CheckResult {
    let id = &delivery.key.delivery_id;
    let observed = deployment.sim.observed();
    let mut posts = observed.accepted_posts.iter().filter(|post| post.id == *id).peekable();
    let was_accepted = posts.peek().is_some();
    let wrong = posts.find(|post| post.url != url || post.body != delivery.body);
    expect(wrong.is_none(), || format!("tenant {n}: delivery {id} to {url} was accepted as {wrong:?}"))?;
    match &delivery.state {
        DeliveryState::Pending(_) => Err(format!("tenant {n}: delivery {id} never ended")),
        DeliveryState::Delivered => {
            expect(was_accepted, || format!("tenant {n}: delivery {id} was delivered, and no receiver accepted it"))
        }
        DeliveryState::Failed(_) => Ok(()),
    }
}

/// Checks that a delivery has the status of its response.
async fn check_event(deployment: &Deployment, delivery: &Delivery) -> CheckResult {
    let key = ResponseKey { project_id: delivery.key.project_id.clone(), response_id: response_of(delivery) };
    let Some(record) = deployment.inspector.response(&key).await? else { return Ok(()) };
    let body: Value = serde_json::from_str(&delivery.body).unwrap_or_default();
    let is_true = body["type"] == format!("response.{}", record.status.name()) && body["type"] == delivery.event_type;
    let id = &key.response_id;
    expect(is_true, || format!("{id} is {}, its endpoint got {}", record.status.name(), body["type"]))
}

/// Checks that no delivery was given up before its last attempt, and that a receiver that lives got its event in the
/// end.
fn check_attempts(delivery: &Delivery, lives: bool) -> CheckResult {
    let id = &delivery.key.delivery_id;
    match &delivery.state {
        DeliveryState::Failed(DeliveryFailure::Exhausted) if delivery.tries < MAX_ATTEMPTS => {
            Err(format!("delivery {id} was given up after {} attempts", delivery.tries))
        }
        DeliveryState::Failed(failed) if lives => {
            Err(format!("delivery {id} to a receiver that lives has failed: {failed:?}"))
        }
        _ => Ok(()),
    }
}

/// Returns the id of the response of a delivery.
fn response_of(delivery: &Delivery) -> String {
    let body: Value = serde_json::from_str(&delivery.body).unwrap_or_default();
    body["data"]["id"].as_str().unwrap_or_default().to_owned()
}
