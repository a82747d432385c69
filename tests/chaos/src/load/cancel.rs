//! Somebody cancels a background response.

use async_trait::async_trait;
use rand::rngs::StdRng;

use super::responses::PATH;
use super::{Load, tenant};
use crate::client::{Ask, Client};

#[derive(Debug)]
struct Cancel {
    project: usize,
}

pub(super) fn draw(rng: &mut StdRng) -> Box<dyn Load> {
    Box::new(Cancel { project: tenant(rng) })
}

#[async_trait]
impl Load for Cancel {
    async fn run(&self, client: &mut Client) {
        let Some(id) = client.some_job(self.project) else { return };
        let bearer = client.own_key(self.project);
        client.send(&Ask { method: "POST", path: format!("{PATH}/{id}/cancel"), bearer, ..Ask::default() }).await;
    }
}
