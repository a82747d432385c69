//! Entry point on Lambda. It only connects the parts; the library has everything that tests can reach.

use shared::edge::{self, config::Config, connect::Connect, lambda};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let config = Config::from_env()?;
    let telemetry = edge::telemetry::start("admin", &config);
    let components =
        Connect::table(&config).queues().admin_key().models(providers::builtin::bedrock).await.components();
    let router = admin::router(
        components.auth(),
        components.projects(),
        components.service_accounts(),
        components.job_admin(),
        components.target_states(),
        components.audit_log(),
        components.admin_keys(),
    );
    lambda::run(router, &config, telemetry).await
}
