//! Running a router, a worker or a timer as a Lambda function.

use axum::Router;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;

use super::Telemetry;
use super::config::ResponseMode;
use super::telemetry::observed;
use super::worker::{SqsBatchResponse, SqsEvent};
use crate::model::clock::Timestamp;

/// Serves `router` until the function is shut down: streamed, or buffered where the caller cannot stream.
///
/// # Errors
/// If the runtime's API fails.
pub async fn run(router: Router, mode: ResponseMode, telemetry: Telemetry) -> Result<(), lambda_http::Error> {
    let router = observed(router, telemetry);
    match mode {
        ResponseMode::Stream => lambda_http::run_with_streaming_response(router).await,
        ResponseMode::Buffer => lambda_http::run(router).await,
    }
}

/// Hands each batch of messages to `work`, with the time at which Lambda ends the function.
///
/// # Errors
/// If the runtime's API fails.
pub async fn run_worker<F>(
    work: impl Fn(SqsEvent, Timestamp) -> F,
    telemetry: Telemetry,
) -> Result<(), lambda_runtime::Error>
where
    F: Future<Output = SqsBatchResponse>,
{
    let handler = |event: LambdaEvent<SqsEvent>| {
        let answer = work(event.payload, Timestamp(event.context.deadline));
        async { Ok::<_, lambda_runtime::Error>(telemetry.told(answer).await) }
    };
    lambda_runtime::run(service_fn(handler)).await
}

/// Runs `work` whenever the schedule calls. What the event says does not matter.
///
/// # Errors
/// If the runtime's API fails. What `work` fails with is the invocation's error: the scheduler tries again.
pub async fn run_schedule<F, E>(work: impl Fn() -> F, telemetry: Telemetry) -> Result<(), lambda_runtime::Error>
where
    F: Future<Output = Result<(), E>>,
    E: Into<lambda_runtime::Error>,
{
    let handler = |_: LambdaEvent<Value>| {
        let done = work();
        async { telemetry.told(done).await.map_err(Into::into) }
    };
    lambda_runtime::run(service_fn(handler)).await
}
