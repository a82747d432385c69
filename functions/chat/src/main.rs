//! Lambda entry point. Wiring only: everything testable lives in the library.

use shared::edge::{self, config::Config, connect, lambda};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let config = Config::from_env()?;
    let telemetry = edge::telemetry::start("chat", &config);
    let gateway = connect::gateway(&config, providers::registry).await?;
    lambda::run(edge::stack(chat::router(gateway)), config.response_mode, telemetry).await
}
