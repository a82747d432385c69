//! From settings to a gateway, once per cold start. A function names what it uses; it links the clients of that and no
//! others, because what nobody names is dead code.

mod aws;
mod models;
mod secrets;

use std::collections::HashMap;
use std::sync::Arc;

use super::Deps;
use super::config::{Config, env};
use crate::app::{Gateway, Parts};
use crate::data::{Bucket, Queues, Stores, Table};
use crate::model::catalog::{Catalog, CatalogError, KeySource};
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

/// A gateway in the making: the table, which every function uses, and what its `main` adds.
///
/// The policy of a function in `template.yaml` allows the same things, and a check of the built binaries compares the two.
pub struct Connect<'a> {
    config: &'a Config,
    parts: Parts,
}

impl<'a> Connect<'a> {
    /// The table.
    #[must_use]
    pub fn table(config: &'a Config) -> Self {
        let table = Table::new(aws::dynamodb(), &config.table_name);
        let stores = Stores { table, bucket: Bucket::default(), queues: Queues::default() };
        Self { config, parts: Parts::new(stores, Clock::system()) }
    }

    /// Bodies too large for the table.
    #[must_use]
    pub fn bucket(mut self) -> Self {
        self.parts.stores.bucket = Bucket::new(aws::s3(), &self.config.bucket_name);
        self
    }

    /// The queues that the function is told of.
    #[must_use]
    pub fn queues(mut self) -> Self {
        self.parts.stores.queues = Queues::new(aws::sqs(), self.config.queues.clone());
        self
    }

    /// The way to webhook endpoints, to register them or to send to them.
    #[must_use]
    pub fn receivers(mut self, receivers: Arc<dyn Receivers>) -> Self {
        self.parts.receivers = Some(receivers);
        self
    }

    /// The key of the admin API. Without one in the settings, every use of that API is refused.
    ///
    /// # Errors
    /// If the secret cannot be read.
    pub async fn admin_key(mut self) -> Result<Self, ConnectError> {
        if let Some(name) = &self.config.admin_key_secret {
            self.parts.admin_key = secrets::read([name.as_str()]).await?.remove(name);
        }
        Ok(self)
    }

    /// The models and their prices, without a way to their providers.
    ///
    /// # Errors
    /// If the models cannot be read.
    pub async fn models(mut self) -> Result<Self, ConnectError> {
        self.parts.catalog = Arc::new(models::read(&self.config.models).await?);
        Ok(self)
    }

    /// The models, and their providers with their keys; `make` makes the providers of a catalog, given where to find keys.
    ///
    /// # Errors
    /// If the models or a key cannot be read, or a provider is configured wrongly.
    pub async fn providers<E>(
        self,
        make: impl FnOnce(&Catalog, &dyn Fn(&KeySource) -> Option<Secret>, &Clock) -> Result<Providers, E>,
    ) -> Result<Self, ConnectError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut with_models = self.models().await?;
        let parts = &mut with_models.parts;
        let secrets = secrets::read(parts.catalog.secrets()).await?;
        let key = |source: &KeySource| match source {
            KeySource::None => None,
            KeySource::Env(name) => env(name).map(Secret::new),
            KeySource::Secret(name) => secrets.get(name).cloned(),
        };
        parts.providers =
            make(&parts.catalog, &key, &parts.clock).map_err(|error| ConnectError::Providers(error.into()))?;
        Ok(with_models)
    }

    /// The gateway.
    #[must_use]
    pub fn gateway(self) -> Deps {
        Gateway::new(self.parts)
    }
}
