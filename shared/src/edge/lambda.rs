//! Runs a router, a worker or the job of a schedule as a Lambda function.

use axum::Router;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;

use super::Telemetry;
use super::config::{Config, ResponseMode};
use super::stack;
use super::telemetry::observe;
use super::worker::{SqsBatchResponse, SqsEvent};
use crate::model::clock::{Clock, Timestamp};

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
        let ends_at = ends_at(event.context.deadline, Clock::system().now());
        let answer = work(event.payload, ends_at);
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

/// The longest time of an invocation, in milliseconds.
const LONGEST_INVOCATION_MS: u64 = 900_000;

/// When Lambda ends an invocation, from the deadline of its context.
///
/// Lambda sends a time. Stand-ins send for how long the invocation may run: cargo-lambda always 600000, which as a time is in 1970.
pub(super) fn ends_at(deadline_ms: u64, now: Timestamp) -> Timestamp {
    if deadline_ms <= LONGEST_INVOCATION_MS { now.plus_ms(deadline_ms) } else { Timestamp(deadline_ms) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_a_time_and_that_of_a_stand_in_a_duration() {
        let now = Timestamp(1_795_366_800_000);
        assert_eq!(ends_at(now.0 + 29_000, now), now.plus_ms(29_000));
        assert_eq!(ends_at(600_000, now), now.plus_ms(600_000));
    }
}
