//! Entry point on Lambda. It only connects the parts; the library has everything that tests can reach.

use shared::edge::{self, config::Config, connect::Connect, lambda};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let config = Config::from_env()?;
    let telemetry = edge::telemetry::start("vector-stores", &config);
    let components =
        Connect::table(&config).queues().providers(providers::connect, providers::builtin::bedrock).await.components();
    let router = vector_stores::router(
        components.auth(),
        components.vector_stores(),
        components.store_files(),
        components.vector_search(),
    );
    let served = lambda::run(router, &config, telemetry).await;
    // The connection to Lambda's API is lost. Embeddings that have begun cost money: they must be settled before the process ends.
    components.drain().await;
    served
}
