//! Webhook receivers that take, refuse and lose events by rng, and remember what they took.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rand::RngExt as _;
use shared::model::webhook::{Answer, Post, Receivers, RefusedUrl, SendError};

use crate::faults::receiver::{Turn, drawn};
use crate::ledger::Taken;
use crate::process::Life;
use crate::sim::{Sim, Site};

pub(crate) struct ReceiversByChance {
    sim: Arc<Sim>,
    life: Life,
}

impl ReceiversByChance {
    pub(crate) fn new(sim: Arc<Sim>, life: Life) -> Self {
        Self { sim, life }
    }

    async fn receive(&self, post: &Post) -> Result<Answer, SendError> {
        let (place, mut rng, open) = self.sim.arrive(Site::Receiver);
        let wait = Duration::from_millis(rng.random_range(5..400));
        let turn = match () {
            () if post.url.contains("dead") => Turn::Refuse,
            () if open => drawn(self.sim.weather.receiver, &mut rng),
            () => Turn::Take,
        };
        if open && turn != Turn::Take && !post.url.contains("dead") {
            self.sim.inject(place, format_args!("receiver {}: {turn:?}", post.url));
        }
        self.sim.trace.note(format_args!("{place} {} posts {} to {}: {turn:?}", self.life, post.id, post.url));
        tokio::time::sleep(wait).await;
        if turn.takes() {
            let Post { url, id, body, .. } = post.clone();
            self.sim.ledger().taken.push(Taken { url, id, body });
        }
        turn.answer().await
    }
}

#[async_trait]
impl Receivers for ReceiversByChance {
    async fn check(&self, _: &str) -> Result<(), RefusedUrl> {
        Ok(())
    }

    async fn post(&self, post: &Post) -> Result<Answer, SendError> {
        self.life.live(self.receive(post)).await
    }
}
