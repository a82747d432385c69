//! Entry point on Lambda. It only connects the parts; the library has everything that tests can reach.

use std::sync::Arc;

use outbound::{Options, Outbound};
use shared::edge::{self, config::Config, connect::Connect, lambda};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let config = Config::from_env()?;
    let telemetry = edge::telemetry::start("deliver", &config);
    let options = Options { permit_loopback: config.webhooks_permit_loopback, ..Options::default() };
    let receivers = Arc::new(Outbound::new(options).warm()?);
    let deliverer = Connect::table(&config).queues().receivers(receivers).components().deliverer();
    lambda::run_worker(|event, _| deliver::job(event, Arc::clone(&deliverer)), telemetry).await
}
