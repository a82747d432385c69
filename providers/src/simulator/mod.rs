//! A provider without an account. It answers from the request alone and states that it is not a model.
//!
//! The same request gets the same text. Time and failures follow [`SimulatorConfig`].

mod chat;
mod embed;
mod image;
mod length;
mod moderate;
mod pace;
mod sample;
mod speech;
mod text;
mod transcribe;

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use shared::model::catalog::SimulatorConfig;
use shared::model::clock::Clock;
use shared::model::id::Fingerprint;
use shared::model::provider::{Endpoint, Failure, Provider, ProviderRefusal, ProviderRequest, Reply};

use self::pace::Pace;

/// The embedded provider.
pub struct Simulator {
    config: SimulatorConfig,
    clock: Clock,
    /// Calls so far. A second attempt draws other chances than the first.
    calls: AtomicU64,
}

impl Simulator {
    #[must_use]
    pub fn new(config: SimulatorConfig, clock: Clock) -> Self {
        Self { config, clock, calls: AtomicU64::new(0) }
    }
}

#[async_trait]
impl Provider for Simulator {
    async fn send(&self, call: &ProviderRequest) -> Result<Reply, Failure> {
        let fingerprint = fingerprint(call);
        let attempt = self.calls.fetch_add(1, Ordering::Relaxed);
        let pace = Pace::draw(&self.config, fingerprint.as_str(), attempt);
        pace.wait_for_first_token().await?;
        let created = self.clock.now().seconds();
        match call.endpoint {
            Endpoint::ChatCompletions => chat::chat(call, fingerprint.as_str(), created, pace).await,
            Endpoint::Completions => chat::completion(call, fingerprint.as_str(), created, pace).await,
            Endpoint::Embeddings => embed::embed(call),
            Endpoint::Moderations => moderate::moderate(call, fingerprint.as_str()),
            Endpoint::Images | Endpoint::ImageEdits => image::images(call, fingerprint.as_str(), created),
            Endpoint::Speech => speech::speak(call),
            Endpoint::Transcriptions | Endpoint::Translations => transcribe::transcribe(call),
            Endpoint::Messages => {
                Err(Failure::Unsupported { what: "the simulator has no messages".to_owned(), param: None })
            }
        }
    }
}

/// Identifies a request, independent of the spacing between its members.
fn fingerprint(call: &ProviderRequest) -> Fingerprint {
    let mut parts = vec![call.endpoint.path(), call.model.as_str()];
    parts.extend(call.body.members().flat_map(|(name, text)| [name, text]));
    Fingerprint::of(parts.into_iter().map(str::as_bytes).chain(call.uploads.parts()))
}

/// A refusal in the words of OpenAI.
fn invalid_request(param: &str, message: impl Into<String>) -> Failure {
    let kind = Some("invalid_request_error".to_owned());
    let refusal = ProviderRefusal { message: message.into(), kind, param: Some(param.to_owned()), code: None };
    Failure::Refused { status: 400, refusal }
}
