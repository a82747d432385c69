//! The platform: it invokes workers with messages and the sweeper each minute, sometimes twice or not at all.

use std::sync::Arc;
use std::time::Duration;

use embedded::Received;
use shared::data::Queue;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::deployment::Deployment;
use crate::faults::{BatchFault, Odds, TimerFault};
use crate::sim::{Sim, Site};

/// The time that a worker may take for a batch.
const WORKER_TIMEOUT: Duration = Duration::from_secs(900);
/// The time after which [`BatchFault::WorkerDies`] kills the worker.
const WORKER_DIES_AFTER: Duration = Duration::from_millis(1_500);
const MINUTE: Duration = Duration::from_secs(60);
const BATCH: usize = 10;
/// Invocations of the worker of a queue at the same time: several times the jobs of the hostile tenant.
const INVOCATIONS: usize = 12;

/// Workers and timers, until this is dropped.
pub(crate) struct Platform {
    running: JoinSet<()>,
}

impl Platform {
    #[must_use]
    pub(crate) fn start_with_timers(deployment: &Arc<Deployment>) -> Self {
        let mut platform = Self::start_workers(deployment);
        platform.running.spawn(fire_timers(Arc::clone(deployment)));
        platform
    }

    #[must_use]
    pub(crate) fn start_workers(deployment: &Arc<Deployment>) -> Self {
        let mut running = JoinSet::new();
        for queue in Queue::ALL {
            running.spawn(poll(Arc::clone(deployment), queue));
        }
        Self { running }
    }
}

/// Draws the fault of a batch or a timer, whose name is `source`.
fn draw<E: Copy>(sim: &Sim, source: &str, odds: &Odds<(), E>) -> Option<E> {
    let mut site_call = sim.begin_call(Site::Platform);
    let fault = site_call.draw(odds, &())?;
    sim.record_fault(site_call.point, format_args!("{source}: {}", fault.name));
    Some(fault.effect)
}

/// Invokes the worker of a queue for each batch of messages.
async fn poll(deployment: Arc<Deployment>, queue: Queue) {
    let sqs = deployment.engines.sqs.clone();
    let mut batches = JoinSet::new();
    let invocations = Arc::new(Semaphore::new(INVOCATIONS));
    while let Ok(invocation) = Arc::clone(&invocations).acquire_owned().await
        && sqs.wait_for_message(queue.name()).await.is_ok()
    {
        let received = sqs.receive(queue.name(), BATCH).unwrap_or_default();
        if !received.is_empty() {
            let fault = draw(&deployment.sim, queue.name(), &deployment.sim.scenario.batch);
            if fault == Some(BatchFault::Twice) {
                batches.spawn(run_batch(Arc::clone(&deployment), queue, "b", received.clone(), None));
            }
            let batch = run_batch(Arc::clone(&deployment), queue, "a", received, fault);
            batches.spawn(async move {
                batch.await;
                drop(invocation);
            });
        }
    }
}

/// Gives messages to a worker, and deletes those that it has handled, if it lives that long.
async fn run_batch(
    deployment: Arc<Deployment>,
    queue: Queue,
    worker: &str,
    received: Vec<Received>,
    fault: Option<BatchFault>,
) {
    let process = deployment.process(&format!("{}-{worker}", queue.name()));
    let event = local::event_of(queue.name(), received);
    let messages = event.records.clone();
    deployment.sim.trace.note(format_args!("{} gets {} messages", process.handle, messages.len()));
    let invocation = tokio::time::timeout(WORKER_TIMEOUT, process.invoke_worker(queue, event));
    let death = async {
        if fault == Some(BatchFault::WorkerDies) {
            tokio::time::sleep(WORKER_DIES_AFTER).await;
            process.handle.kill();
        }
        process.handle.wait_for_death().await;
    };
    tokio::select! {
        biased;
        () = death => {}
        result = invocation => match result {
            Ok(response) if fault != Some(BatchFault::NotDeleted) => {
                let _ = local::acknowledge(&deployment.engines.sqs, queue.name(), &messages, &response);
            }
            // Lambda ends a function that reaches its timeout, and SQS delivers all of its messages again.
            Err(_) => process.handle.kill(),
            Ok(_) => {}
        }
    }
}

async fn fire_timers(deployment: Arc<Deployment>) {
    loop {
        tokio::time::sleep(MINUTE).await;
        match draw(&deployment.sim, "sweep", &deployment.sim.scenario.timer) {
            Some(TimerFault::Skipped) => {}
            Some(TimerFault::Twice) => drop(tokio::join!(sweep(&deployment, "sweep-a"), sweep(&deployment, "sweep-b"))),
            None => sweep(&deployment, "sweep-a").await,
        }
    }
}

/// Runs one sweep, until it ends or its process dies.
pub(crate) async fn sweep(deployment: &Deployment, role: &str) {
    let process = deployment.process(role);
    tokio::select! {
        biased;
        () = process.handle.wait_for_death() => {}
        is_ok = process.sweep() => deployment.sim.trace.note(format_args!("{} swept: {is_ok}", process.handle)),
    }
}
