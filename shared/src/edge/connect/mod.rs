//! Makes the components from the settings, once per cold start.
//!
//! A function names the services that it uses, and links the clients of those only: the linker drops the other clients.

mod aws;
mod models;
mod secrets;

use std::sync::Arc;

use super::config::{Config, ModelsSetting, env};
use crate::app::{Components, Models};
use crate::data::{Bucket, Queues, Stores, Table};
use crate::model::catalog::{Catalog, KeySource};
use crate::model::clock::Clock;
use crate::model::keys::{ConnectProviders, Keys, MakeProvider};
use crate::model::webhook::Receivers;

pub use models::{ModelsFile, ModelsPlace};
pub use secrets::EnvKeys;
use secrets::SecretKeys;

/// Makes the models that are served beside those of the models file.
pub type Builtin = Arc<dyn Fn() -> Catalog + Send + Sync>;

/// The builtin models of Amazon Bedrock in a region.
pub type BedrockModels = fn(&str) -> Catalog;

/// The parts of a function's components: the table, which every function uses, and the parts that its `main` adds.
///
/// Nothing here fails. A function whose secret or models file cannot be read starts, and says so in its answers: a
/// function that does not start answers with API Gateway's own error, and `CloudFormation` reports success nevertheless.
///
/// `template.yaml` grants a function the services that it names here. A check of the built binaries compares the two.
pub struct Connect<'a> {
    config: &'a Config,
    stores: Stores,
    clock: Clock,
    models: Option<Models>,
    receivers: Option<Arc<dyn Receivers>>,
    admin_key: Option<(Arc<dyn Keys>, KeySource)>,
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
            models: None,
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

    /// Adds the key of the admin API, which is read with the first request. If the settings name none, the admin API
    /// refuses every request.
    #[must_use]
    pub fn admin_key(mut self) -> Self {
        let source = self.config.admin_key_secret.clone().map(KeySource::Secret);
        self.admin_key = source.map(|source| (self.secrets(), source));
        self
    }

    /// Reads the models and their prices, without connecting to providers. `bedrock` makes the builtin models, which are
    /// served if the settings say so.
    pub async fn models(self, bedrock: BedrockModels) -> Self {
        self.serve(bedrock, None).await
    }

    /// Reads the models, and adds their providers, which `connect` makes. Connections are made and keys are read with the
    /// first call.
    pub async fn providers(self, connect: ConnectProviders, bedrock: BedrockModels) -> Self {
        let make = connect(self.secrets(), &self.clock);
        self.serve(bedrock, Some(make)).await
    }

    async fn serve(mut self, bedrock: BedrockModels, make: Option<MakeProvider>) -> Self {
        let place = match &self.config.models {
            ModelsSetting::File(path) => ModelsPlace::File(path.into()),
            ModelsSetting::S3 { bucket, key } => {
                ModelsPlace::Object { client: aws::s3(), bucket: bucket.clone(), key: key.clone() }
            }
        };
        let builtin = self.config.bedrock.then(|| {
            let region = env("AWS_REGION").unwrap_or_default();
            Arc::new(move || bedrock(&region)) as Builtin
        });
        let file = Arc::new(ModelsFile::new(place, builtin, make));
        self.models = Some(Models::read(file, self.clock.clone()).await);
        self
    }

    fn secrets(&self) -> Arc<dyn Keys> {
        secret_keys(self.clock.clone())
    }

    /// Makes the components.
    #[must_use]
    pub fn components(self) -> Components {
        let mut components = Components::new(self.stores, self.clock);
        if let Some(models) = self.models {
            components = components.serving(Arc::new(models));
        }
        if let Some(receivers) = self.receivers {
            components = components.receivers(receivers);
        }
        if let Some((keys, source)) = self.admin_key {
            components = components.admin_key(keys, source, self.config.admin_addresses.clone());
        }
        components
    }
}

/// Keys from the environment and from Secrets Manager, with the credentials and the region of the environment.
#[must_use]
pub fn secret_keys(clock: Clock) -> Arc<dyn Keys> {
    Arc::new(SecretKeys::of_aws(clock))
}
