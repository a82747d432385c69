//! The turn of every completed background response is in its conversation, once.

use std::sync::Arc;

use async_trait::async_trait;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::{Invariant, Verdict, expect};
use crate::client::{Ask, Client};
use crate::deployment::Deployment;

pub(super) struct Turns;

#[async_trait]
impl Invariant for Turns {
    fn name(&self) -> &'static str {
        "turns"
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> Verdict {
        let mut client = Client { deployment: Arc::clone(deployment), operation: 0, chance: StdRng::seed_from_u64(4) };
        let made: Vec<(String, usize, String)> = {
            let ledger = deployment.sim.ledger();
            let made = ledger.responses.iter().filter(|(_, seen)| seen.conversation && !seen.is_deleted);
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
            if response["status"] != "completed" || items["has_more"] == true {
                continue;
            }
            for item in response["output"].as_array().into_iter().flatten() {
                let kept = items["data"].as_array().into_iter().flatten().filter(|kept| kept["id"] == item["id"]);
                let count = kept.count();
                expect(count == 1, || format!("{id}: its output {} is in the conversation {count} times", item["id"]))?;
            }
        }
        Ok(())
    }
}
