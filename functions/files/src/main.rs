//! Entry point on Lambda. It only connects the parts; the library has everything that tests can reach.

use shared::edge::{self, config::Config, connect::Connect, lambda};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let config = Config::from_env()?;
    let telemetry = edge::telemetry::start("files", &config);
    let components = Connect::table(&config).bucket().components();
    let router = files::router(components.auth(), components.files(), components.uploads());
    lambda::run(router, &config, telemetry).await
}
