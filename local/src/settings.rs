//! Settings of the local server, from its command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use embedded::Place;
use outbound::{Options, Outbound};
use shared::app::Components;
use shared::data::Stores;
use shared::edge::config::HttpConfig;
use shared::model::catalog::{Catalog, KeySource};
use shared::model::clock::Clock;
use shared::model::secret::Secret;

use crate::LocalError;

/// Settings of `weir serve`.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Port 0 takes any free port.
    pub address: SocketAddr,
    pub data: Data,
    /// A `models.toml`. Without one the server has the builtin models.
    pub models: Option<PathBuf>,
    /// Without one the server makes a key and keeps it in the data folder.
    pub admin_key: Option<Secret>,
    pub http: HttpConfig,
}

/// The place of the stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    Embedded(Place),
    /// A DynamoDB at this URL, in another process, with bodies in memory. Benchmarks use it.
    RemoteTable(String),
}

impl Settings {
    /// Makes the components, with the models of these settings.
    ///
    /// # Errors
    /// `Read` or `Models` if the models cannot be read; `Providers` if the settings of a provider are invalid.
    pub(crate) fn components(&self, stores: Stores, admin_key: Option<Secret>) -> Result<Components, LocalError> {
        let catalog = Arc::new(self.catalog()?);
        let clock = Clock::system();
        let providers = providers::registry(&catalog, &provider_key, &clock)?;
        // Users try webhooks with a receiver on the same machine.
        let options = Options { permit_loopback: true, ..Options::default() };
        let receivers = Arc::new(Outbound::new(options));
        let components = Components::new(stores, clock).models(catalog).providers(providers).receivers(receivers);
        Ok(match admin_key {
            Some(key) => components.admin_key(key),
            None => components,
        })
    }

    /// Reads the models.
    fn catalog(&self) -> Result<Catalog, LocalError> {
        let Some(path) = &self.models else {
            return Ok(providers::builtin::builtin_catalog(&|name| shared::edge::config::env(name).is_some()));
        };
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| LocalError::Read { path: shown.clone(), source })?;
        Catalog::parse(&text).map_err(|error| LocalError::Models { path: shown, error })
    }
}

/// The key of a provider, from the environment. The local server has no Secrets Manager.
fn provider_key(source: &KeySource) -> Option<Secret> {
    match source {
        KeySource::Env(name) => shared::edge::config::env(name).map(Secret::new),
        KeySource::None | KeySource::Secret(_) => None,
    }
}
