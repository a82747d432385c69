//! A client creates more jobs at once than its project may run at the same time, and cancels all but one after a moment:
//! some of them wait for a slot then. Each job has a run of its own.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::json;

use super::responses::{PATH, response_id};
use super::{Action, draw_tenant};
use crate::client::{Client, Request};
use crate::observations::LoneJob;

const OUTPUT: u64 = 20;

#[derive(Debug)]
struct Waiting {
    project: usize,
    jobs: usize,
    cancelled_after: Duration,
}

pub(super) fn draw(rng: &mut StdRng) -> Box<dyn Action> {
    let cancelled_after = Duration::from_millis(rng.random_range(100..3_000));
    Box::new(Waiting { project: draw_tenant(rng), jobs: rng.random_range(3..7), cancelled_after })
}

#[async_trait]
impl Action for Waiting {
    async fn run(&self, client: &mut Client) {
        let body = json!({"model": "chat", "input": "All of it.", "max_output_tokens": OUTPUT, "background": true});
        let body = body.to_string();
        let request = Request { method: "POST", path: PATH.to_owned(), body, ..Request::of_job(self.project) };
        let created = (0..self.jobs).map(|n| {
            let (mut client, mut request) = (client.fork(), request.clone());
            client.names_runs = false;
            let (tenant, run) = (self.project, format!("waiting-{}-{n}", client.operation));
            request.headers.push(("x-weir-run", run.clone()));
            async move {
                let reply = client.call_until_answered(self.project, request, None, 5 * OUTPUT, 1).await?;
                let id = response_id(&reply.body).filter(|_| reply.status == 200)?;
                let mut observed = client.deployment.sim.observed();
                observed.response(&id, tenant).is_background = true;
                observed.lone_jobs.push(LoneJob { tenant, id: id.clone(), run });
                Some(id)
            }
        });
        let created = join_all(created.collect::<Vec<_>>()).await;
        tokio::time::sleep(self.cancelled_after).await;
        let bearer = client.permanent_key(self.project);
        for id in created.into_iter().flatten().skip(1) {
            let (path, bearer) = (format!("{PATH}/{id}/cancel"), bearer.clone());
            client.send(&Request { method: "POST", path, bearer, ..Request::default() }).await;
        }
    }
}
