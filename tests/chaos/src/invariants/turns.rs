//! The conversation has the turn of every completed response exactly once, and no turn of a failed response.

use std::sync::Arc;

use async_trait::async_trait;

use super::{CheckResult, Invariant, expect};
use crate::client::{Client, Request};
use crate::deployment::Deployment;
use crate::observations::SeenResponse;

pub(super) struct Turns;

#[async_trait]
impl Invariant for Turns {
    fn name(&self) -> &'static str {
        "turns"
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        let mut client = Client::of_invariant(deployment, 4);
        let made: Vec<(String, usize, String)> = {
            let observed = deployment.sim.observed();
            // weir promises the turn of a foreground response only if no fault prevents it.
            let is_promised = |seen: &SeenResponse| seen.is_background || deployment.sim.scenario.only_harmless;
            let made = observed.responses.iter();
            let made = made.filter(|(_, seen)| seen.in_conversation && !seen.is_deleted && is_promised(seen));
            made.map(|(id, seen)| (id.clone(), seen.project, observed.tenants[seen.project].conversation.clone()))
                .collect()
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
}
