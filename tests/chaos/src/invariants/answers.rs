//! Who can pay is served when nothing fails any more: a call is answered, a job completes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;

use super::{Invariant, Verdict, expect};
use crate::client::{Ask, Client};
use crate::deployment::{Deployment, TENANTS};
use crate::load::responses::id_of;
use crate::load::{chat, prompt, responses};

pub(super) struct Answers;

/// Tokens of output that are asked for.
const OUTPUT: u64 = 20;
/// A breaker may be open, a rate window full: a minute later neither is.
const TRIES: u32 = 3;
const MINUTE: Duration = Duration::from_secs(61);

#[async_trait]
impl Invariant for Answers {
    fn name(&self) -> &'static str {
        "answers"
    }

    async fn after_the_faults(&mut self, deployment: &Arc<Deployment>) -> Verdict {
        let mut client = Client { deployment: Arc::clone(deployment), operation: 0, rng: StdRng::seed_from_u64(5) };
        for tenant in 0..TENANTS {
            let content = "Anybody there?";
            let body =
                json!({"model": "chat", "messages": [{"role": "user", "content": content}], "max_tokens": OUTPUT});
            answered(&mut client, tenant, chat::PATH, body.to_string(), false).await?;
            let body = json!({"model": "chat", "input": content, "max_output_tokens": OUTPUT, "background": true});
            if let Some(job) = answered(&mut client, tenant, responses::PATH, body.to_string(), true).await? {
                completed(&mut client, tenant, &job).await?;
            }
        }
        Ok(())
    }
}

/// A call of somebody who can pay succeeds, and one of somebody who has nothing left does not. The id of what was made.
async fn answered(
    client: &mut Client,
    tenant: usize,
    path: &'static str,
    body: String,
    is_written: bool,
) -> Result<Option<String>, String> {
    let most = prompt::cost(body.len() as u64 + prompt::MARGIN, OUTPUT);
    let mut ask = Ask { method: "POST", path: path.to_owned(), body, ..Ask::of_tenant(tenant, is_written) };
    let mut status = 0;
    for _ in 0..TRIES {
        let left = left(client, tenant).await?;
        let reply = client.call(tenant, 0, &mut ask, 5 * OUTPUT).await;
        status = reply.as_ref().map_or(0, |reply| reply.status);
        expect(status != 200 || left > 0, || format!("tenant {tenant}: {left} left, and {path} is answered"))?;
        if let Some(reply) = reply.filter(|reply| reply.is_ok()) {
            return Ok(id_of(&reply.body));
        }
        if left < i64::try_from(most).unwrap_or(i64::MAX) {
            return Ok(None);
        }
        tokio::time::sleep(MINUTE).await;
    }
    Err(format!("tenant {tenant} has enough left, and {path} is answered with {status}"))
}

/// What a tenant has left this month; a lot if there is no limit, or nothing was spent yet.
async fn left(client: &Client, tenant: usize) -> Result<i64, String> {
    let deployment = &client.deployment;
    let project = deployment.sim.ledger().tenants[tenant].project.id.clone();
    let month = deployment.sim.clock.now().month();
    let project = deployment.stores.table.project(&project).await.map_err(|error| error.to_string())?;
    let project = project.ok_or_else(|| format!("tenant {tenant} is gone"))?;
    let Some(budget) = project.limits.budget else { return Ok(i64::MAX) };
    let shards = deployment.stores.table.shards(&project.id, &month).await.map_err(|error| error.to_string())?;
    if shards.iter().all(Option::is_none) {
        return Ok(budget.signed());
    }
    Ok(shards.iter().flatten().map(|shard| shard.avail).sum())
}

/// A job that was accepted completes within minutes.
async fn completed(client: &mut Client, tenant: usize, id: &str) -> Verdict {
    {
        let mut ledger = client.deployment.sim.ledger();
        ledger.response(id, tenant).is_background = true;
    }
    let began = client.deployment.sim.clock.now();
    let get = Ask {
        method: "GET",
        path: format!("{}/{id}", responses::PATH),
        bearer: client.own_key(tenant),
        ..Ask::default()
    };
    loop {
        let reply = client.send(&get).await;
        let status = reply.map(|reply| reply.json()["status"].as_str().unwrap_or_default().to_owned());
        let status = status.unwrap_or_default();
        if status == "completed" {
            return Ok(());
        }
        let waited = began.until(client.deployment.sim.clock.now());
        let goes_on = matches!(status.as_str(), "queued" | "in_progress") && waited < 600_000;
        expect(goes_on, || format!("tenant {tenant}: {id} was accepted when nothing failed, and is {status:?}"))?;
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}
