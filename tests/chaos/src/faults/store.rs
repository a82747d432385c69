//! Effects of faults at a call of the table, the bucket or a queue, and the predicates that say at which calls they
//! fit.

use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use futures_util::future::{BoxFuture, FutureExt as _};
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::connector::{Answer, Call, Service};

/// An `async fn` that carries out a call with a fault.
pub(crate) trait Effect: Sync {
    fn carry_out(&self, call: Call, rng: StdRng) -> BoxFuture<'static, Answer>;
}

impl<E, F> Effect for E
where
    E: Fn(Call, StdRng) -> F + Sync,
    F: Future<Output = Answer> + Send + 'static,
{
    fn carry_out(&self, call: Call, rng: StdRng) -> BoxFuture<'static, Answer> {
        self(call, rng).boxed()
    }
}

pub(crate) fn is_write(call: &Call) -> bool {
    matches!(call.operation.as_str(), "UpdateItem" | "PutItem" | "DeleteItem" | "TransactWriteItems")
}

/// Whether the call is a write of a run, which names its fence.
pub(super) fn has_fence(call: &Call) -> bool {
    let body = call.request.body().bytes().unwrap_or_default();
    is_write(call) && body.windows(FENCE.len()).any(|window| window == FENCE)
}

const FENCE: &[u8] = b"\":fence\"";

pub(super) fn is_batch(call: &Call) -> bool {
    call.operation == "BatchGetItem"
}

/// Whether the call changes several items together. Of what a process does in steps, these are the steps.
pub(super) fn is_transaction(call: &Call) -> bool {
    call.operation == "TransactWriteItems"
}

/// Whether the call is a query without a limit, or a scan. A caller that sets the limit of a query may read one page only.
pub(super) fn is_unlimited(call: &Call) -> bool {
    let is_query = || read_json(call.request.body()).is_some_and(|query| query["Limit"].is_null());
    call.operation == "Scan" || (call.operation == "Query" && is_query())
}

pub(super) fn is_message(call: &Call) -> bool {
    call.operation == "SendMessage"
}

pub(super) async fn throttle(call: Call, _: StdRng) -> Answer {
    let error = |exception: &str| format!(r#"{{"__type":"com.amazonaws.{exception}","message":"not now"}}"#);
    match call.service {
        Service::Table => refuse(400, &error("dynamodb.v20120810#ProvisionedThroughputExceededException")),
        Service::Queue => refuse(400, &error("sqs#RequestThrottled")),
        Service::Bucket => refuse(503, "<Error><Code>SlowDown</Code><Message>not now</Message></Error>"),
    }
}

/// Answers as if a transaction on the same item were in progress.
pub(super) async fn conflict(call: Call, _: StdRng) -> Answer {
    let error = if call.operation == "TransactWriteItems" {
        r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","message":"[TransactionConflict]","CancellationReasons":[{"Code":"TransactionConflict"}]}"#
    } else {
        r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionConflictException","message":"not now"}"#
    };
    refuse(400, error)
}

pub(super) async fn cut_before(_: Call, _: StdRng) -> Answer {
    Err(broken_connection())
}

pub(super) async fn cut_after(call: Call, _: StdRng) -> Answer {
    call.perform().await?;
    Err(broken_connection())
}

/// Waits up to two seconds, before or after the call takes effect.
pub(super) async fn slow_down(call: Call, mut rng: StdRng) -> Answer {
    let wait = Duration::from_millis(rng.random_range(50..2_000));
    if rng.random_bool(0.5) {
        tokio::time::sleep(wait).await;
        return call.perform().await;
    }
    let answer = call.perform().await;
    tokio::time::sleep(wait).await;
    answer
}

/// Lets the caller wait in vain. Half of the calls take effect.
pub(super) async fn time_out(call: Call, mut rng: StdRng) -> Answer {
    if rng.random_bool(0.5) {
        call.perform().await?;
    }
    tokio::time::sleep(Duration::from_millis(rng.random_range(3_000..45_000))).await;
    Err(ConnectorError::timeout("no answer in time".into()))
}

/// Waits longer than any lease of a run: the process seems dead, and is not.
pub(super) async fn outlast_lease(call: Call, mut rng: StdRng) -> Answer {
    tokio::time::sleep(Duration::from_millis(rng.random_range(31_000..130_000))).await;
    call.perform().await
}

/// Waits until other calls have written to the same item, some times or for two minutes: the next run of the same work
/// may be under way by then.
pub(super) async fn fall_behind(call: Call, mut rng: StdRng) -> Answer {
    let others = call.wait_for_other_writes(rng.random_range(2..=5));
    let _ = tokio::time::timeout(Duration::from_secs(120), others).await;
    call.perform().await
}

/// Answers some keys of a batch of reads; the caller has to ask for the others again.
pub(super) async fn split_batch(mut call: Call, mut rng: StdRng) -> Answer {
    let Some((first, rest)) = split(&call.request, &mut rng) else { return call.perform().await };
    *call.request.body_mut() = SdkBody::from(first.to_string());
    let answer = call.perform().await?;
    Ok(add_unprocessed(&answer, rest).unwrap_or(answer))
}

/// Answers a query with a page of at most three items; the caller has to ask for the others.
pub(super) async fn shorten_page(mut call: Call, mut rng: StdRng) -> Answer {
    change_body(&mut call, |query| query["Limit"] = json!(rng.random_range(1..=3)));
    call.perform().await
}

pub(super) async fn send_twice(call: Call, _: StdRng) -> Answer {
    if let Some(copy) = call.duplicate() {
        copy.perform().await?;
    }
    call.perform().await
}

/// Delays the message by up to 15 minutes.
pub(super) async fn delay_message(mut call: Call, mut rng: StdRng) -> Answer {
    change_body(&mut call, |message| message["DelaySeconds"] = json!(rng.random_range(1..=900)));
    call.perform().await
}

/// Accepts the message and never delivers it.
pub(super) async fn lose_message(call: Call, _: StdRng) -> Answer {
    let sqs = call.sqs.clone();
    let answer = call.perform().await?;
    if let Some(message_id) = read_json(answer.body()).as_ref().and_then(|sent| sent["MessageId"].as_str()) {
        sqs.forget(message_id);
    }
    Ok(answer)
}

/// Reverses all queues after the message was sent.
pub(super) async fn reorder(call: Call, _: StdRng) -> Answer {
    let sqs = call.sqs.clone();
    let answer = call.perform().await;
    for queue in embedded::QUEUES {
        let _ = sqs.reverse(queue.name);
    }
    answer
}

pub(super) async fn die_before(call: Call, _: StdRng) -> Answer {
    call.process.kill();
    std::future::pending().await
}

pub(super) async fn die_after(call: Call, _: StdRng) -> Answer {
    let process = call.process.clone();
    let _ = call.perform().await;
    process.kill();
    std::future::pending().await
}

fn broken_connection() -> ConnectorError {
    ConnectorError::io("the connection broke".into())
}

/// Makes an error response of a service.
fn refuse(status: u16, body: &str) -> Answer {
    let status = status.try_into().map_err(|error| ConnectorError::other(Box::new(error), None))?;
    Ok(HttpResponse::new(status, SdkBody::from(body)))
}

fn read_json(body: &SdkBody) -> Option<Value> {
    serde_json::from_slice(body.bytes()?).ok()
}

fn change_body(call: &mut Call, change: impl FnOnce(&mut Value)) {
    if let Some(mut body) = read_json(call.request.body()) {
        change(&mut body);
        *call.request.body_mut() = SdkBody::from(body.to_string());
    }
}

/// Splits a batch: the request for its first keys, and the keys that are left.
fn split(request: &HttpRequest, rng: &mut StdRng) -> Option<(Value, Value)> {
    let mut first = read_json(request.body())?;
    let mut rest = first["RequestItems"].clone();
    let keys = first["RequestItems"]["weir"]["Keys"].as_array_mut()?;
    let most = keys.len().checked_sub(1).filter(|most| *most > 0)?;
    let left = keys.split_off(rng.random_range(1..=most));
    rest["weir"]["Keys"] = json!(left);
    Some((first, rest))
}

fn add_unprocessed(answer: &HttpResponse, rest: Value) -> Option<HttpResponse> {
    let mut body = read_json(answer.body())?;
    body["UnprocessedKeys"] = rest;
    let mut partial = HttpResponse::new(answer.status(), SdkBody::from(body.to_string()));
    partial.headers_mut().insert("content-type", "application/x-amz-json-1.0");
    Some(partial)
}
