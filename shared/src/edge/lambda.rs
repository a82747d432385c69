//! Running a router as a Lambda function.

use axum::Router;

use super::config::ResponseMode;

/// Serves `router` until the function is shut down: streamed, or buffered where the caller cannot stream.
///
/// # Errors
/// If the runtime's API fails.
pub async fn run(router: Router, mode: ResponseMode) -> Result<(), lambda_http::Error> {
    match mode {
        ResponseMode::Stream => lambda_http::run_with_streaming_response(router).await,
        ResponseMode::Buffer => lambda_http::run(router).await,
    }
}
