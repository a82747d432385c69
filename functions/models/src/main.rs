//! Lambda entry point. Wiring only: everything testable lives in the library.

use shared::edge::{self, config::Config, connect::Connect, lambda};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let config = Config::from_env()?;
    let telemetry = edge::telemetry::start("models", &config);
    let gateway = Connect::table(&config).models().await?.gateway();
    lambda::run(edge::stack(models::router(gateway)), config.response_mode, telemetry).await
}
