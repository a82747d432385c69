//! A client deletes a background response in any state.

use async_trait::async_trait;
use rand::rngs::StdRng;

use super::responses::PATH;
use super::{Action, draw_tenant};
use crate::client::{Client, Request};

#[derive(Debug)]
struct Delete {
    project: usize,
}

pub(super) fn draw(rng: &mut StdRng) -> Box<dyn Action> {
    Box::new(Delete { project: draw_tenant(rng) })
}

#[async_trait]
impl Action for Delete {
    async fn run(&self, client: &mut Client) {
        let Some(id) = client.draw_job(self.project) else { return };
        // From here on the response may be gone, even if the answer is an error.
        client.deployment.sim.observed().response(&id, self.project).is_deleted = true;
        let bearer = client.permanent_key(self.project);
        client.send(&Request { method: "DELETE", path: format!("{PATH}/{id}"), bearer, ..Request::default() }).await;
    }
}
