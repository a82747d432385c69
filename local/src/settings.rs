//! What the local server is told on its command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use embedded::Place;
use outbound::{Options, Outbound};
use shared::app::{Gateway, Parts};
use shared::data::Stores;
use shared::edge::Deps;
use shared::model::catalog::{Catalog, KeySource};
use shared::model::clock::Clock;
use shared::model::secret::Secret;
use shared::model::webhook::Receivers;

use crate::LocalError;

/// Settings of `weir serve`.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Port 0 takes any free port.
    pub address: SocketAddr,
    pub data: Data,
    /// A `models.toml`; without one the builtin models are served.
    pub models: Option<PathBuf>,
    /// Without one a key is made and kept in the data folder.
    pub admin_key: Option<Secret>,
}

/// Where the stores are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    Embedded(Place),
    /// A DynamoDB at this URL, in another process; bodies stay in memory. For measuring.
    RemoteTable(String),
}

impl Settings {
    /// A gateway to the models of these settings.
    pub(crate) fn gateway(&self, stores: Stores, admin_key: Option<Secret>) -> Result<Deps, LocalError> {
        let catalog = Arc::new(self.catalog()?);
        let clock = Clock::system();
        let providers = providers::registry(&catalog, &provider_key, &clock)?;
        // Its user's own machine is where its receivers are tried out.
        let options = Options { permit_loopback: true, ..Options::default() };
        let receivers: Option<Arc<dyn Receivers>> = Some(Arc::new(Outbound::new(options)));
        Ok(Gateway::new(Parts { stores, catalog, providers, clock, receivers, admin_key }))
    }

    /// The models to serve.
    fn catalog(&self) -> Result<Catalog, LocalError> {
        let Some(path) = &self.models else {
            return Ok(providers::builtin::builtin_catalog(&|name| shared::edge::config::env(name).is_some()));
        };
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| LocalError::Read { path: shown.clone(), source })?;
        Catalog::parse(&text).map_err(|error| LocalError::Models { path: shown, error })
    }
}

/// Keys of providers: from the environment. Secrets Manager has none of ours here.
fn provider_key(source: &KeySource) -> Option<Secret> {
    match source {
        KeySource::Env(name) => shared::edge::config::env(name).map(Secret::new),
        KeySource::None | KeySource::Secret(_) => None,
    }
}
