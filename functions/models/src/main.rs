//! Entry point on Lambda. It only connects the parts; the library has everything that tests can reach.

use shared::edge::{self, config::Config, connect::Connect, lambda};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let config = Config::from_env()?;
    let telemetry = edge::telemetry::start("models", &config);
    let components = Connect::table(&config).models(providers::builtin::bedrock).await.components();
    let router = models::router(components.auth(), components.models());
    lambda::run(router, &config, telemetry).await
}
