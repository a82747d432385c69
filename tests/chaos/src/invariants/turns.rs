//! The conversation has the turn of every completed response exactly once, and no turn of a failed response. It has no
//! items beside the turns that clients asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::{CheckResult, Invariant, expect};
use crate::client::{Client, Request};
use crate::deployment::{Deployment, TENANTS};
use crate::observations::SeenResponse;

pub(super) struct Turns;

#[async_trait]
impl Invariant for Turns {
    fn name(&self) -> &'static str {
        "turns"
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        check_turns(deployment).await?;
        for tenant in 0..TENANTS {
            check_count(deployment, tenant).await?;
        }
        Ok(())
    }
}

/// Checks that no request has more turns in the conversation than it may have, and that nothing else is there.
async fn check_count(deployment: &Arc<Deployment>, tenant: usize) -> CheckResult {
    let items = read_conversation(deployment, tenant).await?;
    let (inputs, outputs): (Vec<_>, Vec<_>) = items.iter().partition(|item| item["role"] == "user");
    expect(outputs.len() <= inputs.len(), || {
        format!("the conversation of tenant {tenant} has {} inputs and {} outputs", inputs.len(), outputs.len())
    })?;
    let observed = deployment.sim.observed();
    let mut turns: BTreeMap<&str, u32> = BTreeMap::new();
    for input in inputs {
        let text = input["content"][0]["text"].as_str().unwrap_or_default();
        let count = turns.entry(text).or_default();
        *count += 1;
        let asked = observed.asked_for_turns.get(text).filter(|asked| asked.tenant == tenant);
        let most = asked.map_or(0, |asked| asked.tries);
        expect(*count <= most, || {
            format!(
                "the conversation of tenant {tenant} has \"{text}\" {count} times, at most {most} turns were asked for"
            )
        })?;
    }
    Ok(())
}

/// Reads all items of a tenant's conversation.
async fn read_conversation(deployment: &Arc<Deployment>, tenant: usize) -> Result<Vec<Value>, String> {
    let mut client = Client::of_invariant(deployment, 6);
    let conversation = deployment.sim.observed().tenants[tenant].conversation.clone();
    let mut items: Vec<Value> = Vec::new();
    loop {
        let after = items.last().and_then(|item| item["id"].as_str()).map(|id| format!("&after={id}"));
        let path = format!("/v1/conversations/{conversation}/items?limit=100{}", after.unwrap_or_default());
        let get = Request { method: "GET", path, bearer: client.permanent_key(tenant), ..Request::default() };
        let Some(page) = client.send(&get).await.map(|reply| reply.json()) else {
            return Err(format!("the conversation of tenant {tenant} cannot be read"));
        };
        items.extend(page["data"].as_array().into_iter().flatten().cloned());
        if page["has_more"] != true {
            return Ok(items);
        }
    }
}

async fn check_turns(deployment: &Arc<Deployment>) -> CheckResult {
    let mut client = Client::of_invariant(deployment, 4);
    let made: Vec<(String, usize)> = {
        let observed = deployment.sim.observed();
        // weir promises the turn of a foreground response only if no fault prevents it.
        let is_promised = |seen: &SeenResponse| seen.is_background || deployment.sim.scenario.only_harmless;
        let made = observed.responses.iter();
        let made = made.filter(|(_, seen)| seen.in_conversation && !seen.is_deleted && is_promised(seen));
        made.map(|(id, seen)| (id.clone(), seen.project)).collect()
    };
    for (id, project) in made {
        let path = format!("/v1/responses/{id}");
        let get = Request { method: "GET", path, bearer: client.permanent_key(project), ..Request::default() };
        let Some(response) = client.send(&get).await.map(|reply| reply.json()) else {
            return Err(format!("{id} cannot be read"));
        };
        let items = read_conversation(deployment, project).await?;
        let times = usize::from(matches!(response["status"].as_str(), Some("completed" | "incomplete")));
        for item in response["output"].as_array().into_iter().flatten() {
            let count = items.iter().filter(|stored| stored["id"] == item["id"]).count();
            let status = &response["status"];
            expect(count == times, || {
                format!("{id} is {status}, its output {} is in the conversation {count} times", item["id"])
            })?;
        }
    }
    Ok(())
}
