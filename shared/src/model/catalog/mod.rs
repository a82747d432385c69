//! The models that weir serves and the providers behind them, as `models.toml` names them.

mod file;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::tokens::Price;

pub use file::CatalogError;

/// The content of a `models.toml` that was checked: every target names a provider that exists, every price is an
/// amount, no two models share a name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalog {
    providers: Vec<ProviderConfig>,
    models: Vec<Model>,
    /// Names and aliases, to the index of the model.
    by_name: HashMap<String, usize>,
}

/// A `[[provider]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ProviderConfig {
    pub name: String,
    pub kind: ProviderKind,
    /// Without a trailing slash.
    pub base_url: Option<String>,
    pub key: KeySource,
    /// Headers sent with every call, such as `OpenAI-Organization` or `api-version`.
    pub headers: Vec<(String, String)>,
    /// AWS region of a `bedrock` provider; absent: the function's own.
    pub region: Option<String>,
    pub output_limit: OutputLimit,
    pub simulator: SimulatorConfig,
}

/// Which API a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    Openai,
    Anthropic,
    Bedrock,
    Simulator,
}

/// The member of a chat call in which an `openai` provider reads the limit of output tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputLimit {
    /// As OpenAI, whose newer models refuse the other.
    #[default]
    MaxCompletionTokens,
    /// As servers that speak an older version of the API, and ignore the other.
    MaxTokens,
}

/// Where a provider's key is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// No key is sent.
    None,
    /// Name of an environment variable.
    Env(String),
    /// Name of a secret in AWS Secrets Manager.
    Secret(String),
}

/// How the embedded simulator behaves. See `docs/models.md`.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimulatorConfig {
    /// Median time to the first token, milliseconds.
    pub latency_ms: u64,
    /// Spread of that time: standard deviation of its logarithm; 0 is constant.
    pub latency_sigma: f64,
    /// Output tokens per second after the first; 0 is all at once.
    pub tokens_per_second: f64,
    /// Share of calls that fail with 503 before the first byte, 0 to 1.
    pub failure_rate: f64,
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self { latency_ms: 0, latency_sigma: 0.0, tokens_per_second: 0.0, failure_rate: 0.0 }
    }
}

/// A `[[model]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    pub name: String,
    pub aliases: Vec<String>,
    pub kind: ModelKind,
    /// `None`: unpriced; such a model is refused where a budget is set.
    pub price: Option<Price>,
    /// Input and output together.
    pub context_tokens: u64,
    pub max_output_tokens: u64,
    /// The most tokens that one image counts; `None`: up to the whole context.
    pub image_tokens: Option<u64>,
    /// In order of preference; never empty.
    pub targets: Vec<Target>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelKind {
    Chat,
    Embedding,
    Moderation,
}

/// One place where a model can be called.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Name of a provider of the same catalog.
    pub provider: String,
    /// The provider's name of the model.
    pub model: String,
    /// Share of the calls that try this target first, relative to the other weights.
    pub weight: Option<u32>,
    pub timeouts: Timeouts,
}

/// How long to wait for a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To a connection.
    pub connect: Duration,
    /// To the first event of a stream, or to the whole of an answer that is not streamed.
    pub first_byte: Duration,
    /// Between two events of a stream.
    pub idle: Duration,
    /// All attempts together.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(300),
            idle: Duration::from_secs(120),
            total: Duration::from_secs(600),
        }
    }
}

impl Catalog {
    /// Reads the text of a `models.toml`.
    ///
    /// # Errors
    /// Says which line is wrong and what to write instead.
    pub fn parse(text: &str) -> Result<Self, CatalogError> {
        file::parse(text)
    }

    /// Adds the providers and models of `other` whose names are not taken.
    #[must_use]
    pub fn merged_with(mut self, other: Self) -> Self {
        for provider in other.providers {
            if self.provider(&provider.name).is_none() {
                self.providers.push(provider);
            }
        }
        for model in other.models {
            if self.model(&model.name).is_none() {
                self.add(model);
            }
        }
        self
    }

    /// The model of that name or alias.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<&Model> {
        self.by_name.get(name).map(|&index| &self.models[index])
    }

    #[must_use]
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    #[must_use]
    pub fn provider(&self, name: &str) -> Option<&ProviderConfig> {
        self.providers.iter().find(|provider| provider.name == name)
    }

    #[must_use]
    pub fn providers(&self) -> &[ProviderConfig] {
        &self.providers
    }

    /// Names of the secrets with providers' keys, each once.
    #[must_use]
    pub fn secrets(&self) -> BTreeSet<&str> {
        let keys = self.providers.iter().map(|provider| &provider.key);
        keys.filter_map(|key| if let KeySource::Secret(name) = key { Some(name.as_str()) } else { None }).collect()
    }

    fn add(&mut self, model: Model) {
        let index = self.models.len();
        for name in std::iter::once(&model.name).chain(&model.aliases) {
            self.by_name.entry(name.clone()).or_insert(index);
        }
        self.models.push(model);
    }
}
