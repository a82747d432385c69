//! Runs a router, a worker or the job of a schedule as a Lambda function.

use axum::Router;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;

use super::Telemetry;
use super::config::{Config, ResponseMode};
use super::stack;
use super::telemetry::observe;
use super::worker::{SqsBatchResponse, SqsEvent};
use crate::model::clock::Timestamp;

/// Serves `router` in the [`stack`] that every function shares, until Lambda shuts the function down. The settings say
/// whether answers are streamed or buffered.
///
/// # Errors
/// If the runtime's API fails.
pub async fn run(router: Router, config: &Config, telemetry: Telemetry) -> Result<(), lambda_http::Error> {
    let router = observe(stack(router, &config.http), telemetry);
    match config.response_mode {
        ResponseMode::Stream => lambda_http::run_with_streaming_response(router).await,
        ResponseMode::Buffer => lambda_http::run(router).await,
    }
}

/// Passes each batch of messages to `work`, together with the time at which Lambda ends the invocation.
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
        async { Ok::<_, lambda_runtime::Error>(telemetry.observe_and_flush(answer).await) }
    };
    lambda_runtime::run(service_fn(handler)).await
}

/// Runs `work` at each event of the schedule and ignores the content of the event.
///
/// An error of `work` becomes the error of the invocation, and the scheduler tries again.
///
/// # Errors
/// If the runtime's API fails.
pub async fn run_schedule<F, E>(work: impl Fn() -> F, telemetry: Telemetry) -> Result<(), lambda_runtime::Error>
where
    F: Future<Output = Result<(), E>>,
    E: Into<lambda_runtime::Error>,
{
    let handler = |_: LambdaEvent<Value>| {
        let done = work();
        async { telemetry.observe_and_flush(done).await.map_err(Into::into) }
    };
    lambda_runtime::run(service_fn(handler)).await
}
