//! Lambda entry point. Wiring only: everything testable lives in the library.

use shared::edge::{self, config::Config, connect::Connect, lambda};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let config = Config::from_env()?;
    let telemetry = edge::telemetry::start("chat", &config);
    let gateway = Connect::table(&config).bucket().providers(providers::registry).await?.gateway();
    let served = lambda::run(edge::stack(chat::router(gateway.clone())), config.response_mode, telemetry).await;
    // Lambda's API broke off. Calls that were begun are paid for: their books are closed before the process ends.
    gateway.drain().await;
    served
}
