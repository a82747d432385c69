//! An administrator revokes a key.

use async_trait::async_trait;
use rand::RngExt as _;
use rand::rngs::StdRng;

use super::{Load, tenant};
use crate::client::{Ask, Client};

#[derive(Debug)]
struct Revoke {
    project: usize,
    key: usize,
}

pub(super) fn draw(rng: &mut StdRng) -> Box<dyn Load> {
    Box::new(Revoke { project: tenant(rng), key: rng.random_range(1..3) })
}

#[async_trait]
impl Load for Revoke {
    async fn run(&self, client: &mut Client) {
        let (project_id, key_id) = {
            let ledger = client.deployment.sim.ledger();
            let tenant = &ledger.tenants[self.project];
            (tenant.project.id.clone(), tenant.keys[self.key].1.clone())
        };
        let path = format!("/v1/organization/projects/{project_id}/api_keys/{key_id}");
        let ask = Ask { method: "DELETE", path, bearer: kit::ADMIN_KEY.to_owned(), ..Ask::default() };
        let Some(done) = client.confirmation(&ask).await else { return };
        let now = client.deployment.sim.clock.now();
        let bearer = {
            let mut ledger = client.deployment.sim.ledger();
            let tenant = &mut ledger.tenants[self.project];
            tenant.revoked.entry(self.key).or_insert(now);
            tenant.keys[self.key].0.clone()
        };
        // The process that revoked it knows at once; one that only found it gone does not.
        if done.status == 200 {
            let ask = Ask { method: "GET", path: "/v1/models".to_owned(), bearer, ..Ask::default() };
            if client.send_to(done.place, &ask).await.is_some_and(|reply| reply.status == 200) {
                client.deployment.sim.ledger().violation("keys", "a key is good where it was revoked");
            }
        }
    }
}
