//! Somebody tries ids of another project with a key of their own.

use async_trait::async_trait;
use rand::rngs::StdRng;
use serde_json::json;

use super::responses::PATH;
use super::{Load, tenant};
use crate::client::{Ask, Client};
use crate::deployment::TENANTS;
use crate::invariants::tenancy;

/// Tokens of output that are asked for.
const OUTPUT: u64 = 20;

#[derive(Debug)]
struct Snoop {
    project: usize,
}

pub(super) fn draw(rng: &mut StdRng) -> Box<dyn Load> {
    Box::new(Snoop { project: tenant(rng) })
}

#[async_trait]
impl Load for Snoop {
    async fn run(&self, client: &mut Client) {
        let Some(id) = client.some_job(self.project) else { return };
        let other = (self.project + 1) % TENANTS;
        let bearer = client.own_key(other);
        for ask in tenancy::attempts(&id, &bearer) {
            if let Some(reply) = client.send(&ask).await {
                tenancy::judge(&mut client.deployment.sim.ledger(), &ask, reply.status);
            }
        }
        let conversation = client.deployment.sim.ledger().tenants[self.project].conversation.clone();
        for (member, id) in [("previous_response_id", id), ("conversation", conversation)] {
            go_on(client, other, member, &id).await;
        }
    }
}

/// A tenant goes on from what is another's, as if it were his own.
async fn go_on(client: &mut Client, tenant: usize, member: &str, id: &str) {
    let mut body = json!({"model": "chat", "input": "And then?", "max_output_tokens": OUTPUT});
    body[member] = json!(id);
    let body = body.to_string();
    let mut ask = Ask { method: "POST", path: PATH.to_owned(), body, ..Ask::of_tenant(tenant, false) };
    let reply = client.call(tenant, 0, &mut ask, OUTPUT).await;
    if reply.is_some_and(|reply| reply.status == 200) {
        let what = format!("tenant {tenant} went on from {member} {id} of another");
        client.deployment.sim.ledger().violation("tenancy", what);
    }
}
