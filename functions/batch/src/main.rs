//! Entry point on Lambda. It only connects the parts; the library has everything that tests can reach.

use std::sync::Arc;

use shared::edge::{self, config::Config, connect::Connect, lambda};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let config = Config::from_env()?;
    let telemetry = edge::telemetry::start("batch", &config);
    let components = Connect::table(&config)
        .bucket()
        .queues()
        .providers(providers::connect, providers::builtin::bedrock)
        .await
        .components();
    let worker = components.batch_worker(edge::render);
    let job = |event, ends| batch::job(event, Arc::clone(&worker), Some(ends));
    lambda::run_worker(job, telemetry).await
}
