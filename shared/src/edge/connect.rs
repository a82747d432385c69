//! From settings to a gateway: clients of AWS, models, secrets. Runs once per cold start.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;

use super::Deps;
use super::config::{Config, ModelsSource, env};
use crate::app::{Gateway, Parts};
use crate::data::{Bucket, QueueUrls, Queues, Stores, Table};
use crate::model::catalog::{Catalog, CatalogError, KeySource, ProviderConfig};
use crate::model::clock::Clock;
use crate::model::provider::Provider;
use crate::model::secret::Secret;
use crate::model::webhook::Receivers;

/// Why a function could not start.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("could not read the models from `{place}`")]
    Models {
        place: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("`{place}` is wrong: {error}")]
    Catalog { place: String, error: CatalogError },
    #[error("could not read the secret `{name}`")]
    Secret {
        name: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("could not connect the providers")]
    Providers(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Providers by name.
pub type Providers = HashMap<String, Arc<dyn Provider>>;

/// Connects a function to its stores, models and providers; `connect` makes the providers of a catalog, given where to
/// find their keys.
///
/// # Errors
/// If the models or a secret cannot be read.
pub async fn gateway<E>(
    config: &Config,
    connect: impl FnOnce(&Catalog, &dyn Fn(&KeySource) -> Option<Secret>, &Clock) -> Result<Providers, E>,
) -> Result<Deps, ConnectError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    open(config, Catalog::providers, connect, None).await
}

/// Connects a function that calls no provider. It reads no provider's key: its role may not.
///
/// # Errors
/// If the models or a secret cannot be read.
pub async fn gateway_without_providers(config: &Config) -> Result<Deps, ConnectError> {
    open(config, |_| &[], |_, _, _| Ok::<_, Infallible>(Providers::new()), None).await
}

/// Connects a function that sends to webhook endpoints or registers them, and calls no provider.
///
/// # Errors
/// If the models or a secret cannot be read.
pub async fn gateway_with_receivers(config: &Config, receivers: Arc<dyn Receivers>) -> Result<Deps, ConnectError> {
    open(config, |_| &[], |_, _, _| Ok::<_, Infallible>(Providers::new()), Some(receivers)).await
}

async fn open<E>(
    config: &Config,
    called: fn(&Catalog) -> &[ProviderConfig],
    connect: impl FnOnce(&Catalog, &dyn Fn(&KeySource) -> Option<Secret>, &Clock) -> Result<Providers, E>,
    receivers: Option<Arc<dyn Receivers>>,
) -> Result<Deps, ConnectError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let aws = aws_config::load_defaults(BehaviorVersion::v2026_01_12()).await;
    // Emulators serve buckets by path; AWS serves both.
    let s3_config = aws_sdk_s3::config::Builder::from(&aws).force_path_style(aws.endpoint_url().is_some()).build();
    let s3 = aws_sdk_s3::Client::from_conf(s3_config);
    let catalog = catalog(&config.models, &s3).await?;
    let secrets = secrets(&aws, config, called(&catalog)).await?;
    let key = |source: &KeySource| match source {
        KeySource::None => None,
        KeySource::Env(name) => env(name).map(Secret::new),
        KeySource::Secret(name) => secrets.get(name).cloned(),
    };
    let clock = Clock::system();
    let providers = connect(&catalog, &key, &clock).map_err(|error| ConnectError::Providers(error.into()))?;
    Ok(Gateway::new(Parts {
        stores: Stores {
            table: Table::new(table_client(&aws), &config.table_name),
            bucket: Bucket::new(s3, &config.bucket_name),
            queues: queues(&aws, &config.queues),
        },
        catalog: Arc::new(catalog),
        providers,
        clock,
        receivers,
        admin_key: config.admin_key_secret.as_ref().and_then(|name| secrets.get(name)).cloned(),
    }))
}

/// The queues that a function sends to; without any, no client is made.
fn queues(aws: &aws_config::SdkConfig, urls: &QueueUrls) -> Queues {
    if *urls == QueueUrls::default() {
        return Queues::default();
    }
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(Duration::from_secs(3))
        .operation_timeout(Duration::from_secs(12));
    let config = aws_sdk_sqs::config::Builder::from(aws).timeout_config(timeouts.build());
    Queues::new(aws_sdk_sqs::Client::from_conf(config.build()), urls.clone())
}

/// A client of the table that gives a connection up which a freeze or a NAT has silently cut.
fn table_client(aws: &aws_config::SdkConfig) -> aws_sdk_dynamodb::Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(Duration::from_secs(3))
        .operation_timeout(Duration::from_secs(12));
    let config = aws_sdk_dynamodb::config::Builder::from(aws).timeout_config(timeouts.build());
    aws_sdk_dynamodb::Client::from_conf(config.build())
}

async fn catalog(source: &ModelsSource, s3: &aws_sdk_s3::Client) -> Result<Catalog, ConnectError> {
    let (place, text) = match source {
        ModelsSource::File(path) => (path.clone(), read_file(path)),
        ModelsSource::S3 { bucket, key } => (format!("s3://{bucket}/{key}"), read_object(s3, bucket, key).await),
    };
    let text = text.map_err(|source| ConnectError::Models { place: place.clone(), source })?;
    Catalog::parse(&text).map_err(|error| ConnectError::Catalog { place, error })
}

fn read_file(path: &str) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    Ok(std::fs::read_to_string(path)?)
}

async fn read_object(
    s3: &aws_sdk_s3::Client,
    bucket: &str,
    key: &str,
) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let object = s3.get_object().bucket(bucket).key(key).send().await?;
    Ok(String::from_utf8(object.body.collect().await?.to_vec())?)
}

/// Every secret that the settings and the providers name.
async fn secrets(
    aws: &aws_config::SdkConfig,
    config: &Config,
    providers: &[ProviderConfig],
) -> Result<HashMap<String, Secret>, ConnectError> {
    let of_providers = providers.iter().filter_map(|provider| match &provider.key {
        KeySource::Secret(name) => Some(name),
        KeySource::None | KeySource::Env(_) => None,
    });
    let names: Vec<&String> = of_providers.chain(&config.admin_key_secret).collect();
    let mut found = HashMap::new();
    if names.is_empty() {
        return Ok(found); // No client is made for what nobody needs.
    }
    let client = aws_sdk_secretsmanager::Client::new(aws);
    for name in names {
        let wrong = |source| ConnectError::Secret { name: name.clone(), source };
        let answer = client.get_secret_value().secret_id(name).send().await.map_err(|error| wrong(error.into()))?;
        let value = answer.secret_string.ok_or_else(|| wrong("it is not a string".into()))?;
        found.insert(name.clone(), Secret::new(value.trim()));
    }
    Ok(found)
}
