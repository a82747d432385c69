//! Lambda entry point. Wiring only: everything testable lives in the library.

use shared::edge::{self, config::Config, connect::Connect, lambda};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let config = Config::from_env()?;
    let telemetry = edge::telemetry::start("sweep", &config);
    let gateway = Connect::table(&config).bucket().queues().models().await?.gateway();
    lambda::run_schedule(|| sweep::job(gateway.clone()), telemetry).await
}
