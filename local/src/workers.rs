//! The part of the platform that starts workers and timers on AWS. It passes the messages of a queue to the queue's
//! worker and deletes those that the worker processed, and it starts the timers each minute.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use embedded::{Received, Refusal, Sqs, queue_arn};
use shared::app::Components;
use shared::edge::Telemetry;
use shared::edge::worker::{SqsBatchResponse, SqsEvent, SqsMessage};
use shared::model::clock::Clock;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::functions::{FUNCTIONS, Function, Worker};

/// The most messages of a batch.
const BATCH: usize = 10;
/// The most messages of a queue that are worked on at the same time. Messages that come one by one make batches of one, and
/// each may take minutes.
const MAX_MESSAGES: usize = 500;
/// The time that a worker has for a batch: the longest that Lambda allows.
const WORKER_TIMEOUT: Duration = Duration::from_secs(900);
const TIMER_PERIOD: Duration = Duration::from_secs(60);

/// Runs workers and timers until `stopping`, and then the batches that have begun to their end. The messages that
/// remain are lost with the process; the first sweep of the next process finds their jobs.
pub(crate) async fn run(components: &Components, sqs: &Sqs, telemetry: &Telemetry, stopping: &CancellationToken) {
    let mut running = JoinSet::new();
    for (name, function) in FUNCTIONS {
        let (stopping, telemetry) = (stopping.clone(), telemetry.for_function(name));
        match function {
            Function::Http(_) => {}
            Function::Worker(worker) => {
                let (sqs, clock) = (sqs.clone(), components.clock().clone());
                let worker = observe(worker(components), telemetry);
                running.spawn(async move { log_error(name, feed(&sqs, name, &worker, &clock, &stopping).await) });
            }
            Function::Timer(job) => {
                let job = job(components);
                running.spawn(async move { repeat(|| telemetry.observe_and_flush(job()), &stopping).await });
            }
        }
    }
    while running.join_next().await.is_some() {}
}

/// Makes a worker whose batches `telemetry` records.
fn observe(worker: Worker, telemetry: Telemetry) -> Worker {
    Arc::new(move |event, deadline| {
        let (telemetry, work) = (telemetry.clone(), worker(event, deadline));
        Box::pin(async move { telemetry.observe_and_flush(work).await })
    })
}

fn log_error(queue: &str, outcome: Result<(), Refusal>) {
    if let Err(error) = outcome {
        tracing::error!(queue, %error, "worker stopped");
    }
}

/// Runs `job` at once and then each minute, until `stopping`. The job logs its errors itself.
async fn repeat<F, E>(job: impl Fn() -> F, stopping: &CancellationToken)
where
    F: Future<Output = Result<(), E>>,
{
    let mut minutes = tokio::time::interval(TIMER_PERIOD);
    minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = minutes.tick() => {}
        }
        let _ = job().await;
    }
}

/// Passes the messages of a queue to its worker until `stopping`, and then waits for the batches that have begun.
///
/// # Errors
/// If there is no such queue.
async fn feed(
    sqs: &Sqs,
    queue: &'static str,
    worker: &Worker,
    clock: &Clock,
    stopping: &CancellationToken,
) -> Result<(), Refusal> {
    let (mut batches, room) = (JoinSet::new(), Arc::new(Semaphore::new(MAX_MESSAGES)));
    loop {
        tokio::select! {
            () = stopping.cancelled() => break,
            Some(_) = batches.join_next() => {}
            waited = sqs.wait_for_message(queue), if room.available_permits() > 0 => {
                waited?;
                let received = sqs.receive(queue, BATCH.min(room.available_permits()))?;
                let taken = Arc::clone(&room).try_acquire_many_owned(u32::try_from(received.len()).unwrap_or(u32::MAX));
                if !received.is_empty() {
                    let batch = run_batch(sqs.clone(), queue, received, Arc::clone(worker), clock.clone());
                    batches.spawn(async move {
                        batch.await;
                        drop(taken);
                    });
                }
            }
        }
    }
    while batches.join_next().await.is_some() {}
    Ok(())
}

async fn run_batch(sqs: Sqs, queue: &'static str, received: Vec<Received>, worker: Worker, clock: Clock) {
    let event = event_of(queue, received);
    let messages = event.records.clone();
    let timeout_ms = u64::try_from(WORKER_TIMEOUT.as_millis()).unwrap_or(u64::MAX);
    // Lambda ends a function at its timeout and deletes none of its messages, so that all of them are delivered again.
    let answer = tokio::time::timeout(WORKER_TIMEOUT, worker(event, clock.now().plus_ms(timeout_ms))).await;
    match answer {
        Ok(response) => log_error(queue, acknowledge(&sqs, queue, &messages, &response)),
        Err(_) => tracing::error!(queue, messages = messages.len(), "worker timed out"),
    }
}

/// The event that Lambda makes of the messages of a queue.
#[must_use]
pub fn event_of(queue: &str, received: Vec<Received>) -> SqsEvent {
    let mut event = SqsEvent::default();
    event.records = received.into_iter().map(|message| record_of(queue, message)).collect();
    event
}

fn record_of(queue: &str, message: Received) -> SqsMessage {
    let mut record = SqsMessage::default();
    let attributes = message.system_attributes().into_iter();
    record.attributes = attributes.map(|(name, value)| (name.to_owned(), value)).collect();
    record.message_id = Some(message.message_id);
    record.receipt_handle = Some(message.receipt_handle);
    record.body = Some(message.body);
    record.md5_of_body = Some(message.md5_of_body);
    record.event_source = Some("aws:sqs".to_owned());
    record.event_source_arn = Some(queue_arn(queue));
    record.aws_region = Some("us-east-1".to_owned());
    record
}

/// Deletes the messages of a batch that did not fail. The failed ones are delivered again after the visibility timeout.
///
/// # Errors
/// If there is no such queue, or a message is not from it.
pub fn acknowledge(
    sqs: &Sqs,
    queue: &str,
    messages: &[SqsMessage],
    response: &SqsBatchResponse,
) -> Result<(), Refusal> {
    let failed: HashSet<&str> =
        response.batch_item_failures.iter().map(|failure| failure.item_identifier.as_str()).collect();
    for message in messages {
        if !failed.contains(message.message_id.as_deref().unwrap_or_default()) {
            sqs.delete(queue, message.receipt_handle.as_deref().unwrap_or_default())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use embedded::{Counts, Engines, Place};
    use shared::edge::worker::BatchItemFailure;

    use super::*;
    use crate::functions::{Boxed, worker};

    fn engines(clock: &Clock) -> Engines {
        let clock = clock.clone();
        Engines::open(&Place::Memory, Arc::new(move || clock.now().0)).unwrap()
    }

    async fn send(engines: &Engines, body: &str) {
        let client = embedded::sqs_client(engines.sqs.connector());
        let request = client.send_message().queue_url(embedded::queue_url("respond")).message_body(body);
        request.send().await.unwrap();
    }

    /// Sleeps as many seconds as the message says; `bad` fails at once.
    fn sleeper(log: &Arc<Mutex<Vec<String>>>) -> Worker {
        let log = Arc::clone(log);
        worker(move |event, _| {
            let log = Arc::clone(&log);
            async move {
                let mut response = SqsBatchResponse::default();
                for message in event.records {
                    let body = message.body.unwrap();
                    log.lock().unwrap().push(format!("begin {body}"));
                    let Ok(seconds) = body.parse() else {
                        let mut failure = BatchItemFailure::default();
                        failure.item_identifier = message.message_id.unwrap();
                        response.batch_item_failures.push(failure);
                        continue;
                    };
                    tokio::time::sleep(Duration::from_secs(seconds)).await;
                    log.lock().unwrap().push(format!("end {body}"));
                }
                response
            }
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_batch_delays_no_other_and_may_end_after_the_stop() {
        let clock = Clock::manual(1_795_366_800_000);
        let (engines, stopping, log) = (engines(&clock), CancellationToken::new(), Arc::default());
        let script = async {
            for body in ["100", "1", "bad"] {
                send(&engines, body).await;
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
            stopping.cancel();
            tokio::time::sleep(Duration::from_secs(1)).await;
            send(&engines, "2").await;
        };
        let sleeper = sleeper(&log);
        let (fed, ()) = tokio::join!(feed(&engines.sqs, "respond", &sleeper, &clock, &stopping), script);
        assert_eq!(fed, Ok(()));
        assert_eq!(*log.lock().unwrap(), ["begin 100", "begin 1", "end 1", "begin bad", "end 100"]);
        assert_eq!(engines.sqs.bodies("respond").unwrap(), ["bad", "2"]);
        assert_eq!(engines.sqs.counts("respond").unwrap(), Counts { visible: 1, in_flight: 1, delayed: 0 });
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_runs_at_once_and_each_minute_even_if_it_fails() {
        let (stopping, runs) = (CancellationToken::new(), Mutex::new(Vec::new()));
        let begun = tokio::time::Instant::now();
        let job = || -> Boxed<Result<(), ()>> {
            runs.lock().unwrap().push(begun.elapsed().as_secs());
            Box::pin(async { Err(()) })
        };
        let stop = async {
            tokio::time::sleep(Duration::from_secs(130)).await;
            stopping.cancel();
        };
        tokio::join!(repeat(job, &stopping), stop);
        assert_eq!((runs.into_inner().unwrap(), begun.elapsed().as_secs()), (vec![0, 60, 120], 130));
    }
}
