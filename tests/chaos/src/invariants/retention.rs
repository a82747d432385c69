//! Nothing is read after its retention, whenever the stores delete it. Where nothing is kept, requests and answers of
//! responses are not even stored any more.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{CheckResult, Invariant, expect};
use crate::client::{Client, Request};
use crate::deployment::Deployment;
use crate::load::guests;

/// More than a retention of a day, of a job that took a day.
const TWO_DAYS: Duration = Duration::from_secs(2 * 86_400);

pub(super) struct Retention;

#[async_trait]
impl Invariant for Retention {
    fn name(&self) -> &'static str {
        "retention"
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        let mut guests = deployment.sim.observed().guests.clone();
        guests.retain(|guest| !guest.is_leaving && guest.retention != guests::Retention::Default);
        if guests.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(TWO_DAYS).await;
        let mut client = Client::of_invariant(deployment, 4);
        for guest in guests {
            for id in &guest.responses {
                for path in [format!("/v1/responses/{id}"), format!("/v1/responses/{id}/input_items")] {
                    let bearer = guest.key.clone();
                    let request = Request { method: "GET", path, bearer, ..Request::default() };
                    let status = client.send(&request).await.map_or(0, |reply| reply.status);
                    expect(status == 404, || format!("{} is past its retention: {status}", request.path))?;
                }
            }
            if guest.retention == guests::Retention::Nothing {
                let stored = deployment.inspector.content(&guest.project_id).await?;
                let is_said = |item: &&String| ["/OUT", "/REQ", "/EVT#"].iter().any(|part| item.contains(part));
                let said: Vec<&String> = stored.iter().filter(is_said).collect();
                expect(said.is_empty(), || format!("{} keeps nothing, and has {said:?}", guest.project_id))?;
            }
        }
        Ok(())
    }
}
