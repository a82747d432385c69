//! Reads `models.toml` strictly. Every error names its line and the expected text.

use std::collections::HashSet;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::{
    Catalog, KeySource, Model, ModelKind, OutputLimit, ProviderConfig, ProviderKind, SimulatorConfig, Target, Timeouts,
};
use crate::model::money::MicroUsd;
use crate::model::tokens::Price;

/// Why a `models.toml` is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct CatalogError {
    /// Counted from 1.
    pub line: usize,
    pub reason: String,
}

pub(super) fn parse(text: &str) -> Result<Catalog, CatalogError> {
    let file: File = toml::from_str(text).map_err(|error| CatalogError {
        line: line_of(text, error.span().map_or(0, |span| span.start)),
        reason: error.message().to_owned(),
    })?;
    build(file).map_err(|Wrong { at, reason }| CatalogError { line: line_of(text, at), reason })
}

fn line_of(text: &str, offset: usize) -> usize {
    let end = offset.min(text.len());
    text.as_bytes()[..end].iter().filter(|&&byte| byte == b'\n').count() + 1
}

/// A reason, and the position of the byte that it refers to.
struct Wrong {
    at: usize,
    reason: String,
}

fn wrong<T>(at: usize, reason: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { at, reason: reason.into() })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    provider: Vec<ProviderEntry>,
    #[serde(default)]
    model: Vec<ModelEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProviderEntry {
    name: Spanned<String>,
    kind: ProviderKind,
    base_url: Option<Spanned<String>>,
    api_key_env: Option<String>,
    api_key_secret: Option<Spanned<String>>,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    region: Option<String>,
    output_limit: Option<Spanned<OutputLimit>>,
    simulator: Option<Spanned<SimulatorConfig>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelEntry {
    name: Spanned<String>,
    #[serde(default)]
    aliases: Vec<Spanned<String>>,
    kind: ModelKind,
    price: Option<Spanned<PriceEntry>>,
    context_tokens: Option<u64>,
    max_output_tokens: Option<u64>,
    image_tokens: Option<u64>,
    #[serde(default)]
    timeouts: TimeoutsEntry,
    targets: Spanned<Vec<TargetEntry>>,
}

/// US dollars per million tokens.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceEntry {
    input: Spanned<f64>,
    cached_input: Option<Spanned<f64>>,
    cache_write: Option<Spanned<f64>>,
    output: Option<Spanned<f64>>,
    reasoning: Option<Spanned<f64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetEntry {
    provider: Spanned<String>,
    model: String,
    weight: Option<Spanned<u32>>,
    #[serde(default)]
    timeouts: TimeoutsEntry,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(deny_unknown_fields)]
struct TimeoutsEntry {
    connect_ms: Option<u64>,
    first_byte_ms: Option<u64>,
    idle_ms: Option<u64>,
    total_ms: Option<u64>,
}

impl TimeoutsEntry {
    /// The target's own values, then the model's, then the defaults.
    fn resolve(self, model: Self) -> Timeouts {
        let default = Timeouts::default();
        let pick = |own: Option<u64>, model: Option<u64>, default: Duration| {
            own.or(model).map_or(default, Duration::from_millis)
        };
        Timeouts {
            connect: pick(self.connect_ms, model.connect_ms, default.connect),
            first_byte: pick(self.first_byte_ms, model.first_byte_ms, default.first_byte),
            idle: pick(self.idle_ms, model.idle_ms, default.idle),
            total: pick(self.total_ms, model.total_ms, default.total),
        }
    }
}

fn build(file: File) -> Result<Catalog, Wrong> {
    let mut catalog = Catalog::default();
    for entry in file.provider {
        let at = entry.name.span().start;
        let provider = provider(entry)?;
        if catalog.provider(&provider.name).is_some() {
            return wrong(at, format!("provider `{}` is defined twice; give one of them another name", provider.name));
        }
        catalog.providers.push(provider);
    }
    let mut names = HashSet::new();
    for entry in file.model {
        for name in std::iter::once(&entry.name).chain(&entry.aliases) {
            if name.get_ref().trim().is_empty() {
                return wrong(name.span().start, "the name of a model is empty");
            }
            if !names.insert(name.get_ref().clone()) {
                let name_text = name.get_ref();
                return wrong(
                    name.span().start,
                    format!("model name or alias `{name_text}` is used twice; rename one of them"),
                );
            }
        }
        let model = model(entry, &catalog)?;
        catalog.add(model);
    }
    Ok(catalog)
}

fn provider(entry: ProviderEntry) -> Result<ProviderConfig, Wrong> {
    let at = entry.name.span().start;
    let name = entry.name.into_inner();
    if name.trim().is_empty() {
        return wrong(at, "the name of a provider is empty");
    }
    let base_url = entry.base_url.map(base_url).transpose()?;
    let key = match (entry.api_key_env, entry.api_key_secret) {
        (Some(_), Some(secret)) => {
            return wrong(secret.span().start, "both `api_key_env` and `api_key_secret` are set; keep one");
        }
        (Some(variable), None) => KeySource::Env(variable),
        (None, Some(secret)) => KeySource::Secret(secret.into_inner()),
        (None, None) => KeySource::None,
    };
    if entry.kind == ProviderKind::Openai && base_url.is_none() {
        return wrong(at, format!("provider `{name}` has no `base_url`; OpenAI's is \"https://api.openai.com/v1\""));
    }
    let simulator = match entry.simulator {
        Some(table) => simulator(table)?,
        None => SimulatorConfig::default(),
    };
    let output_limit = output_limit(entry.output_limit, entry.kind)?;
    let headers = entry.headers.into_iter().collect();
    Ok(ProviderConfig { name, kind: entry.kind, base_url, key, headers, region: entry.region, output_limit, simulator })
}

fn output_limit(member: Option<Spanned<OutputLimit>>, kind: ProviderKind) -> Result<OutputLimit, Wrong> {
    match member {
        Some(member) if kind != ProviderKind::Openai => {
            wrong(member.span().start, "`output_limit` is for providers of the kind `openai`; remove it")
        }
        member => Ok(member.map(Spanned::into_inner).unwrap_or_default()),
    }
}

fn base_url(url: Spanned<String>) -> Result<String, Wrong> {
    let at = url.span().start;
    let url = url.into_inner();
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return wrong(at, format!("`base_url` is `{url}`; it must begin with http:// or https://"));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

fn simulator(table: Spanned<SimulatorConfig>) -> Result<SimulatorConfig, Wrong> {
    let at = table.span().start;
    let config = table.into_inner();
    if !(0.0..=1.0).contains(&config.failure_rate) {
        return wrong(at, format!("`failure_rate` is {}; it must be between 0 and 1", config.failure_rate));
    }
    if !(0.0..=10.0).contains(&config.latency_sigma) {
        return wrong(at, format!("`latency_sigma` is {}; it must be between 0 and 10", config.latency_sigma));
    }
    if !(0.0..=1e9).contains(&config.tokens_per_second) {
        return wrong(at, format!("`tokens_per_second` is {}; it must not be negative", config.tokens_per_second));
    }
    Ok(config)
}

/// The defaults of a model. An unpriced model is not charged.
const DEFAULT_CONTEXT_TOKENS: u64 = 128_000;
const DEFAULT_MAX_OUTPUT_TOKENS: u64 = 16_384;

fn model(entry: ModelEntry, catalog: &Catalog) -> Result<Model, Wrong> {
    let at = entry.name.span().start;
    let name = entry.name.into_inner();
    let chat = entry.kind == ModelKind::Chat;
    let priced = entry.price.is_some();
    for (field, value) in [("context_tokens", entry.context_tokens), ("max_output_tokens", entry.max_output_tokens)] {
        if chat && priced && value.is_none() {
            let reason =
                format!("model `{name}` has a price but no `{field}`; without it a call's worst case is not known");
            return wrong(at, reason);
        }
        if value == Some(0) {
            return wrong(at, format!("`{field}` of model `{name}` is 0; it must be at least 1"));
        }
    }
    let price = entry.price.map(|table| price(table, chat)).transpose()?;
    let targets_at = entry.targets.span().start;
    let targets = entry.targets.into_inner();
    if targets.is_empty() {
        return wrong(
            targets_at,
            format!("model `{name}` has no targets; write targets = [{{ provider = \"...\", model = \"...\" }}]"),
        );
    }
    let targets =
        targets.into_iter().map(|entry_| target(entry_, entry.timeouts, catalog)).collect::<Result<_, _>>()?;
    Ok(Model {
        name,
        aliases: entry.aliases.into_iter().map(Spanned::into_inner).collect(),
        kind: entry.kind,
        price,
        context_tokens: entry.context_tokens.unwrap_or(DEFAULT_CONTEXT_TOKENS),
        max_output_tokens: if chat { entry.max_output_tokens.unwrap_or(DEFAULT_MAX_OUTPUT_TOKENS) } else { 0 },
        image_tokens: entry.image_tokens,
        targets,
    })
}

fn target(entry: TargetEntry, model: TimeoutsEntry, catalog: &Catalog) -> Result<Target, Wrong> {
    let at = entry.provider.span().start;
    let provider = entry.provider.into_inner();
    if catalog.provider(&provider).is_none() {
        let known: Vec<_> = catalog.providers.iter().map(|p| p.name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return wrong(at, format!("no [[provider]] is named `{provider}`; the file defines: {known}"));
    }
    let weight = match entry.weight {
        Some(weight) if *weight.get_ref() == 0 => {
            return wrong(weight.span().start, "`weight` is 0; remove it to make the target a fallback only");
        }
        weight => weight.map(Spanned::into_inner),
    };
    Ok(Target { provider, model: entry.model, weight, timeouts: entry.timeouts.resolve(model) })
}

fn price(table: Spanned<PriceEntry>, chat: bool) -> Result<Price, Wrong> {
    let at = table.span().start;
    let entry = table.into_inner();
    if chat && entry.output.is_none() {
        return wrong(at, "the price has no `output`, in USD per million tokens");
    }
    let input = rate(entry.input)?;
    let output = entry.output.map(rate).transpose()?.unwrap_or(0);
    // A missing price counts in full: a guess must not be below the provider's bill.
    let or = |value: Option<Spanned<f64>>, default: u64| value.map_or(Ok(default), rate);
    Ok(Price {
        input,
        cached_input: or(entry.cached_input, input)?,
        cache_write: or(entry.cache_write, input)?,
        output,
        reasoning: or(entry.reasoning, output)?,
    })
}

/// Dollars per million tokens as micro-dollars per million tokens.
fn rate(dollars: Spanned<f64>) -> Result<u64, Wrong> {
    let at = dollars.span().start;
    let dollars = dollars.into_inner();
    match MicroUsd::from_dollars(dollars) {
        Some(MicroUsd(micro)) => Ok(micro),
        None => wrong(at, format!("the price {dollars} is no amount of US dollars per million tokens")),
    }
}

#[cfg(test)]
mod tests;
