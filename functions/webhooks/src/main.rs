//! Lambda entry point. Wiring only: everything testable lives in the library.

use std::sync::Arc;

use outbound::{Options, Outbound};
use shared::edge::{self, config::Config, connect, lambda};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let config = Config::from_env()?;
    edge::init_log(&config.log_level);
    let options = Options { permit_loopback: config.webhooks_permit_loopback, ..Options::default() };
    let receivers = Arc::new(Outbound::new(options)?);
    let gateway = connect::gateway_with_receivers(&config, receivers).await?;
    lambda::run(edge::stack(webhooks::router(gateway)), config.response_mode).await
}
