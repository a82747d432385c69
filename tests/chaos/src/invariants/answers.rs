//! After the faults, every tenant with enough budget is served: its call is answered, and its background response
//! completes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use super::{CheckResult, Invariant, expect};
use crate::client::{Client, Request};
use crate::deployment::{Deployment, TENANTS};
use crate::load::responses::response_id;
use crate::load::{chat, messages, prompt, responses};

pub(super) struct Answers;

/// The limit of output tokens of a call.
const OUTPUT: u64 = 20;
/// A breaker may be open, or a rate window full. One minute later neither is. A call whose process died counts as open until
/// the sweeper settles it, some four minutes after it began.
const TRIES: u32 = 5;
const MINUTE: Duration = Duration::from_secs(61);

#[async_trait]
impl Invariant for Answers {
    fn name(&self) -> &'static str {
        "answers"
    }

    async fn after_the_faults(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        let mut client = Client::of_invariant(deployment, 5);
        for tenant in 0..TENANTS {
            let content = "Anybody there?";
            let body =
                json!({"model": "chat", "messages": [{"role": "user", "content": content}], "max_tokens": OUTPUT});
            for path in [chat::PATH, messages::PATH] {
                check_call(&mut client, tenant, path, body.to_string(), false).await?;
            }
            let body = json!({"model": "chat", "input": content, "max_output_tokens": OUTPUT, "background": true});
            if let Some(job) = check_call(&mut client, tenant, responses::PATH, body.to_string(), true).await? {
                wait_until_completed(&mut client, tenant, &job).await?;
            }
        }
        Ok(())
    }
}

/// Makes a call, which must succeed if the tenant has enough left, and fail if it has nothing left. Returns the id of
/// the response that it created.
async fn check_call(
    client: &mut Client,
    tenant: usize,
    path: &'static str,
    body: String,
    is_job: bool,
) -> Result<Option<String>, String> {
    let upper_bound = prompt::cost(body.len() as u64 + prompt::MARGIN, OUTPUT);
    let of_tenant = if is_job { Request::of_job(tenant) } else { Request::of_tenant(tenant, false) };
    let mut request = Request { method: "POST", path: path.to_owned(), body, ..of_tenant };
    let mut answer = String::new();
    for _ in 0..TRIES {
        let left = read_left(client, tenant).await?;
        let reply = client.call_model(tenant, 0, &mut request, 5 * OUTPUT).await;
        let status = reply.as_ref().map_or(0, |reply| reply.status);
        answer = reply.as_ref().map(|reply| String::from_utf8_lossy(&reply.body).into_owned()).unwrap_or_default();
        expect(status != 200 || left > 0, || format!("tenant {tenant}: {left} left, and {path} is answered"))?;
        if let Some(reply) = reply.filter(|reply| reply.is_ok()) {
            return Ok(response_id(&reply.body));
        }
        if left < i64::try_from(upper_bound).unwrap_or(i64::MAX) {
            return Ok(None);
        }
        tokio::time::sleep(MINUTE).await;
    }
    Err(format!("tenant {tenant} has enough left, and {path} is answered with {answer}"))
}

/// Reads the amount that a tenant has left this month, in micro-dollars. Without a limit it is `i64::MAX`.
async fn read_left(client: &Client, tenant: usize) -> Result<i64, String> {
    let deployment = &client.deployment;
    let project = deployment.sim.observed().tenants[tenant].project.id.clone();
    let month = deployment.sim.clock.now().month();
    let project = deployment.inspector.project(&project).await?.ok_or_else(|| format!("tenant {tenant} is gone"))?;
    let Some(budget) = project.limits.budget else { return Ok(i64::MAX) };
    let shards = deployment.inspector.shards(&project.id, &month).await?;
    if shards.is_empty() {
        return Ok(budget.signed());
    }
    Ok(shards.iter().map(|shard| shard.avail).sum())
}

/// Waits until a background response completes, which must happen within ten minutes.
async fn wait_until_completed(client: &mut Client, tenant: usize, id: &str) -> CheckResult {
    {
        let mut observed = client.deployment.sim.observed();
        observed.response(id, tenant).is_background = true;
    }
    let started = client.deployment.sim.clock.now();
    let get = Request {
        method: "GET",
        path: format!("{}/{id}", responses::PATH),
        bearer: client.permanent_key(tenant),
        ..Request::default()
    };
    loop {
        let reply = client.send(&get).await;
        let status = reply.map(|reply| reply.json()["status"].as_str().unwrap_or_default().to_owned());
        let status = status.unwrap_or_default();
        if status == "completed" {
            return Ok(());
        }
        let waited = started.until(client.deployment.sim.clock.now());
        let goes_on = matches!(status.as_str(), "queued" | "in_progress") && waited < 600_000;
        expect(goes_on, || format!("tenant {tenant}: {id} was accepted when nothing failed, and is {status:?}"))?;
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}
