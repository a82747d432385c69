//! The platform's part: messages become events of workers, the schedule comes round; by chance twice, or not at all.

use std::sync::Arc;
use std::time::Duration;

use embedded::Received;
use shared::data::Queue;
use shared::edge::worker::{SqsBatchResponse, SqsEvent};
use tokio::task::JoinSet;

use crate::deployment::Deployment;
use crate::faults::{BatchFault, Odds, TimerFault};
use crate::process::Process;
use crate::sim::{Sim, Site};

/// What a worker may take for a batch.
const WORKER_TIMEOUT: Duration = Duration::from_secs(900);
const MINUTE: Duration = Duration::from_secs(60);
const BATCH: usize = 10;

/// Workers and timers, until this is dropped.
pub(crate) struct Platform {
    running: JoinSet<()>,
}

impl Platform {
    #[must_use]
    pub(crate) fn start(deployment: &Arc<Deployment>) -> Self {
        let mut platform = Self::workers(deployment);
        platform.running.spawn(minutes(Arc::clone(deployment)));
        platform
    }

    /// Without the timers.
    #[must_use]
    pub(crate) fn workers(deployment: &Arc<Deployment>) -> Self {
        let mut running = JoinSet::new();
        for queue in Queue::ALL {
            running.spawn(work(Arc::clone(deployment), queue));
        }
        Self { running }
    }
}

/// Draws the fault of an event `what` of the platform.
fn draw<E: Copy>(sim: &Sim, what: &str, odds: &Odds<(), E>) -> Option<E> {
    let mut arrival = sim.arrive(Site::Platform);
    let fault = arrival.draw(odds, &())?;
    sim.inject(arrival.place, format_args!("{what}: {}", fault.name));
    Some(fault.effect)
}

async fn work(deployment: Arc<Deployment>, queue: Queue) {
    let sqs = deployment.engines.sqs.clone();
    let mut batches = JoinSet::new();
    while sqs.wait_for_message(queue.name()).await.is_ok() {
        let received = sqs.receive(queue.name(), BATCH).unwrap_or_default();
        if !received.is_empty() {
            let fault = draw(&deployment.sim, queue.name(), &deployment.sim.weather.batch);
            if fault == Some(BatchFault::Twice) {
                batches.spawn(run(Arc::clone(&deployment), queue, "b", received.clone(), None));
            }
            batches.spawn(run(Arc::clone(&deployment), queue, "a", received, fault));
        }
    }
}

/// Gives messages to a worker and deletes what it is done with, if it lives that long.
async fn run(
    deployment: Arc<Deployment>,
    queue: Queue,
    twin: &str,
    received: Vec<Received>,
    fault: Option<BatchFault>,
) {
    let process = deployment.process(&format!("{}-{twin}", queue.name()));
    let event = local::event_of(queue.name(), received);
    let messages = event.records.clone();
    deployment.sim.trace.note(format_args!("{} gets {} messages", process.life, messages.len()));
    let working = tokio::time::timeout(WORKER_TIMEOUT, job(&process, queue, event));
    let death = async {
        if fault == Some(BatchFault::WorkerDies) {
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            process.life.end();
        }
        process.life.ended().await;
    };
    tokio::select! {
        biased;
        () = death => {}
        worked = working => match worked {
            Ok(response) if fault != Some(BatchFault::NotDeleted) => {
                let _ = local::acknowledge(&deployment.engines.sqs, queue.name(), &messages, &response);
            }
            // A function that runs into its timeout is ended; all of its messages come again.
            Err(_) => process.life.end(),
            Ok(_) => {}
        }
    }
}

async fn job(process: &Process, queue: Queue, event: SqsEvent) -> SqsBatchResponse {
    let ends = process.gateway.clock().now().plus_ms(900_000);
    let gateway = Arc::clone(&process.gateway);
    match queue {
        Queue::Respond => respond::job(event, gateway, Some(ends)).await,
        Queue::Deliver => deliver::job(event, gateway).await,
    }
}

async fn minutes(deployment: Arc<Deployment>) {
    loop {
        tokio::time::sleep(MINUTE).await;
        match draw(&deployment.sim, "sweep", &deployment.sim.weather.timer) {
            Some(TimerFault::Skipped) => {}
            Some(TimerFault::Twice) => drop(tokio::join!(sweep(&deployment, "sweep-a"), sweep(&deployment, "sweep-b"))),
            None => sweep(&deployment, "sweep-a").await,
        }
    }
}

/// One sweep, to its end or its process's.
pub(crate) async fn sweep(deployment: &Deployment, role: &str) {
    let process = deployment.process(role);
    tokio::select! {
        biased;
        () = process.life.ended() => {}
        swept = process.gateway.sweep() => deployment.sim.trace.note(format_args!("{} swept: {}", process.life, swept.is_ok())),
    }
}
