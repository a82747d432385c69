//! Entry point on Lambda. It only connects the parts; the library has everything that tests can reach.

use std::sync::Arc;

use shared::edge::{self, config::Config, connect::Connect, lambda};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let config = Config::from_env()?;
    let telemetry = edge::telemetry::start("sweep", &config);
    let sweeper =
        Connect::table(&config).bucket().queues().models(providers::builtin::bedrock).await.components().sweeper();
    lambda::run_schedule(|| sweep::job(Arc::clone(&sweeper)), telemetry).await
}
