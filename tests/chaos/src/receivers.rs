//! Webhook receivers that take, refuse and lose events by rng, and remember what they took.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rand::RngExt as _;
use shared::model::webhook::{Answer, Post, Receivers, RefusedUrl, SendError};

use crate::faults::ReceiverFault;
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
        let mut arrival = self.sim.arrive(Site::Receiver);
        let place = arrival.place;
        let wait = Duration::from_millis(arrival.rng.random_range(5..400));
        let is_dead = post.url.contains("dead");
        let drawn = if is_dead { None } else { arrival.draw(&self.sim.weather.receiver, &()) };
        if let Some(fault) = drawn {
            self.sim.inject(place, format_args!("receiver {} {}", post.url, fault.name));
        }
        let fault = if is_dead { Some(ReceiverFault::Refuse) } else { drawn.map(|fault| fault.effect) };
        self.sim.trace.note(format_args!("{place} {} posts {} to {}: {fault:?}", self.life, post.id, post.url));
        tokio::time::sleep(wait).await;
        if fault.is_none_or(ReceiverFault::accepts) {
            let Post { url, id, body, .. } = post.clone();
            self.sim.ledger().taken.push(Taken { url, id, body });
        }
        match fault {
            None => Ok(Answer { status: 200, retry_after: None }),
            Some(fault) => fault.answer().await,
        }
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
