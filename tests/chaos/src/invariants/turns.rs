//! The conversation has the turn of every completed response exactly once, and no turn of a failed response. It has no
//! items beside those turns.

use std::sync::Arc;

use async_trait::async_trait;
use shared::data::ResponseRecord;
use shared::model::response::Status;

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

/// A turn has one item of input and one of output.
const ITEMS_OF_A_TURN: usize = 2;

/// Checks that a conversation has no more items than its turns have: a turn that is added twice is two turns.
async fn check_count(deployment: &Arc<Deployment>, tenant: usize) -> CheckResult {
    let mut client = Client::of_invariant(deployment, 6);
    let (project, conversation) = {
        let observed = deployment.sim.observed();
        let tenant = &observed.tenants[tenant];
        (tenant.project.id.clone(), tenant.conversation.clone())
    };
    let jobs = deployment.inspector.background_responses(&project).await?;
    let has_turn = |job: &&ResponseRecord| {
        let is_in = job.conversation_id.as_ref() == Some(&conversation);
        is_in && (job.deleted || matches!(job.status, Status::Completed | Status::Incomplete))
    };
    let path = format!("/v1/conversations/{conversation}/items?limit=100");
    let get = Request { method: "GET", path, bearer: client.permanent_key(tenant), ..Request::default() };
    let Some(items) = client.send(&get).await.map(|reply| reply.json()) else {
        return Err(format!("the conversation of tenant {tenant} cannot be read"));
    };
    let count = items["data"].as_array().map_or(0, Vec::len);
    let asked = {
        let observed = deployment.sim.observed();
        let is_here = |seen: &&SeenResponse| seen.project == tenant && seen.in_conversation;
        // The record of a deleted response is gone.
        let deleted = observed.responses.values().filter(is_here).filter(|seen| seen.is_background && seen.is_deleted);
        observed.asked_for_turns.iter().filter(|asked| **asked == tenant).count() + deleted.count()
    };
    let most = ITEMS_OF_A_TURN * (jobs.iter().filter(has_turn).count() + asked);
    expect(count <= most, || format!("the conversation of tenant {tenant} has {count} items, its turns have {most}"))
}

async fn check_turns(deployment: &Arc<Deployment>) -> CheckResult {
    let mut client = Client::of_invariant(deployment, 4);
    let made: Vec<(String, usize, String)> = {
        let observed = deployment.sim.observed();
        // weir promises the turn of a foreground response only if no fault prevents it.
        let is_promised = |seen: &SeenResponse| seen.is_background || deployment.sim.scenario.only_harmless;
        let made = observed.responses.iter();
        let made = made.filter(|(_, seen)| seen.in_conversation && !seen.is_deleted && is_promised(seen));
        made.map(|(id, seen)| (id.clone(), seen.project, observed.tenants[seen.project].conversation.clone())).collect()
    };
    for (id, project, conversation) in made {
        let get = |path, bearer| Request { method: "GET", path, bearer, ..Request::default() };
        let response = get(format!("/v1/responses/{id}"), client.permanent_key(project));
        let items = get(format!("/v1/conversations/{conversation}/items?limit=100"), client.permanent_key(project));
        let (Some(response), Some(items)) = (client.send(&response).await, client.send(&items).await) else {
            return Err(format!("{id} cannot be read"));
        };
        let (response, items) = (response.json(), items.json());
        if items["has_more"] == true {
            continue;
        }
        let times = usize::from(matches!(response["status"].as_str(), Some("completed" | "incomplete")));
        for item in response["output"].as_array().into_iter().flatten() {
            let stored = items["data"].as_array().into_iter().flatten().filter(|stored| stored["id"] == item["id"]);
            let (count, status) = (stored.count(), &response["status"]);
            expect(count == times, || {
                format!("{id} is {status}, its output {} is in the conversation {count} times", item["id"])
            })?;
        }
    }
    Ok(())
}
