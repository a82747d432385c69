//! Entry point on Lambda. It only connects the parts; the library has everything that tests can reach.

use std::sync::Arc;

use shared::data::Queue;
use shared::edge::{self, config::Config, connect::Connect, lambda, worker::MoreMessages};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let config = Config::from_env()?;
    let telemetry = edge::telemetry::start("respond", &config);
    let components = Connect::table(&config)
        .bucket()
        .queues()
        .providers(providers::connect, providers::builtin::bedrock)
        .await
        .components();
    let worker = components.response_worker();
    let more = MoreMessages::of(components.stores().queues.clone(), Queue::Respond, components.clock().clone());
    let job = |event, ends| respond::job_and_more(event, Arc::clone(&worker), more.clone(), ends);
    lambda::run_worker(job, telemetry).await
}
