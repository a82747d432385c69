//! Settings of the local server, from its command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use embedded::Place;
use outbound::{Options, Outbound};
use providers::builtin::{bedrock, builtin_catalog};
use shared::app::{Components, Models, ServedModels};
use shared::data::Stores;
use shared::edge::config::{HttpConfig, env};
use shared::edge::connect::{Builtin, EnvKeys, ModelsFile, ModelsPlace};
use shared::model::catalog::Catalog;
use shared::model::clock::Clock;
use shared::model::keys::FixedKey;
use shared::model::secret::Secret;

use crate::{LocalError, Problems};

/// Settings of `weir serve`.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Port 0 takes any free port.
    pub address: SocketAddr,
    pub data: Data,
    /// A `models.toml`. Without one the server has the builtin models.
    pub models: Option<PathBuf>,
    /// Whether the builtin models of Amazon Bedrock are served, too.
    pub bedrock: bool,
    /// Without one the server makes a key and keeps it in the data folder.
    pub admin_key: Option<Secret>,
    pub http: HttpConfig,
}

/// Stores in memory, a free port of this machine, the builtin models.
impl Default for Settings {
    fn default() -> Self {
        Self {
            address: ([127, 0, 0, 1], 0).into(),
            data: Data::Embedded(Place::Memory),
            models: None,
            bedrock: false,
            admin_key: None,
            http: HttpConfig::default(),
        }
    }
}

/// The place of the stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    Embedded(Place),
    /// A DynamoDB and an S3 in another process. Benchmarks use them.
    Remote {
        table_url: String,
        bucket_url: String,
    },
}

impl Settings {
    /// Makes the components, with the models of these settings.
    ///
    /// # Errors
    /// `Read` or `Models` if the models cannot be read, or if an entry of them is wrong. A file that later has a wrong
    /// entry is served without that entry; one that is not TOML any more changes nothing.
    pub(crate) async fn components(&self, stores: Stores, admin_key: Option<Secret>) -> Result<Components, LocalError> {
        let clock = Clock::system();
        let models = self.models(&clock).await?;
        // Users try webhooks with a receiver on the same machine.
        let options = Options { permit_loopback: true, ..Options::default() };
        let receivers = Arc::new(Outbound::new(options));
        let components = Components::new(stores, clock).serving(Arc::new(models)).receivers(receivers);
        Ok(match admin_key {
            Some(key) => {
                let (keys, source) = FixedKey::with_source(key);
                components.admin_key(keys, source, None)
            }
            None => components,
        })
    }

    /// The models of the file, read again when it changes, or the builtin ones.
    async fn models(&self, clock: &Clock) -> Result<Models, LocalError> {
        let make = providers::connect(Arc::new(EnvKeys), clock);
        let bedrock: Option<Builtin> = self.bedrock.then(|| Arc::new(bedrock_models) as Builtin);
        let Some(path) = &self.models else {
            let catalog = builtin_catalog(&|name| env(name).is_some());
            let catalog = bedrock.into_iter().fold(catalog, |catalog, bedrock| catalog.merged_with(bedrock()));
            return Ok(Models::fixed(ServedModels::connect(catalog, &make, None)));
        };
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| LocalError::Read { path: shown.clone(), source })?;
        let catalog = Catalog::read(&text).unwrap_or_else(Catalog::of_problems);
        if !catalog.problems().is_empty() {
            let problems = catalog.problems().to_vec();
            return Err(LocalError::Models { path: shown, problems: Problems(problems) });
        }
        if catalog.models().is_empty() && bedrock.is_none() {
            return Err(LocalError::NoModels { path: shown });
        }
        let file = ModelsFile::new(ModelsPlace::File(path.clone()), bedrock, Some(make));
        Ok(Models::read(Arc::new(file), clock.clone()).await)
    }
}

/// The builtin models of Bedrock in the region of the environment.
fn bedrock_models() -> Catalog {
    let region = env("AWS_REGION").or_else(|| env("AWS_DEFAULT_REGION")).unwrap_or_default();
    bedrock(&region)
}
