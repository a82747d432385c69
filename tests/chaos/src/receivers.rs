//! Simulated webhook receivers: they accept events or fail with a drawn fault, and record the events that they accepted.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rand::RngExt as _;
use shared::model::webhook::{Post, ReceiverAnswer, Receivers, RefusedUrl, SendError};

use crate::faults::ReceiverFault;
use crate::observations::AcceptedPost;
use crate::process::ProcessHandle;
use crate::sim::{Sim, Site};

pub(crate) struct SimulatedReceivers {
    sim: Arc<Sim>,
    /// The process that posts.
    process: ProcessHandle,
}

impl SimulatedReceivers {
    pub(crate) fn new(sim: Arc<Sim>, process: ProcessHandle) -> Self {
        Self { sim, process }
    }

    async fn receive(&self, post: &Post) -> Result<ReceiverAnswer, SendError> {
        let mut site_call = self.sim.begin_call(Site::Receiver);
        let point = site_call.point;
        let wait = Duration::from_millis(site_call.rng.random_range(5..400));
        let is_dead = post.url.contains("dead");
        let drawn = if is_dead { None } else { site_call.draw(&self.sim.scenario.receiver, &()) };
        if let Some(fault) = drawn {
            self.sim.record_fault(point, format_args!("receiver {} {}", post.url, fault.name));
        }
        let fault = if is_dead { Some(ReceiverFault::Refuse) } else { drawn.map(|fault| fault.effect) };
        self.sim.trace.note(format_args!("{point} {} posts {} to {}: {fault:?}", self.process, post.id, post.url));
        tokio::time::sleep(wait).await;
        if fault.is_none_or(ReceiverFault::accepts) {
            let Post { url, id, body, .. } = post.clone();
            self.sim.observed().accepted_posts.push(AcceptedPost { url, id, body });
        }
        match fault {
            None => Ok(ReceiverAnswer { status: 200, retry_after: None }),
            Some(fault) => fault.answer().await,
        }
    }
}

#[async_trait]
impl Receivers for SimulatedReceivers {
    async fn check(&self, _: &str) -> Result<(), RefusedUrl> {
        Ok(())
    }

    async fn post(&self, post: &Post) -> Result<ReceiverAnswer, SendError> {
        self.process.run(self.receive(post)).await
    }
}
