//! The turn of every completed response is in its conversation, once, and nothing of those that failed.

use std::sync::Arc;

use async_trait::async_trait;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::{Invariant, Verdict, expect};
use crate::client::{Ask, Client};
use crate::deployment::Deployment;
use crate::ledger::SeenResponse;

pub(super) struct Turns;

#[async_trait]
impl Invariant for Turns {
    fn name(&self) -> &'static str {
        "turns"
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> Verdict {
        let mut client = Client { deployment: Arc::clone(deployment), operation: 0, rng: StdRng::seed_from_u64(4) };
        let made: Vec<(String, usize, String)> = {
            let ledger = deployment.sim.ledger();
            // The turn of a response that its caller waits for is added while nothing fails.
            let is_kept = |seen: &SeenResponse| seen.is_background || deployment.sim.weather.is_calm;
            let made = ledger.responses.iter();
            let made = made.filter(|(_, seen)| seen.conversation && !seen.is_deleted && is_kept(seen));
            made.map(|(id, seen)| (id.clone(), seen.project, ledger.tenants[seen.project].conversation.clone()))
                .collect()
        };
        for (id, project, conversation) in made {
            let get = |path, bearer| Ask { method: "GET", path, bearer, ..Ask::default() };
            let response = get(format!("/v1/responses/{id}"), client.own_key(project));
            let items = get(format!("/v1/conversations/{conversation}/items?limit=100"), client.own_key(project));
            let (Some(response), Some(items)) = (client.send(&response).await, client.send(&items).await) else {
                return Err(format!("{id} cannot be read"));
            };
            let (response, items) = (response.json(), items.json());
            if items["has_more"] == true {
                continue;
            }
            let times = usize::from(matches!(response["status"].as_str(), Some("completed" | "incomplete")));
            for item in response["output"].as_array().into_iter().flatten() {
                let kept = items["data"].as_array().into_iter().flatten().filter(|kept| kept["id"] == item["id"]);
                let (count, status) = (kept.count(), &response["status"]);
                expect(count == times, || {
                    format!("{id} is {status}, its output {} is in the conversation {count} times", item["id"])
                })?;
            }
        }
        Ok(())
    }
}
