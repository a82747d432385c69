//! Somebody deletes a background response, whatever it is doing.

use async_trait::async_trait;
use rand::rngs::StdRng;

use super::responses::PATH;
use super::{Load, tenant};
use crate::client::{Ask, Client};

#[derive(Debug)]
struct Delete {
    project: usize,
}

pub(super) fn draw(rng: &mut StdRng) -> Box<dyn Load> {
    Box::new(Delete { project: tenant(rng) })
}

#[async_trait]
impl Load for Delete {
    async fn run(&self, client: &mut Client) {
        let Some(id) = client.some_job(self.project) else { return };
        // It may be gone from here on, whatever the answer is.
        client.deployment.sim.ledger().response(&id, self.project).is_deleted = true;
        let bearer = client.own_key(self.project);
        client.send(&Ask { method: "DELETE", path: format!("{PATH}/{id}"), bearer, ..Ask::default() }).await;
    }
}
