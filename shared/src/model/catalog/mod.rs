//! The models that weir serves and the providers behind them, as `models.toml` names them.

mod breaker;
mod entries;
mod file;
mod image_prices;
mod media_urls;
mod presets;
mod price;
mod quirks;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::money::MicroUsd;
use super::tokens::{Bound, Charge, Price, Unreported, Usage};

pub use breaker::BreakerConfig;
pub use file::CatalogError;
pub use image_prices::ImagePrices;
pub use media_urls::MediaUrls;
pub use presets::Preset;
pub use quirks::{DeveloperRole, NoThinking, OutputLimit, Quirks, ResponsesApi, SystemPosition, Thoughts};

/// The content of a checked `models.toml`. Every price is an amount, and no two models share a name.
///
/// A wrong entry does not make the others useless: the catalog remembers the names of wrong entries, so that a call of
/// one can be told the reason.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalog {
    providers: Vec<ProviderConfig>,
    models: Vec<Model>,
    /// The models that vector stores are to be embedded with, the first one that is served.
    embedding_models: Vec<String>,
    /// The index of the model for each name and alias.
    by_name: HashMap<String, usize>,
    problems: Vec<CatalogError>,
    wrong_models: HashMap<String, CatalogError>,
    wrong_providers: HashMap<String, CatalogError>,
    /// The lines of the entries, for messages: of models and of providers.
    lines: [BTreeMap<String, usize>; 2],
}

/// A `[[provider]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ProviderConfig {
    pub name: String,
    pub kind: ProviderKind,
    /// Without a trailing slash.
    pub base_url: Option<String>,
    pub key: KeySource,
    pub auth: Auth,
    /// Headers sent with every call, such as `OpenAI-Organization` or `api-version`.
    pub headers: Vec<(String, String)>,
    /// The AWS region of a `bedrock` provider, and of one whose requests are signed. `None` uses the function's own region.
    pub region: Option<String>,
    /// The value of `preset`; `None` if the entry has none.
    pub preset: Option<String>,
    pub quirks: Quirks,
    /// Of each of its targets.
    pub breaker: BreakerConfig,
    /// What is charged for attempts that it may bill and that ended without a usage.
    pub unreported: Unreported,
    /// Members of requests whose cost the price per token covers, beside those that weir knows.
    pub allow_members: BTreeSet<String>,
    pub media_urls: MediaUrls,
    pub simulator: SimulatorConfig,
}

/// The API of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    Openai,
    Anthropic,
    Gemini,
    Bedrock,
    Simulator,
}

impl ProviderKind {
    /// Whether a provider of this kind gets members of a request that weir does not know. Others get a translation. The
    /// simulator ignores them, and stands for a provider that does not.
    #[must_use]
    pub fn passes_members(self) -> bool {
        matches!(self, Self::Openai | Self::Simulator)
    }

    /// Whether weir knows the batch API of providers of this kind.
    #[must_use]
    pub fn has_batches(self) -> bool {
        matches!(self, Self::Openai | Self::Anthropic)
    }

    /// Whether a provider of this kind gets a request of Anthropic's API as it is when it is asked for `model`, its own name of the
    /// model. Of Bedrock, Claude models do. The model of an ARN is not known.
    #[must_use]
    pub fn passes_messages(self, model: &str) -> bool {
        self == Self::Anthropic || self == Self::Bedrock && model.contains("anthropic.") && !model.starts_with("arn:")
    }
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

/// How a provider knows that weir may call it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    /// By the key, if there is one.
    #[default]
    Key,
    /// By a signature of AWS, with the credentials of the process.
    Sigv4,
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
    /// The share of calls that are throttled with 429, 0 to 1. With `failure_rate` at most 1.
    pub throttle_rate: f64,
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self { latency_ms: 0, latency_sigma: 0.0, tokens_per_second: 0.0, failure_rate: 0.0, throttle_rate: 0.0 }
    }
}

/// A `[[model]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    pub name: String,
    pub aliases: Vec<String>,
    pub kind: ModelKind,
    /// `None` for an unpriced model, which is refused for projects with a budget.
    pub price: Option<Arc<Price>>,
    /// The prices of other service tiers than the default, by the value of `service_tier`.
    pub tiers: BTreeMap<String, Arc<Price>>,
    /// The prices of images by size and quality; `None` if images are not billed by the piece. `price` has the dearest.
    pub per_image: Option<ImagePrices>,
    /// Members of requests whose cost the price covers at every target, beside those that weir knows. `None`: no target
    /// gets members that weir does not know.
    pub allow_members: Option<BTreeSet<String>>,
    /// The same for requests of Anthropic's API, which providers with that API get as they are.
    pub allow_messages_members: Option<BTreeSet<String>>,
    /// Input and output together.
    pub context_tokens: u64,
    pub max_output_tokens: u64,
    /// The most tokens of one image. `None` stands for the whole context.
    pub image_tokens: Option<u64>,
    /// The longest sound that a provider takes, in seconds. `None`: seconds are neither billed nor counted.
    pub max_seconds: Option<u64>,
    /// The most output tokens that the model writes in a second, hidden reasoning included.
    pub tokens_per_second: u64,
    /// Where the lines of batches run.
    pub batch: BatchMode,
    /// The targets in order of preference; never empty.
    pub targets: Vec<Target>,
}

/// Where the lines of a batch run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BatchMode {
    /// Here: each is a call of the model.
    #[default]
    Direct,
    /// In the batch API of the first target's provider, at its price for batches.
    Native,
}

impl Model {
    /// The longest that a call can take, at the target that allows most.
    #[must_use]
    pub fn longest_call(&self) -> Duration {
        self.targets.iter().map(|target| target.timeouts.total).max().unwrap_or_default()
    }

    /// The charge for `usage`; its cost is nothing for a model without a price.
    #[must_use]
    pub fn charge(&self, usage: Usage) -> Charge {
        Charge::at(self.price.as_deref(), usage)
    }

    /// The highest cost of a call within `bound`; nothing for a model without a price.
    #[must_use]
    pub fn worst_case(&self, bound: &Bound) -> MicroUsd {
        self.price.as_deref().map_or(MicroUsd(0), |price| price.worst_case(bound))
    }

    /// The model at the price of its provider's batches. Without such a price, its own bounds it.
    #[must_use]
    pub fn in_batch(mut self) -> Self {
        self.price = self.tiers.get(BATCH_TIER).cloned().or(self.price);
        self
    }

    /// The price of a service tier that a request may ask for.
    ///
    /// `batch` is the price of work that weir gives to the provider as a batch; a request cannot ask for it. `fast` is OpenAI's
    /// other name of `priority`.
    #[must_use]
    pub fn price_of_tier(&self, tier: &str) -> Option<&Arc<Price>> {
        let own = self.tiers.get(tier);
        match tier {
            BATCH_TIER => None,
            "fast" => own.or_else(|| self.tiers.get("priority")),
            _ => own,
        }
    }
}

/// The tier with the prices of a provider's batches.
const BATCH_TIER: &str = "batch";

/// Why the price per token does not bound the cost of a call: no budget can pay for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unaccountable {
    /// The model of this name has no price.
    Unpriced(String),
    /// The model has no price for this service tier.
    Tier { model: String, tier: String },
    /// The provider may bill this member of the request in addition to the tokens. `name` is its name in `allow_members`,
    /// `path` its place in the request.
    Beside { name: String, path: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelKind {
    Chat,
    Embedding,
    Moderation,
    /// Makes images.
    Image,
    /// Speaks a text.
    Speech,
    /// Writes down what is spoken.
    Transcription,
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
    /// Reads the text of a `models.toml` that must not have any wrong entry.
    ///
    /// # Errors
    /// The first problem, with its line and the expected text.
    pub fn parse(text: &str) -> Result<Self, CatalogError> {
        let mut catalog = Self::read(text).map_err(first)?;
        match catalog.problems.is_empty() {
            true => Ok(catalog),
            false => Err(catalog.problems.swap_remove(0)),
        }
    }

    /// Reads the text of a `models.toml` without its wrong entries. [`Catalog::problems`] lists these.
    ///
    /// # Errors
    /// All problems if the text is not TOML; never an empty list.
    pub fn read(text: &str) -> Result<Self, Vec<CatalogError>> {
        file::read(text)
    }

    /// An empty catalog with these problems, for a text that is not TOML.
    #[must_use]
    pub fn of_problems(problems: Vec<CatalogError>) -> Self {
        Self { problems, ..Self::default() }
    }

    /// Adds the providers and models of `other`. A name that this catalog has, even for a wrong entry, keeps its meaning.
    /// A provider of `other` whose name means another provider here gets another name.
    #[must_use]
    pub fn merged_with(mut self, mut other: Self) -> Self {
        for mut provider in std::mem::take(&mut other.providers) {
            if self.provider(&provider.name) == Some(&provider) {
                continue;
            }
            let taken = std::mem::take(&mut provider.name);
            provider.name = self.free_provider_name(&taken);
            let targets = other.models.iter_mut().flat_map(|model| &mut model.targets);
            for target in targets.filter(|target| target.provider == taken) {
                target.provider.clone_from(&provider.name);
            }
            self.providers.push(provider);
        }
        if self.embedding_models.is_empty() {
            self.embedding_models = std::mem::take(&mut other.embedding_models);
        }
        for mut model in other.models {
            let names = std::iter::once(model.name).chain(model.aliases);
            let mut free = names.filter(|name| !self.knows(name)).collect::<Vec<_>>().into_iter();
            let Some(name) = free.next() else { continue };
            (model.name, model.aliases) = (name, free.collect());
            self.add(model);
        }
        self
    }

    fn knows(&self, name: &str) -> bool {
        self.by_name.contains_key(name) || self.wrong_models.contains_key(name)
    }

    fn free_provider_name(&self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        while self.provider(&name).is_some() || self.wrong_providers.contains_key(&name) {
            name.push_str("-builtin");
        }
        name
    }

    /// What is wrong with the entries of the file, in the order of their lines.
    #[must_use]
    pub fn problems(&self) -> &[CatalogError] {
        &self.problems
    }

    /// Why the model with that name or alias is not in the catalog although the file has it.
    #[must_use]
    pub fn wrong_model(&self, name: &str) -> Option<&CatalogError> {
        self.wrong_models.get(name)
    }

    /// Why the provider with that name is not in the catalog although the file names it.
    #[must_use]
    pub fn wrong_provider(&self, name: &str) -> Option<&CatalogError> {
        self.wrong_providers.get(name)
    }

    /// The line of a model's entry, counted from 1; `None` if it is not from a file.
    #[must_use]
    pub fn line_of_model(&self, name: &str) -> Option<usize> {
        self.lines[0].get(name).copied()
    }

    /// The line of a provider's entry, counted from 1; `None` if it is not from a file.
    #[must_use]
    pub fn line_of_provider(&self, name: &str) -> Option<usize> {
        self.lines[1].get(name).copied()
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

    /// The model that embeds new vector stores: the first of `vector_stores.embedding_models` that is served, else the first that weir knows
    /// to make vectors of the right length, else any.
    #[must_use]
    pub fn embedding_model(&self) -> Option<&Model> {
        let named = self.embedding_models.iter().map(String::as_str).chain(EMBEDDING_MODELS);
        let named = named.filter_map(|name| self.model(name));
        named.chain(&self.models).find(|model| model.kind == ModelKind::Embedding)
    }

    fn add(&mut self, model: Model) {
        let index = self.models.len();
        for name in std::iter::once(&model.name).chain(&model.aliases) {
            self.by_name.entry(name.clone()).or_insert(index);
        }
        self.models.push(model);
    }
}

/// Models that make vectors of 1,024 numbers when they are asked to, and the simulator's.
const EMBEDDING_MODELS: [&str; 4] =
    ["titan-embed-text-v2", "text-embedding-3-small", "gemini-embedding-001", "simulator-embedding"];

/// The first of some problems.
fn first(mut problems: Vec<CatalogError>) -> CatalogError {
    match problems.is_empty() {
        true => CatalogError { line: 1, reason: "the file cannot be read".to_owned() },
        false => problems.swap_remove(0),
    }
}
