//! The model providers that weir can call: OpenAI and whatever speaks its API, Anthropic, Amazon Bedrock, and a simulator.
//!
//! [`registry`] makes one [`Provider`] per `[[provider]]` of a catalog. Each speaks OpenAI's shapes towards weir and makes
//! one attempt per call: retries, fallback and all timeouts but the one for connecting belong to `shared::app::dispatch`.

mod answer;
pub mod anthropic;
pub mod bedrock;
mod blocks;
pub mod builtin;
mod conversation;
mod http;
pub mod openai;
pub mod simulator;
mod translate;

use std::collections::HashMap;
use std::sync::Arc;

use shared::model::catalog::{Catalog, KeySource, ProviderConfig, ProviderKind};
use shared::model::clock::Clock;
use shared::model::provider::Provider;
use shared::model::secret::Secret;

use crate::http::Http;

/// Why a provider cannot be set up from its configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("provider `{provider}`: {reason}")]
pub struct ConnectError {
    pub provider: String,
    pub reason: String,
}

/// One provider per `[[provider]]` of `catalog`, by name.
///
/// Nothing is connected or read from disk here: clients are built when they are first used, so that a cold start
/// pays only for what its first call needs. A key that `key` does not find stops nothing either; the provider that
/// needs it answers `Failure::Unauthorized` with the name of what is missing.
///
/// # Errors
/// If a header or a base URL cannot be sent.
pub fn registry(
    catalog: &Catalog,
    key: &dyn Fn(&KeySource) -> Option<Secret>,
    clock: &Clock,
) -> Result<HashMap<String, Arc<dyn Provider>>, ConnectError> {
    let http = Arc::new(Http::new(clock.clone()));
    let connect = |config: &ProviderConfig| {
        let provider =
            provider(config, key, &http).map_err(|reason| ConnectError { provider: config.name.clone(), reason })?;
        Ok((config.name.clone(), provider))
    };
    catalog.providers().iter().map(connect).collect()
}

fn provider(
    config: &ProviderConfig,
    key: &dyn Fn(&KeySource) -> Option<Secret>,
    http: &Arc<Http>,
) -> Result<Arc<dyn Provider>, String> {
    Ok(match config.kind {
        ProviderKind::Openai => Arc::new(openai::OpenAi::new(config, key(&config.key), http.clone())?),
        ProviderKind::Anthropic => Arc::new(anthropic::Anthropic::new(config, key(&config.key), http.clone())?),
        ProviderKind::Bedrock => Arc::new(bedrock::Bedrock::new(config, http.clock().clone())),
        ProviderKind::Simulator => Arc::new(simulator::Simulator::new(config.simulator.clone(), http.clock().clone())),
    })
}
