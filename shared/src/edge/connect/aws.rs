//! Clients of AWS. Region, credentials and endpoints come from the environment of the function.
//!
//! The SDK's default chain of credential providers is not used: it would link a client of STS and a reader of profiles
//! into every function, and Lambda needs neither.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::config::BehaviorVersion;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use aws_types::sdk_config::SharedCredentialsProvider;

use crate::edge::config::env;

pub(super) fn dynamodb() -> aws_sdk_dynamodb::Client {
    let config = aws_sdk_dynamodb::config::Builder::from(&settings("DYNAMODB")).timeout_config(timeouts(3, 12));
    aws_sdk_dynamodb::Client::from_conf(config.build())
}

pub(super) fn sqs() -> aws_sdk_sqs::Client {
    let config = aws_sdk_sqs::config::Builder::from(&settings("SQS")).timeout_config(timeouts(3, 12));
    aws_sdk_sqs::Client::from_conf(config.build())
}

pub(super) fn s3() -> aws_sdk_s3::Client {
    let settings = settings("S3");
    // Emulators know buckets by path only; AWS accepts both forms.
    let by_path = settings.endpoint_url().is_some();
    let config = aws_sdk_s3::config::Builder::from(&settings).force_path_style(by_path);
    // A body has up to 10 MB, so it may take longer than an item of the table.
    aws_sdk_s3::Client::from_conf(config.timeout_config(timeouts(10, 30)).build())
}

pub(super) fn secrets_manager() -> aws_sdk_secretsmanager::Client {
    let settings = settings("SECRETS_MANAGER");
    let config = aws_sdk_secretsmanager::config::Builder::from(&settings).timeout_config(timeouts(3, 12));
    aws_sdk_secretsmanager::Client::from_conf(config.build())
}

/// The settings that Lambda puts into the environment, and the endpoints under the names that all SDKs use.
fn settings(service: &str) -> SdkConfig {
    let is_set = |name| env(name).as_deref() == Some("true");
    let mut settings = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(env("AWS_REGION").map(Region::new))
        .use_fips(is_set("AWS_USE_FIPS_ENDPOINT"))
        .use_dual_stack(is_set("AWS_USE_DUALSTACK_ENDPOINT"));
    settings.set_credentials_provider(credentials().map(SharedCredentialsProvider::new));
    settings.set_endpoint_url(env(&format!("AWS_ENDPOINT_URL_{service}")).or_else(|| env("AWS_ENDPOINT_URL")));
    settings.build()
}

/// The credentials of the function's role. They are valid for longer than Lambda keeps the process.
fn credentials() -> Option<Credentials> {
    let (id, secret) = env("AWS_ACCESS_KEY_ID").zip(env("AWS_SECRET_ACCESS_KEY"))?;
    Some(Credentials::new(id, secret, env("AWS_SESSION_TOKEN"), None, "environment"))
}

/// Time limits in seconds, for one attempt and for all of them. Without limits a request would wait on a connection
/// that a freeze or a NAT has cut silently.
fn timeouts(attempt: u64, operation: u64) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(Duration::from_secs(attempt))
        .operation_timeout(Duration::from_secs(operation))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_has_time_limits() {
        let (s3, dynamodb, sqs, secrets) = (s3(), dynamodb(), sqs(), secrets_manager());
        let all = [
            s3.config().timeout_config(),
            dynamodb.config().timeout_config(),
            sqs.config().timeout_config(),
            secrets.config().timeout_config(),
        ];
        for (config, attempt) in all.into_iter().zip([10, 3, 3, 3]) {
            let config = config.unwrap();
            assert_eq!(config.operation_attempt_timeout(), Some(Duration::from_secs(attempt)));
            assert!(config.operation_timeout() > config.operation_attempt_timeout());
        }
    }
}
