//! An owner disables or deletes a webhook endpoint while events are on their way.

use async_trait::async_trait;
use rand::RngExt as _;
use rand::rngs::StdRng;

use super::{Load, tenant};
use crate::client::{Ask, Client};

#[derive(Debug)]
struct Endpoints {
    project: usize,
    deletes: bool,
}

pub(super) fn draw(rng: &mut StdRng) -> Box<dyn Load> {
    Box::new(Endpoints { project: tenant(rng), deletes: rng.random_bool(0.5) })
}

#[async_trait]
impl Load for Endpoints {
    async fn run(&self, client: &mut Client) {
        let id = {
            let mut ledger = client.deployment.sim.ledger();
            let endpoint = &mut ledger.tenants[self.project].endpoints[1];
            endpoint.is_untouched = false;
            endpoint.id.clone()
        };
        let path = format!("/v1/webhook_endpoints/{id}");
        let bearer = client.own_key(self.project);
        let ask = match self.deletes {
            true => Ask { method: "DELETE", path, bearer, ..Ask::default() },
            false => {
                Ask { method: "POST", path, bearer, body: r#"{"status":"disabled"}"#.to_owned(), ..Ask::default() }
            }
        };
        client.until_done(&ask).await;
    }
}
