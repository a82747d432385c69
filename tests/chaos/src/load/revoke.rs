//! An administrator revokes a key.

use async_trait::async_trait;
use rand::RngExt as _;
use rand::rngs::StdRng;

use super::{Action, draw_tenant};
use crate::client::{Client, Request};

#[derive(Debug)]
struct Revoke {
    project: usize,
    key: usize,
}

pub(super) fn draw(rng: &mut StdRng) -> Box<dyn Action> {
    Box::new(Revoke { project: draw_tenant(rng), key: rng.random_range(1..3) })
}

#[async_trait]
impl Action for Revoke {
    async fn run(&self, client: &mut Client) {
        let (project_id, key_id) = {
            let observed = client.deployment.sim.observed();
            let tenant = &observed.tenants[self.project];
            (tenant.project.id.clone(), tenant.keys[self.key].1.clone())
        };
        let path = format!("/v1/organization/projects/{project_id}/api_keys/{key_id}");
        let request = Request { method: "DELETE", path, bearer: kit::ADMIN_KEY.to_owned(), ..Request::default() };
        let Some(done) = client.confirm(&request).await else { return };
        let now = client.deployment.sim.clock.now();
        let bearer = {
            let mut observed = client.deployment.sim.observed();
            let tenant = &mut observed.tenants[self.project];
            tenant.revoked.entry(self.key).or_insert(now);
            tenant.keys[self.key].0.clone()
        };
        // An instance must refuse the key at once if it revoked the key itself. After 404, another instance did.
        if done.status == 200 {
            let request = Request { method: "GET", path: "/v1/models".to_owned(), bearer, ..Request::default() };
            if client.send_to(done.instance, &request).await.is_some_and(|reply| reply.status == 200) {
                client.deployment.sim.observed().violation("keys", "a key is good where it was revoked");
            }
        }
    }
}
