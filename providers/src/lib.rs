//! The model providers that weir can call: OpenAI and servers with its API, Anthropic, Amazon Bedrock, and a simulator.
//!
//! [`registry`] makes one [`Provider`] per `[[provider]]` of a catalog. A provider accepts and returns OpenAI's shapes
//! and makes one attempt per call. Retries, fallback and all timeouts except for the one to connect belong to
//! `shared::app::dispatch`.

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
/// Connects nothing and reads no file: clients are built on first use, so that a cold start pays only for its first
/// call. A key that `key` does not find is no error here. The provider that needs it answers `Failure::Unauthorized`
/// and names the missing key.
///
/// # Errors
/// If a base URL is not a URL, or a header cannot be sent.
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
