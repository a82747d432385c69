//! Reading `models.toml` strictly: every error names its line and says what to write instead.

use std::collections::HashSet;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::{
    Catalog, KeySource, Model, ModelKind, OutputLimit, ProviderConfig, ProviderKind, SimulatorConfig, Target, Timeouts,
};
use crate::model::money::MicroUsd;
use crate::model::tokens::Price;

/// What is wrong with a `models.toml`.
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

/// A reason and the byte that it is about.
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

/// What a model has if the file does not say, and nothing is charged for it.
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
    // What is not named is charged in full: a guess must not fall below the provider's bill.
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
mod tests {
    use super::*;

    const GOOD: &str = r#"
[[provider]]
name = "mock"
kind = "openai"
base_url = "http://127.0.0.1:18080/v1/"
api_key_env = "MOCK_KEY"

[[model]]
name = "mock-chat"
aliases = ["chat"]
kind = "chat"
price = { input = 1.0, cached_input = 0.1, output = 2 }
context_tokens = 128000
max_output_tokens = 4096
timeouts = { idle_ms = 7 }
targets = [{ provider = "mock", model = "up/mock-chat", weight = 3, timeouts = { total_ms = 9 } }]
"#;

    #[test]
    fn reads_a_file() {
        let catalog = Catalog::parse(GOOD).unwrap();
        let model = catalog.model("chat").unwrap();
        assert_eq!(model, catalog.model("mock-chat").unwrap());
        let price = Price {
            input: 1_000_000,
            cached_input: 100_000,
            cache_write: 1_000_000,
            output: 2_000_000,
            reasoning: 2_000_000,
        };
        assert_eq!(model.price, Some(price));
        let timeouts = model.targets[0].timeouts;
        assert_eq!((timeouts.idle, timeouts.total), (Duration::from_millis(7), Duration::from_millis(9)));
        let provider = catalog.provider("mock").unwrap();
        assert_eq!(provider.base_url.as_deref(), Some("http://127.0.0.1:18080/v1"));
        assert_eq!(provider.key, KeySource::Env("MOCK_KEY".to_owned()));
        assert_eq!(provider.output_limit, OutputLimit::MaxCompletionTokens);
        let older = GOOD.replace("api_key_env", "output_limit = \"max_tokens\"\napi_key_env");
        assert_eq!(Catalog::parse(&older).unwrap().provider("mock").unwrap().output_limit, OutputLimit::MaxTokens);
    }

    /// Replaces `from` by `to` in the good file and compares the error.
    #[track_caller]
    fn check(from: &str, to: &str, expected: &str) {
        assert!(GOOD.contains(from), "{from}");
        let error = Catalog::parse(&GOOD.replacen(from, to, 1)).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn every_error_names_its_line_and_a_way_out() {
        check(
            "kind = \"openai\"",
            "kind = \"opnai\"",
            "line 4: unknown variant `opnai`, expected one of `openai`, `anthropic`, `bedrock`, `simulator`",
        );
        check(
            "base_url = \"http://127.0.0.1:18080/v1/\"",
            "",
            "line 3: provider `mock` has no `base_url`; OpenAI's is \"https://api.openai.com/v1\"",
        );
        check(
            "http://127",
            "ftp://127",
            "line 5: `base_url` is `ftp://127.0.0.1:18080/v1/`; it must begin with http:// or https://",
        );
        check(
            "provider = \"mock\"",
            "provider = \"mok\"",
            "line 16: no [[provider]] is named `mok`; the file defines: mock",
        );
        check(
            "[\"chat\"]",
            "[\"mock-chat\"]",
            "line 10: model name or alias `mock-chat` is used twice; rename one of them",
        );
        check("input = 1.0", "input = -1.0", "line 12: the price -1 is no amount of US dollars per million tokens");
        check(", output = 2", "", "line 12: the price has no `output`, in USD per million tokens");
        check(
            "context_tokens = 128000",
            "",
            "line 9: model `mock-chat` has a price but no `context_tokens`; without it a call's worst case is not known",
        );
        check(
            "max_output_tokens = 4096",
            "max_tokens = 4096",
            "line 14: unknown field `max_tokens`, expected one of `name`, `aliases`, `kind`, `price`, `context_tokens`, `max_output_tokens`, `image_tokens`, `timeouts`, `targets`",
        );
        check("weight = 3", "weight = 0", "line 16: `weight` is 0; remove it to make the target a fallback only");
        check(
            "[{ provider = \"mock\", model = \"up/mock-chat\", weight = 3, timeouts = { total_ms = 9 } }]",
            "[]",
            "line 16: model `mock-chat` has no targets; write targets = [{ provider = \"...\", model = \"...\" }]",
        );
        check(
            "api_key_env = \"MOCK_KEY\"",
            "api_key_env = \"A\"\napi_key_secret = \"b\"",
            "line 7: both `api_key_env` and `api_key_secret` are set; keep one",
        );
        check(
            "api_key_env = \"MOCK_KEY\"",
            "output_limit = \"max_output_tokens\"",
            "line 6: unknown variant `max_output_tokens`, expected `max_completion_tokens` or `max_tokens`",
        );
        check(
            "kind = \"openai\"",
            "kind = \"anthropic\"\noutput_limit = \"max_tokens\"",
            "line 5: `output_limit` is for providers of the kind `openai`; remove it",
        );
    }

    #[test]
    fn the_first_file_wins_when_two_are_merged() {
        let other =
            GOOD.replace("4096", "1").replace("\"mock-chat\"\nali", "\"second\"\nali").replace("[\"chat\"]", "[]");
        let merged = Catalog::parse(GOOD).unwrap().merged_with(Catalog::parse(&other).unwrap());
        assert_eq!(merged.models().len(), 2);
        assert_eq!(merged.model("chat").unwrap().max_output_tokens, 4096);
    }
}
