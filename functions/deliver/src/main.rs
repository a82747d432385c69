//! Entry point on Lambda. It only connects the parts; the library has everything that tests can reach.

use std::sync::Arc;

use outbound::{Options, Outbound};
use shared::data::Queue;
use shared::edge::{self, config::Config, connect::Connect, lambda, worker::MoreMessages};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let config = Config::from_env()?;
    let telemetry = edge::telemetry::start("deliver", &config);
    let options = Options { permit_loopback: config.webhooks_permit_loopback, ..Options::default() };
    let receivers = Arc::new(Outbound::new(options).warm()?);
    let components = Connect::table(&config).queues().receivers(receivers).components();
    let deliverer = components.deliverer();
    let more = MoreMessages::of(components.stores().queues.clone(), Queue::Deliver, components.clock().clone());
    let job = |event, ends| deliver::job_and_more(event, Arc::clone(&deliverer), more.clone(), ends);
    lambda::run_worker(job, telemetry).await
}
