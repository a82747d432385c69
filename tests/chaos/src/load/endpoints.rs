//! An owner disables or deletes a webhook endpoint while deliveries to it are pending.

use async_trait::async_trait;
use rand::RngExt as _;
use rand::rngs::StdRng;

use super::{Action, draw_tenant};
use crate::client::{Client, Request};

#[derive(Debug)]
struct Endpoints {
    project: usize,
    deletes: bool,
}

pub(super) fn draw(rng: &mut StdRng) -> Box<dyn Action> {
    Box::new(Endpoints { project: draw_tenant(rng), deletes: rng.random_bool(0.5) })
}

#[async_trait]
impl Action for Endpoints {
    async fn run(&self, client: &mut Client) {
        let id = {
            let mut observed = client.deployment.sim.observed();
            let endpoint = &mut observed.tenants[self.project].endpoints[1];
            endpoint.is_unchanged = false;
            endpoint.id.clone()
        };
        let path = format!("/v1/webhook_endpoints/{id}");
        let bearer = client.permanent_key(self.project);
        let request = match self.deletes {
            true => Request { method: "DELETE", path, bearer, ..Request::default() },
            false => Request {
                method: "POST",
                path,
                bearer,
                body: r#"{"status":"disabled"}"#.to_owned(),
                ..Request::default()
            },
        };
        client.confirm(&request).await;
    }
}
