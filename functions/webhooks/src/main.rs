//! Entry point on Lambda. It only connects the parts; the library has everything that tests can reach.

use std::sync::Arc;

use outbound::{Options, Outbound};
use shared::edge::{self, config::Config, connect::Connect, lambda};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let config = Config::from_env()?;
    let telemetry = edge::telemetry::start("webhooks", &config);
    let options = Options { permit_loopback: config.webhooks_permit_loopback, ..Options::default() };
    let receivers = Arc::new(Outbound::new(options));
    let components = Connect::table(&config).queues().receivers(receivers).components();
    let router = webhooks::router(components.auth(), components.webhooks());
    lambda::run(router, &config, telemetry).await
}
