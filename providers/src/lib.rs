//! The model providers that weir can call: OpenAI and servers with its API, Anthropic, Gemini, Amazon Bedrock, and a simulator.
//!
//! [`connect`] makes a [`Provider`] of a `[[provider]]`. A provider accepts and returns OpenAI's shapes, and Anthropic's for
//! `Endpoint::Messages`. It makes one attempt per call. Retries, fallback and all timeouts except for the one to connect belong to
//! `shared::app::dispatch`.

mod answer;
pub mod anthropic;
pub mod bedrock;
mod blocks;
pub mod builtin;
mod conversation;
mod counts;
mod custom_tools;
pub mod gemini;
mod http;
mod media;
pub mod messages;
pub mod openai;
mod own_reasoning;
pub mod simulator;
mod thought;
mod translate;
mod wrong;

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use shared::model::catalog::{ProviderConfig, ProviderKind, ResponsesApi};
use shared::model::clock::Clock;
use shared::model::keys::{Keys, MakeProvider};
use shared::model::provider::{Failure, Provider};

use crate::http::{Aws, Http};

/// How long [`ask`] waits for a connection.
const ASK_CONNECT: Duration = Duration::from_secs(5);

/// Makes providers, which look their keys up in `keys`.
///
/// Connects nothing and reads no file or key: clients are built and keys are read on first use, so that a cold start
/// pays only for its first call. A provider whose entry is wrong, or whose key cannot be read, fails its calls with
/// `Failure::NotSetUp`.
#[must_use]
pub fn connect(keys: Arc<dyn Keys>, clock: &Clock) -> MakeProvider {
    makes(keys, Http::new(clock.clone()))
}

/// As [`connect`], with AWS credentials for providers whose requests are signed. Other providers do not use them.
#[must_use]
pub fn connect_with_credentials(keys: Arc<dyn Keys>, clock: &Clock, credentials: Credentials) -> MakeProvider {
    makes(keys, Http::new(clock.clone()).with_aws(Aws::with(credentials)))
}

fn makes(keys: Arc<dyn Keys>, http: Http) -> MakeProvider {
    let http = Arc::new(http);
    Arc::new(move |config| {
        provider(config, &keys, &http).unwrap_or_else(|reason| {
            tracing::error!(provider = config.name, reason, "provider set up wrongly in the models file");
            Arc::new(wrong::Wrong(reason))
        })
    })
}

/// Whether [`connect`] can make a provider of an entry.
///
/// # Errors
/// Why not: the base URL is not a URL, or a header cannot be sent.
pub fn check(config: &ProviderConfig, keys: &Arc<dyn Keys>) -> Result<(), String> {
    provider(config, keys, &Arc::new(Http::new(Clock::system()))).map(drop)
}

/// Asks a provider for its list of models, with the URL, the key and the headers of its calls. Returns the status of its
/// answer; `None` for a kind without such a list.
///
/// # Errors
/// `NotSetUp` if the entry is wrong or the key cannot be read, `Unreachable` or `TimedOut` without an answer.
pub async fn ask(config: &ProviderConfig, keys: Arc<dyn Keys>) -> Result<Option<u16>, Failure> {
    let server = match config.kind {
        ProviderKind::Openai => openai::server(config, keys),
        ProviderKind::Anthropic => anthropic::server(config, keys),
        ProviderKind::Gemini => gemini::server(config, keys),
        ProviderKind::Bedrock | ProviderKind::Simulator => return Ok(None),
    };
    let server = server.map_err(Failure::wrong_entry)?;
    Http::new(Clock::system()).status_of(&server, "/models", ASK_CONNECT).await.map(Some)
}

fn provider(config: &ProviderConfig, keys: &Arc<dyn Keys>, http: &Arc<Http>) -> Result<Arc<dyn Provider>, String> {
    let provider: Arc<dyn Provider> = match config.kind {
        ProviderKind::Openai => Arc::new(openai::OpenAi::new(config, keys.clone(), http.clone())?),
        ProviderKind::Anthropic => Arc::new(anthropic::Anthropic::new(config, keys.clone(), http.clone())?),
        ProviderKind::Gemini => Arc::new(gemini::Gemini::new(config, keys.clone(), http.clone())?),
        ProviderKind::Bedrock => Arc::new(bedrock::Bedrock::new(config, http.clock().clone())),
        ProviderKind::Simulator => Arc::new(simulator::Simulator::new(config.simulator.clone(), http.clock().clone())),
    };
    let provider = if config.quirks.custom_tools { provider } else { Arc::new(custom_tools::FunctionsOnly(provider)) };
    let origin = match config.quirks.responses {
        ResponsesApi::Chat => config.name.clone(),
        // Reasoning of one API is none of the other.
        ResponsesApi::Native => format!("{} responses", config.name),
    };
    let provider: Arc<dyn Provider> = Arc::new(own_reasoning::OwnReasoning::new(provider, &origin));
    let over_chat = |provider| messages::OverChat::new(provider, messages::Accepts::of(config));
    Ok(match config.kind {
        ProviderKind::Anthropic => provider,
        ProviderKind::Bedrock => Arc::new(over_chat(provider).except(bedrock::claude::takes)),
        _ => Arc::new(over_chat(provider)),
    })
}
