//! Lambda entry point. Wiring only: everything testable lives in the library.

use shared::edge::{self, config::Config, connect::Connect, lambda};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let config = Config::from_env()?;
    let telemetry = edge::telemetry::start("respond", &config);
    let gateway = Connect::table(&config).bucket().queues().providers(providers::registry).await?.gateway();
    lambda::run_worker(|event, ends| respond::job(event, gateway.clone(), Some(ends)), telemetry).await
}
