//! Entry point on Lambda. It only connects the parts; the library has everything that tests can reach.

use std::sync::Arc;

use ingest::FileReader;
use shared::edge::{self, config::Config, connect::Connect, lambda};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let config = Config::from_env()?;
    let telemetry = edge::telemetry::start("ingest", &config);
    let components = Connect::table(&config)
        .bucket()
        .queues()
        .providers(providers::connect, providers::builtin::bedrock)
        .await
        .components();
    let worker = components.ingest_worker(Arc::new(FileReader), edge::render);
    let job = |event, ends| ingest::job(event, Arc::clone(&worker), Some(ends));
    let served = lambda::run_worker(job, telemetry).await;
    // As in `vector-stores`.
    components.drain().await;
    served
}
