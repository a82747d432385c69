//! Lambda entry point. Wiring only: everything testable lives in the library.

use shared::edge::{self, config::Config, connect::Connect, lambda};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let config = Config::from_env()?;
    let telemetry = edge::telemetry::start("admin", &config);
    let gateway = Connect::table(&config).queues().admin_key().await?.gateway();
    lambda::run(edge::stack(admin::router(gateway)), config.response_mode, telemetry).await
}
