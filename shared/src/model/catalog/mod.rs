//! The models that weir serves and the providers behind them, as `models.toml` names them.

mod file;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::money::MicroUsd;
use super::tokens::{Bound, Charge, Price, Usage};

pub use file::CatalogError;

/// The content of a checked `models.toml`. Every target names an existing provider, every price is an amount, and no
/// two models share a name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalog {
    providers: Vec<ProviderConfig>,
    models: Vec<Model>,
    /// The index of the model for each name and alias.
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
    /// The AWS region of a `bedrock` provider. `None` uses the function's own region.
    pub region: Option<String>,
    pub output_limit: OutputLimit,
    pub simulator: SimulatorConfig,
}

/// The API of a provider.
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
    /// For OpenAI, whose newer models refuse `max_tokens`.
    #[default]
    MaxCompletionTokens,
    /// For servers with an older version of the API, which ignore `max_completion_tokens`.
    MaxTokens,
}

/// The source of a provider's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// No key is sent.
    None,
    /// Name of an environment variable.
    Env(String),
    /// Name of a secret in AWS Secrets Manager.
    Secret(String),
}

/// The settings of the simulator. See `docs/models.md`.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimulatorConfig {
    /// The median time to the first token, in milliseconds.
    pub latency_ms: u64,
    /// The spread of that time: the standard deviation of its logarithm. With 0 the time is constant.
    pub latency_sigma: f64,
    /// Output tokens per second after the first token. With 0 all tokens come at once.
    pub tokens_per_second: f64,
    /// The share of calls that fail with 503 before the first byte, 0 to 1.
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
    /// `None` for an unpriced model, which is refused for projects with a budget.
    pub price: Option<Price>,
    /// Input and output together.
    pub context_tokens: u64,
    pub max_output_tokens: u64,
    /// The most tokens of one image. `None` stands for the whole context.
    pub image_tokens: Option<u64>,
    /// The targets in order of preference; never empty.
    pub targets: Vec<Target>,
}

impl Model {
    /// The charge for `usage`; its cost is nothing for a model without a price.
    #[must_use]
    pub fn charge(&self, usage: Usage) -> Charge {
        Charge { usage, cost: self.price.map_or(MicroUsd(0), |price| price.cost(&usage)) }
    }

    /// Checks that the price per token bounds the cost of a call. `billed_beside` is the member of the request that the
    /// provider bills in addition.
    ///
    /// # Errors
    /// If the model has no price, or the request has such a member.
    pub fn check_accountable(&self, billed_beside: Option<&'static str>) -> Result<(), Unaccountable> {
        match (self.price, billed_beside) {
            (None, _) => Err(Unaccountable::Unpriced(self.name.clone())),
            (_, Some(member)) => Err(Unaccountable::Beside(member)),
            (Some(_), None) => Ok(()),
        }
    }

    /// The highest cost of a call that uses at most `bound` tokens; nothing for a model without a price.
    #[must_use]
    pub fn worst_case(&self, bound: &Bound) -> MicroUsd {
        self.price.map_or(MicroUsd(0), |price| price.worst_case(bound))
    }
}

/// Why the price per token does not bound the cost of a call: no budget can pay for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unaccountable {
    /// The model of this name has no price.
    Unpriced(String),
    /// The provider bills this member of the request in addition to the tokens.
    Beside(&'static str),
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
    /// The name of a provider in the same catalog.
    pub provider: String,
    /// The provider's name of the model.
    pub model: String,
    /// The share of calls that try this target first, relative to the weights of the other targets.
    pub weight: Option<u32>,
    pub timeouts: Timeouts,
}

/// The times to wait for a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection is established.
    pub connect: Duration,
    /// Until the first event of a stream, or until the end of an answer that is not streamed.
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
    /// `CatalogError` with the line and the expected text.
    pub fn parse(text: &str) -> Result<Self, CatalogError> {
        file::parse(text)
    }

    /// Adds the providers and models of `other`, except those whose names are taken.
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

    /// The model with that name or alias.
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

    /// The names of the secrets with providers' keys, without duplicates.
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
