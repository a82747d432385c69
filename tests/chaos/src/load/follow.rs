//! A client reads the events of a background response, from the first or a later one.

use async_trait::async_trait;
use rand::RngExt as _;
use rand::rngs::StdRng;

use super::responses::Reader;
use super::{Action, draw_tenant};
use crate::client::Client;

#[derive(Debug)]
struct Follow {
    project: usize,
    next: u64,
    times: u32,
}

pub(super) fn draw(rng: &mut StdRng) -> Box<dyn Action> {
    let next = if rng.random_bool(0.6) { 0 } else { rng.random_range(1..4) };
    Box::new(Follow { project: draw_tenant(rng), next, times: rng.random_range(1..5) })
}

#[async_trait]
impl Action for Follow {
    async fn run(&self, client: &mut Client) {
        let Some(id) = client.draw_job(self.project) else { return };
        Reader { project: self.project, id, next: self.next, has_ended: false }.resume(client, self.times).await;
    }
}
