//! Makes the components from the settings, once per cold start.
//!
//! A function names the services that it uses, and links the clients of those only: the linker drops the other clients.

mod aws;
mod models;
mod secrets;

use std::sync::Arc;

use super::config::{Config, env};
use crate::app::{Components, Providers};
use crate::data::{Bucket, Queues, Stores, Table};
use crate::model::catalog::{Catalog, CatalogError, KeySource};
use crate::model::clock::Clock;
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

/// The parts of a function's components: the table, which every function uses, and the parts that its `main` adds.
///
/// `template.yaml` grants a function the services that it names here. A check of the built binaries compares the two.
pub struct Connect<'a> {
    config: &'a Config,
    stores: Stores,
    clock: Clock,
    catalog: Arc<Catalog>,
    providers: Providers,
    receivers: Option<Arc<dyn Receivers>>,
    admin_key: Option<Secret>,
}

impl<'a> Connect<'a> {
    /// Connects to the table.
    #[must_use]
    pub fn table(config: &'a Config) -> Self {
        let table = Table::new(aws::dynamodb(), &config.table_name);
        Self {
            config,
            stores: Stores { table, bucket: Bucket::default(), queues: Queues::default() },
            clock: Clock::system(),
            catalog: Arc::default(),
            providers: Providers::new(),
            receivers: None,
            admin_key: None,
        }
    }

    /// Connects to the bucket, which holds bodies that are too large for the table.
    #[must_use]
    pub fn bucket(mut self) -> Self {
        self.stores.bucket = Bucket::new(aws::s3(), &self.config.bucket_name);
        self
    }

    /// Connects to the queues of which the settings have URLs.
    #[must_use]
    pub fn queues(mut self) -> Self {
        self.stores.queues = Queues::new(aws::sqs(), self.config.queues.clone());
        self
    }

    /// Adds the client for webhook endpoints, which checks their URLs and sends events to them.
    #[must_use]
    pub fn receivers(mut self, receivers: Arc<dyn Receivers>) -> Self {
        self.receivers = Some(receivers);
        self
    }

    /// Reads the key of the admin API. If the settings name none, the admin API refuses every request.
    ///
    /// # Errors
    /// `Secret` if the secret cannot be read.
    pub async fn admin_key(mut self) -> Result<Self, ConnectError> {
        if let Some(name) = &self.config.admin_key_secret {
            self.admin_key = secrets::read([name.as_str()]).await?.remove(name);
        }
        Ok(self)
    }

    /// Reads the models and their prices, without connecting to providers.
    ///
    /// # Errors
    /// `Models` or `Catalog` if the models cannot be read.
    pub async fn models(mut self) -> Result<Self, ConnectError> {
        self.catalog = Arc::new(models::read(&self.config.models).await?);
        Ok(self)
    }

    /// Reads the models, and connects to their providers. `make` makes the providers of a catalog; it looks their keys
    /// up with its second argument.
    ///
    /// # Errors
    /// `Models` or `Catalog` if the models cannot be read; `Secret` if a key cannot be read; `Providers` if the
    /// settings of a provider are invalid.
    pub async fn providers<E>(
        self,
        make: impl FnOnce(&Catalog, &dyn Fn(&KeySource) -> Option<Secret>, &Clock) -> Result<Providers, E>,
    ) -> Result<Self, ConnectError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut with_models = self.models().await?;
        let secrets = secrets::read(with_models.catalog.secrets()).await?;
        let key = |source: &KeySource| match source {
            KeySource::None => None,
            KeySource::Env(name) => env(name).map(Secret::new),
            KeySource::Secret(name) => secrets.get(name).cloned(),
        };
        let providers = make(&with_models.catalog, &key, &with_models.clock);
        with_models.providers = providers.map_err(|error| ConnectError::Providers(error.into()))?;
        Ok(with_models)
    }

    /// Makes the components.
    #[must_use]
    pub fn components(self) -> Components {
        let mut components = Components::new(self.stores, self.clock).models(self.catalog).providers(self.providers);
        if let Some(receivers) = self.receivers {
            components = components.receivers(receivers);
        }
        if let Some(key) = self.admin_key {
            components = components.admin_key(key);
        }
        components
    }
}
