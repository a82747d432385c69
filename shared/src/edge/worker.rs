//! The shell around a worker's job: it takes a batch of messages and returns those that SQS must deliver again.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

pub use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, OptionFuture};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use opentelemetry::KeyValue;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanBuilder, SpanKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant as Timer, MissedTickBehavior};

pub use super::more::MoreMessages;
use super::telemetry::{self, MessageEnd, Telemetry};
use crate::app::ErrorChain;
use crate::model::clock;
use crate::model::message::Message;

/// The messages that one invocation works on at the same time, as many as Lambda passes at once.
const MAX_MESSAGES: usize = 10;

/// How often an invocation with room asks for more messages.
const ASKS_EVERY: Duration = Duration::from_secs(1);

/// Runs `work` for all messages of a batch at once. Returns those that failed, panicked or cannot be parsed: SQS
/// delivers them again, and makes dead letters of them after as many deliveries as the queue allows.
///
/// `function` names the worker in the log, the metrics and the spans. Each message has one of each, without its body.
///
/// The event source needs `FunctionResponseTypes: [ReportBatchItemFailures]`; without it SQS deletes failed messages
/// too. SQS may deliver any message twice, late, or while another worker has it, so `work` must allow for that.
pub async fn batch<K, F, E>(function: &'static str, event: SqsEvent, work: impl Fn(Message<K>) -> F) -> SqsBatchResponse
where
    K: Serialize + DeserializeOwned,
    F: Future<Output = Result<(), E>>,
    E: std::error::Error + 'static,
{
    batch_and_more(function, event, None, work).await
}

/// Runs `work` as [`batch`] does, and meanwhile for the messages that it receives from `more`, until none is left. It deletes
/// those that succeeded.
pub async fn batch_and_more<K, F, E>(
    function: &'static str,
    event: SqsEvent,
    more: Option<&MoreMessages>,
    work: impl Fn(Message<K>) -> F,
) -> SqsBatchResponse
where
    K: Serialize + DeserializeOwned,
    F: Future<Output = Result<(), E>>,
    E: std::error::Error + 'static,
{
    let telemetry = Telemetry::current().for_function(function);
    let job = async |message: SqsMessage, is_received: bool| {
        let is_done = process(&telemetry, &message, &work).await == Outcome::Done;
        match more.filter(|_| is_received) {
            // Lambda deletes those messages of its batch that are not named as failed.
            None => message.message_id.filter(|_| !is_done),
            Some(more) if is_done => {
                more.delete(&message).await;
                None
            }
            Some(_) => None,
        }
    };
    let mut failed = Vec::new();
    let mut running: FuturesUnordered<_> = event.records.into_iter().map(|message| job(message, false)).collect();
    let mut asking: Option<BoxFuture<'_, Vec<SqsMessage>>> = None;
    let mut seconds = tokio::time::interval_at(Timer::now() + ASKS_EVERY, ASKS_EVERY);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !running.is_empty() || asking.is_some() {
        let has_room = asking.is_none() && running.len() < MAX_MESSAGES && more.is_some_and(MoreMessages::has_time);
        tokio::select! {
            biased;
            Some(ended) = running.next() => failed.extend(ended),
            Some(messages) = OptionFuture::from(asking.as_mut()) => {
                asking = None;
                running.extend(messages.into_iter().map(|message| job(message, true)));
            }
            _ = seconds.tick(), if has_room => {
                let room = MAX_MESSAGES - running.len();
                asking = more.map(|more| more.receive(room).boxed());
            }
        }
    }
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failed.into_iter().map(failure).collect();
    response
}

fn failure(message_id: String) -> BatchItemFailure {
    let mut failure = BatchItemFailure::default();
    failure.item_identifier = message_id;
    failure
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    Failed,
    Panicked,
    Unreadable,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Panicked => "panicked",
            Self::Unreadable => "unreadable",
        }
    }
}

async fn process<K, F, E>(telemetry: &Telemetry, message: &SqsMessage, work: &impl Fn(Message<K>) -> F) -> Outcome
where
    K: Serialize + DeserializeOwned,
    F: Future<Output = Result<(), E>>,
    E: std::error::Error + 'static,
{
    let (begun, received_at) = (Instant::now(), telemetry.now());
    let parsed = Message::parse(message.body.as_deref().unwrap_or_default());
    let traceparent = parsed.as_ref().ok().and_then(|parsed: &Message<K>| parsed.traceparent.as_deref());
    let span = telemetry.start_span(traceparent, || describe_span(telemetry.function(), message));
    let (outcome, error) = match parsed {
        // The text of the parser's error may quote the body, so it does not go to the log.
        Err(_) => (Outcome::Unreadable, None),
        Ok(parsed) => run(async { work(parsed).await }.with_context(span.clone())).await,
    };
    log(telemetry.function(), message, outcome, error.as_deref(), begun);
    telemetry::end_span(&span, Vec::new(), (outcome != Outcome::Done).then(|| outcome.name().to_owned()));
    if let Some(received_at) = received_at {
        let sent_at = number(message, "SentTimestamp").map(clock::Timestamp);
        let (function, outcome) = (telemetry.function(), outcome.name());
        telemetry.record_message(&MessageEnd { function, outcome, sent_at, received_at });
    }
    outcome
}

/// Runs the work on a message, and catches a panic, which must not fail the other messages of the batch.
async fn run<E: std::error::Error + 'static>(work: impl Future<Output = Result<(), E>>) -> (Outcome, Option<String>) {
    // A panic cannot leave half a change in memory: the state of a job is in the table.
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(Ok(())) => (Outcome::Done, None),
        Ok(Err(error)) => (Outcome::Failed, Some(ErrorChain(&error).to_string())),
        Err(_) => (Outcome::Panicked, None),
    }
}

fn describe_span(queue: &'static str, message: &SqsMessage) -> SpanBuilder {
    SpanBuilder::from_name(format!("process {queue}")).with_kind(SpanKind::Consumer).with_attributes([
        KeyValue::new("faas.name", queue),
        KeyValue::new("messaging.system", "aws_sqs"),
        KeyValue::new("messaging.operation.type", "process"),
        KeyValue::new("messaging.destination.name", queue),
        KeyValue::new("messaging.message.id", message.message_id.clone().unwrap_or_default()),
    ])
}

/// A number among the attributes that SQS adds to a message.
fn number(message: &SqsMessage, name: &str) -> Option<u64> {
    message.attributes.get(name)?.parse().ok()
}

fn log(function: &str, message: &SqsMessage, outcome: Outcome, error: Option<&str>, begun: Instant) {
    let receive_count = number(message, "ApproximateReceiveCount");
    let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                function,
                outcome = outcome.name(),
                message.id = message.message_id,
                receive_count,
                duration_ms,
                error,
                "message"
            )
        };
    }
    match outcome {
        Outcome::Done => line!(info),
        Outcome::Failed => line!(warn),
        Outcome::Panicked | Outcome::Unreadable => line!(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::message::ResponseKey;

    #[derive(Debug, thiserror::Error)]
    #[error("not today")]
    struct NotToday;

    fn event(bodies: &[&str]) -> SqsEvent {
        let records = bodies.iter().enumerate().map(|(n, body)| {
            serde_json::json!({ "messageId": format!("m{n}"), "body": body, "attributes": {"ApproximateReceiveCount": "1"} })
        });
        serde_json::from_value(serde_json::json!({ "Records": records.collect::<Vec<_>>() })).unwrap()
    }

    fn message(response_id: &str) -> String {
        Message::new(ResponseKey { project_id: "p".into(), response_id: response_id.into() }, None).to_json()
    }

    fn failed(response: &SqsBatchResponse) -> Vec<&str> {
        response.batch_item_failures.iter().map(|failure| failure.item_identifier.as_str()).collect()
    }

    #[tokio::test]
    async fn only_failed_messages_are_delivered_again() {
        let event = event(&[&message("good"), "{}", &message("bad"), &message("worse"), &message("good")]);
        let response = batch("respond", event, async |message: Message<ResponseKey>| match &*message.key.response_id {
            "good" => Ok(()),
            "bad" => Err(NotToday),
            _ => panic!("a bug"),
        });
        assert_eq!(failed(&response.await), ["m1", "m2", "m3"]);
    }

    #[tokio::test]
    async fn all_messages_run_at_once() {
        let bodies: Vec<String> = (0..50).map(|n| message(&n.to_string())).collect();
        let event = event(&bodies.iter().map(String::as_str).collect::<Vec<_>>());
        let all_are_here = &tokio::sync::Barrier::new(50);
        let response = batch("respond", event, async |_: Message<ResponseKey>| {
            all_are_here.wait().await;
            Ok::<_, NotToday>(())
        });
        let response = tokio::time::timeout(Duration::from_secs(10), response).await.unwrap();
        assert_eq!(failed(&response), [""; 0]);
    }
}
