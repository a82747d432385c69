//! A client uses the ids of another tenant with its own key.

use async_trait::async_trait;
use rand::rngs::StdRng;
use serde_json::json;

use super::responses::PATH;
use super::{Action, draw_tenant};
use crate::client::{Client, Request};
use crate::deployment::TENANTS;
use crate::invariants::tenancy;

/// The limit of output tokens of a call.
const OUTPUT: u64 = 20;

#[derive(Debug)]
struct CrossTenant {
    project: usize,
}

pub(super) fn draw(rng: &mut StdRng) -> Box<dyn Action> {
    Box::new(CrossTenant { project: draw_tenant(rng) })
}

#[async_trait]
impl Action for CrossTenant {
    async fn run(&self, client: &mut Client) {
        let Some(id) = client.draw_job(self.project) else { return };
        let other = (self.project + 1) % TENANTS;
        let bearer = client.permanent_key(other);
        for request in tenancy::foreign_requests(&id, &bearer) {
            if let Some(reply) = client.send(&request).await {
                tenancy::check_not_found(&mut client.deployment.sim.observed(), &request, reply.status);
            }
        }
        let conversation = client.deployment.sim.observed().tenants[self.project].conversation.clone();
        for (member, id) in [("previous_response_id", id), ("conversation", conversation)] {
            continue_foreign(client, other, member, &id).await;
        }
    }
}

/// Tries to continue a response or a conversation of another tenant.
async fn continue_foreign(client: &mut Client, tenant: usize, member: &str, id: &str) {
    let mut body = json!({"model": "chat", "input": "And then?", "max_output_tokens": OUTPUT});
    body[member] = json!(id);
    let body = body.to_string();
    let mut request = Request { method: "POST", path: PATH.to_owned(), body, ..Request::of_tenant(tenant, false) };
    let reply = client.call_model(tenant, 0, &mut request, OUTPUT).await;
    if reply.is_some_and(|reply| reply.status == 200) {
        let message = format!("tenant {tenant} went on from {member} {id} of another");
        client.deployment.sim.observed().violation("tenancy", message);
    }
}
