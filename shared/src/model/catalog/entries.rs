//! The entries of `models.toml`, and their checks.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::breaker::breaker;
use super::file::{Lines, Read, Wrong};
use super::price::{PriceEntry, Prices, prices};
use super::quirks::QuirksEntry;
use super::{
    Auth, BatchMode, BreakerConfig, Catalog, DeveloperRole, KeySource, MediaUrls, Model, ModelKind, NoThinking,
    OutputLimit, ProviderConfig, ProviderKind, ResponsesApi, SimulatorConfig, SystemPosition, Target, Timeouts,
};
use crate::model::tokens::{Price, Unreported};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProviderEntry {
    name: Spanned<String>,
    kind: ProviderKind,
    base_url: Option<Spanned<String>>,
    api_key_env: Option<String>,
    api_key_secret: Option<Spanned<String>>,
    auth: Option<Spanned<Auth>>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    region: Option<String>,
    preset: Option<Spanned<String>>,
    output_limit: Option<Spanned<OutputLimit>>,
    developer_role: Option<Spanned<DeveloperRole>>,
    system_position: Option<Spanned<SystemPosition>>,
    stream_options: Option<Spanned<bool>>,
    drop: Option<Spanned<Vec<String>>>,
    breaker: Option<Spanned<BreakerConfig>>,
    #[serde(default)]
    unreported: Unreported,
    allow_members: Option<Spanned<BTreeSet<String>>>,
    media_urls: Option<Vec<Spanned<String>>>,
    custom_tools: Option<Spanned<bool>>,
    responses: Option<Spanned<ResponsesApi>>,
    reasoning_in: Option<Spanned<String>>,
    reasoning_out: Option<Spanned<String>>,
    no_thinking: Option<Spanned<NoThinking>>,
    simulator: Option<Spanned<SimulatorConfig>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelEntry {
    name: Spanned<String>,
    #[serde(default)]
    aliases: Vec<Spanned<String>>,
    kind: ModelKind,
    price: Option<Spanned<PriceEntry>>,
    context_tokens: Option<u64>,
    max_output_tokens: Option<u64>,
    image_tokens: Option<u64>,
    max_seconds: Option<u64>,
    tokens_per_second: Option<u64>,
    batch: Option<Spanned<BatchMode>>,
    #[serde(default)]
    timeouts: TimeoutsEntry,
    targets: Spanned<Vec<TargetEntry>>,
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

/// The problems of one entry. An entry with a problem is not served.
#[derive(Default)]
pub(super) struct Problems(Vec<Wrong>);

impl Problems {
    pub(super) fn add(&mut self, at: usize, reason: impl Into<String>) {
        self.0.push(Wrong { at, reason: reason.into() });
    }
}

/// Makes the catalog of all entries that are right. Returns it with the problems of the others.
pub(super) fn build(
    providers: Vec<Read<ProviderEntry>>,
    models: Vec<Read<ModelEntry>>,
    lines: &Lines,
) -> (Catalog, Vec<Wrong>) {
    let defined = providers.iter().filter_map(|read| read.names.first().map(|name| name.get_ref().clone()));
    let mut builder = Builder { defined: defined.collect(), catalog: Catalog::default(), problems: Vec::new(), lines };
    for read in providers {
        builder.add_provider(read);
    }
    for read in models {
        builder.add_model(read);
    }
    let Builder { mut catalog, problems, .. } = builder;
    // A name that one entry has rightly is served; a second entry of that name does not change this.
    let Catalog { by_name, wrong_models, providers, wrong_providers, .. } = &mut catalog;
    wrong_models.retain(|name, _| !by_name.contains_key(name));
    wrong_providers.retain(|name, _| !providers.iter().any(|provider| provider.name == *name));
    (catalog, problems)
}

struct Builder<'a> {
    catalog: Catalog,
    problems: Vec<Wrong>,
    lines: &'a Lines,
    /// The names of all providers in the file, also of wrong ones.
    defined: HashSet<String>,
}

impl Builder<'_> {
    fn add_provider(&mut self, read: Read<ProviderEntry>) {
        let name = read.names.into_iter().next().map(Spanned::into_inner).unwrap_or_default();
        let mut own = Problems::default();
        if self.catalog.provider(&name).is_some() {
            own.add(read.at, format!("provider `{name}` is defined twice; give one of them another name"));
        }
        let config = read.entry.map(|entry| provider(entry, &mut own));
        match config {
            Some(config) if own.0.is_empty() => {
                self.catalog.lines[1].insert(name, self.lines.line(read.at));
                self.catalog.providers.push(config);
            }
            _ => {
                let reason = format!("the entry of provider `{name}` is wrong");
                let error = self.lines.locate(Wrong { at: read.at, reason });
                self.catalog.wrong_providers.entry(name).or_insert(error);
            }
        }
        self.problems.append(&mut own.0);
    }

    fn add_model(&mut self, read: Read<ModelEntry>) {
        let mut own = Problems::default();
        for (n, name) in read.names.iter().enumerate() {
            let (at, name) = (name.span().start, name.get_ref());
            if name.trim().is_empty() {
                own.add(at, "the name of a model is empty");
            }
            if self.catalog.knows(name) || read.names[..n].iter().any(|before| before.get_ref() == name) {
                own.add(at, format!("model name or alias `{name}` is used twice; rename one of them"));
            }
        }
        if let Some(entry) = &read.entry {
            self.check_targets(entry);
            self.check_batch(entry, &mut own);
        }
        match read.entry.map(|entry| model(entry, &mut own)) {
            Some(mut model) if own.0.is_empty() => {
                model.allow_members = self.allowed_everywhere(&model.targets, |kind, _| kind.passes_members());
                model.allow_messages_members = self.allowed_everywhere(&model.targets, ProviderKind::passes_messages);
                self.catalog.lines[0].insert(model.name.clone(), self.lines.line(read.at));
                self.catalog.add(model);
            }
            _ => self.leave_out(read.at, read.names),
        }
        self.problems.append(&mut own.0);
    }

    /// The members that the price covers at each target that gets members which weir does not know.
    fn allowed_everywhere(
        &self,
        targets: &[Target],
        passes: fn(ProviderKind, &str) -> bool,
    ) -> Option<BTreeSet<String>> {
        let allowed = targets.iter().filter_map(|target| {
            let provider = self.catalog.provider(&target.provider)?;
            passes(provider.kind, &target.model).then(|| provider.allow_members.clone())
        });
        allowed.reduce(|one, other| &one & &other)
    }

    /// Batches go to the provider of the first target.
    fn check_batch(&self, entry: &ModelEntry, own: &mut Problems) {
        let Some(at) = entry.batch.as_ref().filter(|batch| *batch.get_ref() == BatchMode::Native) else { return };
        let first = entry.targets.get_ref().first().map(|target| target.provider.get_ref());
        let provider = first.and_then(|name| self.catalog.provider(name));
        if provider.is_some_and(|provider| !provider.kind.has_batches()) {
            let reason = "`batch = \"native\"` needs a first target whose provider has the kind \"openai\" or \"anthropic\"; \
                          put it first, or remove `batch`";
            own.add(at.span().start, reason);
        }
    }

    fn leave_out(&mut self, at: usize, names: Vec<Spanned<String>>) {
        for name in names.into_iter().map(Spanned::into_inner) {
            let error = self.lines.locate(Wrong { at, reason: format!("the entry of model `{name}` is wrong") });
            self.catalog.wrong_models.entry(name).or_insert(error);
        }
    }

    /// Notes targets whose provider the file does not define. The model keeps them: its other targets can answer.
    fn check_targets(&mut self, entry: &ModelEntry) {
        for named in entry.targets.get_ref().iter().map(|target| &target.provider) {
            let (at, name) = (named.span().start, named.get_ref());
            if self.defined.contains(name) {
                continue;
            }
            let known: Vec<_> = self.catalog.providers.iter().map(|provider| provider.name.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let reason = format!("no [[provider]] is named `{name}`; the file defines: {known}");
            let error = self.lines.locate(Wrong { at, reason: reason.clone() });
            self.catalog.wrong_providers.entry(name.clone()).or_insert(error);
            self.problems.push(Wrong { at, reason });
        }
    }
}

fn provider(entry: ProviderEntry, problems: &mut Problems) -> ProviderConfig {
    let at = entry.name.span().start;
    let name = entry.name.into_inner();
    if name.trim().is_empty() {
        problems.add(at, "the name of a provider is empty");
    }
    let base_url = entry.base_url.map(|url| base_url(url, problems));
    let key = key_source(entry.api_key_env, entry.api_key_secret, problems);
    let auth = entry.auth.map(|auth| self::auth(&auth, entry.kind, &key, problems)).unwrap_or_default();
    if entry.kind == ProviderKind::Openai && base_url.is_none() {
        problems.add(at, format!("provider `{name}` has no `base_url`; OpenAI's is \"https://api.openai.com/v1\""));
    }
    let simulator = entry.simulator.map(|table| simulator(table, problems)).unwrap_or_default();
    let breaker = entry.breaker.map(|table| breaker(table, problems)).unwrap_or_default();
    let preset = entry.preset.as_ref().map(|preset| preset.get_ref().clone());
    let quirks = QuirksEntry {
        preset: entry.preset,
        output_limit: entry.output_limit,
        developer_role: entry.developer_role,
        system_position: entry.system_position,
        stream_options: entry.stream_options,
        custom_tools: entry.custom_tools,
        responses: entry.responses,
        reasoning_in: entry.reasoning_in,
        reasoning_out: entry.reasoning_out,
        no_thinking: entry.no_thinking,
        drop: entry.drop,
    };
    let quirks = quirks.resolve(entry.kind, base_url.as_deref(), problems);
    let media_urls = match entry.media_urls {
        Some(prefixes) => media_urls(prefixes, problems),
        None => MediaUrls::default_of(base_url.as_deref()),
    };
    ProviderConfig {
        name,
        kind: entry.kind,
        key,
        auth,
        headers: entry.headers.into_iter().collect(),
        region: entry.region,
        preset,
        quirks,
        allow_members: entry.allow_members.map(|list| allow_members(entry.kind, list, problems)).unwrap_or_default(),
        media_urls,
        breaker,
        unreported: entry.unreported,
        simulator,
        base_url,
    }
}

/// Requests are signed for AWS's own endpoints of OpenAI's and Anthropic's APIs.
fn auth(auth: &Spanned<Auth>, kind: ProviderKind, key: &KeySource, problems: &mut Problems) -> Auth {
    let (at, auth) = (auth.span().start, *auth.get_ref());
    if auth == Auth::Sigv4 {
        if !matches!(kind, ProviderKind::Openai | ProviderKind::Anthropic) {
            problems.add(at, "`auth` is for providers of the kinds `openai` and `anthropic`; remove it");
        }
        if *key != KeySource::None {
            problems.add(
                at,
                "requests with `auth = \"sigv4\"` have no key; remove `api_key_env` and `api_key_secret`, or `auth`",
            );
        }
    }
    auth
}

fn key_source(env: Option<String>, secret: Option<Spanned<String>>, problems: &mut Problems) -> KeySource {
    match (env, secret) {
        (Some(_), Some(secret)) => {
            problems.add(secret.span().start, "both `api_key_env` and `api_key_secret` are set; keep one");
            KeySource::None
        }
        (Some(variable), None) => KeySource::Env(variable),
        (None, Some(secret)) => KeySource::Secret(secret.into_inner()),
        (None, None) => KeySource::None,
    }
}

fn allow_members(kind: ProviderKind, list: Spanned<BTreeSet<String>>, problems: &mut Problems) -> BTreeSet<String> {
    if kind == ProviderKind::Gemini {
        let reason =
            "`allow_members` is for providers that get bodies as they are, and Gemini gets a translation; remove it";
        problems.add(list.span().start, reason);
    }
    list.into_inner()
}

fn media_urls(prefixes: Vec<Spanned<String>>, problems: &mut Problems) -> MediaUrls {
    for prefix in prefixes.iter().filter(|prefix| !MediaUrls::is_prefix(prefix.get_ref())) {
        let reason = format!(
            "`media_urls` has `{}`; expected \"data:\", \"https://\", \"http://\", or one of the last two with a host and a slash: \
             \"https://images.example.com/\"",
            prefix.get_ref()
        );
        problems.add(prefix.span().start, reason);
    }
    MediaUrls(prefixes.into_iter().map(Spanned::into_inner).collect())
}

fn base_url(url: Spanned<String>, problems: &mut Problems) -> String {
    let at = url.span().start;
    let url = url.into_inner();
    if !url.starts_with("http://") && !url.starts_with("https://") {
        problems.add(at, format!("`base_url` is `{url}`; it must begin with http:// or https://"));
    }
    url.trim_end_matches('/').to_owned()
}

fn simulator(table: Spanned<SimulatorConfig>, problems: &mut Problems) -> SimulatorConfig {
    let at = table.span().start;
    let config = table.into_inner();
    if !(0.0..=1.0).contains(&config.failure_rate) {
        problems.add(at, format!("`failure_rate` is {}; it must be between 0 and 1", config.failure_rate));
    }
    if !(0.0..=1.0).contains(&config.throttle_rate) || config.failure_rate + config.throttle_rate > 1.0 {
        let rate = config.throttle_rate;
        problems.add(
            at,
            format!("`throttle_rate` is {rate}; it must be between 0 and 1, and at most 1 with `failure_rate`"),
        );
    }
    if !(0.0..=10.0).contains(&config.latency_sigma) {
        problems.add(at, format!("`latency_sigma` is {}; it must be between 0 and 10", config.latency_sigma));
    }
    if !(0.0..=1e9).contains(&config.tokens_per_second) {
        problems.add(at, format!("`tokens_per_second` is {}; it must not be negative", config.tokens_per_second));
    }
    config
}

/// The defaults of a model. An unpriced model is not charged.
const DEFAULT_CONTEXT_TOKENS: u64 = 128_000;
const DEFAULT_MAX_OUTPUT_TOKENS: u64 = 16_384;
/// Faster than most models, so that a charge by time is not below the provider's bill.
const DEFAULT_TOKENS_PER_SECOND: u64 = 200;

fn model(entry: ModelEntry, own: &mut Problems) -> Model {
    let at = entry.name.span().start;
    let name = entry.name.into_inner();
    if entry.tokens_per_second == Some(0) {
        own.add(at, format!("`tokens_per_second` of model `{name}` is 0; it must be at least 1"));
    }
    let prices = entry.price.map(|table| prices(table, entry.kind, own));
    let limits = Limits { context_tokens: entry.context_tokens, max_output_tokens: entry.max_output_tokens };
    let (has_output, needs_limits) = output_and_limits(entry.kind, prices.as_ref(), limits);
    check_limits(&name, at, needs_limits, limits, own);
    let is_by_time =
        entry.kind == ModelKind::Transcription && prices.as_ref().is_some_and(|prices| prices.price.pieces > 0);
    check_max_seconds(&name, at, (entry.kind, is_by_time), entry.max_seconds, own);
    let targets_at = entry.targets.span().start;
    let targets = entry.targets.into_inner();
    if targets.is_empty() {
        let example = "targets = [{ provider = \"...\", model = \"...\" }]";
        own.add(targets_at, format!("model `{name}` has no targets; write {example}"));
    }
    let (price, tiers, per_image) = match prices {
        Some(Prices { price, tiers, per_image }) => (Some(price), tiers, per_image),
        None => Default::default(),
    };
    Model {
        name,
        aliases: entry.aliases.into_iter().map(Spanned::into_inner).collect(),
        kind: entry.kind,
        price,
        tiers,
        per_image,
        allow_members: None,
        allow_messages_members: None,
        context_tokens: entry.context_tokens.unwrap_or(DEFAULT_CONTEXT_TOKENS),
        max_output_tokens: if has_output { entry.max_output_tokens.unwrap_or(DEFAULT_MAX_OUTPUT_TOKENS) } else { 0 },
        image_tokens: entry.image_tokens,
        max_seconds: entry.max_seconds,
        tokens_per_second: entry.tokens_per_second.unwrap_or(DEFAULT_TOKENS_PER_SECOND),
        batch: entry.batch.map(Spanned::into_inner).unwrap_or_default(),
        targets: targets.into_iter().map(|listed| target(listed, entry.timeouts, own)).collect(),
    }
}

/// The most tokens of a call, as the entry says.
#[derive(Clone, Copy)]
struct Limits {
    context_tokens: Option<u64>,
    max_output_tokens: Option<u64>,
}

fn check_limits(name: &str, at: usize, required: bool, limits: Limits, problems: &mut Problems) {
    for (field, value) in [("context_tokens", limits.context_tokens), ("max_output_tokens", limits.max_output_tokens)] {
        if required && value.is_none() {
            let why = "without it a call's worst case is not known";
            problems.add(at, format!("model `{name}` has a price but no `{field}`; {why}"));
        }
        if value == Some(0) {
            problems.add(at, format!("`{field}` of model `{name}` is 0; it must be at least 1"));
        }
    }
}

/// Whether a model writes something that has a limit of its own, and whether its entry must name the limits of tokens.
fn output_and_limits(kind: ModelKind, prices: Option<&Prices>, limits: Limits) -> (bool, bool) {
    let any = |is: fn(&Price) -> bool| {
        prices.is_some_and(|Prices { price, tiers, .. }| {
            std::iter::once(price).chain(tiers.values()).any(|price| is(price))
        })
    };
    let is_output_priced = any(|price| !price.has_free_output());
    let has_output = is_output_priced || limits.max_output_tokens.is_some();
    match kind {
        ModelKind::Chat => (true, prices.is_some()),
        ModelKind::Image | ModelKind::Speech => (has_output, is_output_priced),
        // The context bounds the tokens of a sound.
        ModelKind::Transcription => (has_output, any(|price| !price.has_free_tokens())),
        ModelKind::Embedding | ModelKind::Moderation => (false, false),
    }
}

fn check_max_seconds(
    name: &str,
    at: usize,
    (kind, is_by_time): (ModelKind, bool),
    max_seconds: Option<u64>,
    problems: &mut Problems,
) {
    match max_seconds {
        Some(_) if kind != ModelKind::Transcription => {
            let kind = "is for models of the kind \"transcription\"";
            problems.add(at, format!("`max_seconds` of model `{name}` {kind}; remove it"));
        }
        Some(0) => problems.add(at, format!("`max_seconds` of model `{name}` is 0; it must be at least 1")),
        None if is_by_time => {
            let why = "without it a call's worst case is not known";
            problems.add(at, format!("model `{name}` has a price per minute but no `max_seconds`; {why}"));
        }
        _ => {}
    }
}

fn target(entry: TargetEntry, model: TimeoutsEntry, problems: &mut Problems) -> Target {
    if let Some(weight) = entry.weight.as_ref().filter(|weight| *weight.get_ref() == 0) {
        problems.add(weight.span().start, "`weight` is 0; remove it to make the target a fallback only");
    }
    Target {
        provider: entry.provider.into_inner(),
        model: entry.model,
        weight: entry.weight.map(Spanned::into_inner),
        timeouts: entry.timeouts.resolve(model),
    }
}
