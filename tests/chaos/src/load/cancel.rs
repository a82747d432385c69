//! A client cancels a background response.

use async_trait::async_trait;
use rand::rngs::StdRng;

use super::responses::PATH;
use super::{Action, draw_tenant};
use crate::client::{Client, Request};

#[derive(Debug)]
struct Cancel {
    project: usize,
}

pub(super) fn draw(rng: &mut StdRng) -> Box<dyn Action> {
    Box::new(Cancel { project: draw_tenant(rng) })
}

#[async_trait]
impl Action for Cancel {
    async fn run(&self, client: &mut Client) {
        let Some(id) = client.draw_job(self.project) else { return };
        let bearer = client.permanent_key(self.project);
        client
            .send(&Request { method: "POST", path: format!("{PATH}/{id}/cancel"), bearer, ..Request::default() })
            .await;
    }
}
