//! `weir models check`: tells all that is wrong with a models file before a deployment.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use shared::app::ErrorChain;
use shared::edge::config::env;
use shared::edge::connect::{EnvKeys, secret_keys};
use shared::model::catalog::{Catalog, KeySource, Model, ModelKind, Preset, ProviderConfig, ProviderKind, Quirks};
use shared::model::clock::Clock;
use shared::model::keys::Keys;
use shared::model::provider::Failure;
use shared::model::tokens::Price;

use crate::client::is_loopback;

/// Something to know about a models file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Counted from 1; `None` if it is about no line.
    pub line: Option<usize>,
    pub is_error: bool,
    /// The mistake and the correction.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "{line}: ")?;
        }
        write!(f, "{}: {}", if self.is_error { "error" } else { "warning" }, self.text)
    }
}

/// The findings in a models file, sorted by line.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn error(&mut self, line: Option<usize>, text: impl Into<String>) {
        self.0.push(Finding { line, is_error: true, text: text.into() });
    }

    fn warn(&mut self, line: Option<usize>, text: impl Into<String>) {
        self.0.push(Finding { line, is_error: false, text: text.into() });
    }
}

/// How long `--online` waits for a provider.
const ONLINE_WAIT: Duration = Duration::from_secs(10);

/// Checks the text of a models file. `online` also reads each key, and asks each provider but Bedrock for its models.
pub async fn check(text: &str, online: bool) -> Vec<Finding> {
    let catalog = Catalog::read(text).unwrap_or_else(Catalog::of_problems);
    let mut findings = Findings::default();
    for problem in catalog.problems() {
        findings.error(Some(problem.line), &problem.reason);
    }
    if catalog.models().is_empty() && catalog.problems().is_empty() {
        findings.error(None, "the file defines no model; add a [[model]]");
    }
    for provider in catalog.providers() {
        check_provider(provider, &catalog, &mut findings);
    }
    for model in catalog.models() {
        check_model(model, &catalog, &mut findings);
    }
    if online {
        for provider in catalog.providers() {
            check_online(provider, &catalog, &mut findings).await;
        }
    }
    findings.0.sort();
    findings.0
}

fn check_provider(provider: &ProviderConfig, catalog: &Catalog, findings: &mut Findings) {
    let (name, line) = (&provider.name, catalog.line_of_provider(&provider.name));
    let keys: Arc<dyn Keys> = Arc::new(EnvKeys);
    if let Err(reason) = providers::check(provider, &keys) {
        findings.error(line, format!("provider `{name}` cannot be set up: {reason}"));
    }
    let is_used = catalog.models().iter().flat_map(|model| &model.targets).any(|target| target.provider == *name);
    if !is_used {
        findings.warn(line, format!("no model has provider `{name}` as a target; remove it or use it"));
    }
    match &provider.key {
        KeySource::Secret(secret) => check_secret_name(secret, line, findings),
        KeySource::Env(variable) => findings.warn(
            line,
            format!("provider `{name}` has its key in `{variable}`, which deployed functions do not have; use `api_key_secret` there"),
        ),
        KeySource::None => {}
    }
    let plain = provider.base_url.as_ref().filter(|url| url.starts_with("http://"));
    if provider.key != KeySource::None && plain.is_some_and(|url| !is_loopback(url)) {
        findings.warn(line, format!("provider `{name}` is sent its key without encryption; use https"));
    }
    check_preset(provider, line, findings);
}

/// Warns if weir knows the server by its host and the entry lacks the preset: weir then sends members that the server refuses, or
/// limits that it ignores.
fn check_preset(provider: &ProviderConfig, line: Option<usize>, findings: &mut Findings) {
    let known = provider.base_url.as_deref().and_then(Preset::of_url);
    // No preset has this option.
    let quirks = |preset: &Preset| Quirks { responses: provider.quirks.responses, ..preset.quirks() };
    let lacks = |preset: &&Preset| provider.preset.is_none() && quirks(preset) != provider.quirks;
    let Some(preset) = known.filter(|_| provider.kind == ProviderKind::Openai).filter(lacks) else { return };
    let (name, preset) = (&provider.name, preset.name);
    findings.warn(
        line,
        format!("the server of provider `{name}` differs from OpenAI's API in known ways; add `preset = \"{preset}\"`"),
    );
}

/// Secrets Manager allows these characters in a name.
fn check_secret_name(secret: &str, line: Option<usize>, findings: &mut Findings) {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-:".contains(c);
    if secret.is_empty() || secret.len() > 2_048 || !secret.chars().all(is_allowed) {
        let allowed = "letters, digits and /_+=.@-";
        findings.error(line, format!("`{secret}` is no name of a secret; names have {allowed}"));
    }
}

/// Whether calls of a model can cost nothing.
fn is_free(kind: ModelKind, price: &Price) -> bool {
    match kind {
        ModelKind::Chat => price.rates.input == 0 || price.rates.output == 0,
        ModelKind::Embedding | ModelKind::Moderation => price.rates.input == 0,
        ModelKind::Image | ModelKind::Speech | ModelKind::Transcription => price.pieces == 0 && price.has_free_tokens(),
    }
}

fn check_model(model: &Model, catalog: &Catalog, findings: &mut Findings) {
    let (name, line) = (&model.name, catalog.line_of_model(&model.name));
    match &model.price {
        _ if model.kind == ModelKind::Moderation => {}
        None => findings.warn(
            line,
            format!("model `{name}` has no price: projects with a budget cannot use it; add `price`, in USD per million tokens"),
        ),
        Some(price) if is_free(model.kind, price) => {
            findings.warn(line, format!("model `{name}` has a price of 0: no budget limits it; write the provider's price"));
        }
        Some(_) => {}
    }
    if model.kind == ModelKind::Chat && model.max_output_tokens >= model.context_tokens {
        findings.warn(
            line,
            format!("`max_output_tokens` of model `{name}` leaves no room in `context_tokens` for the input; lower it"),
        );
    }
    let mut seen = BTreeSet::new();
    for target in &model.targets {
        if !seen.insert((&target.provider, &target.model)) {
            findings
                .warn(line, format!("model `{name}` has the target `{}` at `{}` twice", target.model, target.provider));
        }
        if let Some(provider) = catalog.provider(&target.provider) {
            check_target(name, &target.model, provider, line, findings);
        }
    }
}

/// Bedrock refuses a profile of another geography than the region's. A warning, because AWS adds regions to geographies.
fn check_target(name: &str, id: &str, provider: &ProviderConfig, line: Option<usize>, findings: &mut Findings) {
    let Some(region) = provider.region.as_deref().filter(|_| provider.kind == ProviderKind::Bedrock) else { return };
    let belongs = match id.split('.').next() {
        Some("us") => (region.starts_with("us-") && !region.starts_with("us-gov-")) || region.starts_with("ca-"),
        Some("ca") => region.starts_with("ca-"),
        Some("eu") => region.starts_with("eu-"),
        Some("apac" | "jp" | "au" | "in") => region.starts_with("ap-"),
        Some("us-gov") => region.starts_with("us-gov-"),
        _ => true,
    };
    if !belongs {
        let text = format!(
            "`{id}` of model `{name}` is an inference profile of another geography than `{region}`; use one of that region's"
        );
        findings.warn(line, text);
    }
}

async fn check_online(provider: &ProviderConfig, catalog: &Catalog, findings: &mut Findings) {
    let (name, line) = (&provider.name, catalog.line_of_provider(&provider.name));
    let has_aws = env("AWS_ACCESS_KEY_ID").is_some() && env("AWS_REGION").is_some();
    if matches!(provider.key, KeySource::Secret(_)) && !has_aws {
        let text = format!(
            "the secret of provider `{name}` was not looked up: set AWS_REGION and AWS credentials in the environment"
        );
        return findings.warn(line, text);
    }
    let asked = providers::ask(provider, secret_keys(Clock::system()));
    match tokio::time::timeout(ONLINE_WAIT, asked).await {
        Ok(Ok(Some(status))) if refuses_key(status, provider.kind) => {
            findings.error(line, format!("provider `{name}` refuses its key; store another one"))
        }
        Ok(Ok(Some(404))) => findings.warn(
            line,
            format!(
                "provider `{name}` has no `/models`; check that `base_url` ends where the API begins, often with `/v1`"
            ),
        ),
        Ok(Ok(_)) => {}
        Ok(Err(Failure::NotSetUp { what, reason, .. })) => {
            findings.error(line, format!("provider `{name}`: {what}: {reason}"))
        }
        Ok(Err(failure)) => {
            let cause = ErrorChain(&failure);
            findings.error(line, format!("provider `{name}` cannot be reached: {cause}; check `base_url`"));
        }
        Err(_) => {
            let seconds = ONLINE_WAIT.as_secs();
            findings.error(line, format!("provider `{name}` did not answer within {seconds} s; check `base_url`"));
        }
    }
}

/// Whether a status means that the key is wrong. Google calls a wrong key a wrong argument, and the list of models has no other.
fn refuses_key(status: u16, kind: ProviderKind) -> bool {
    matches!(status, 401 | 403) || (status == 400 && kind == ProviderKind::Gemini)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"[[provider]]
name = "a"
kind = "openai"
base_url = "http://10.0.0.1/v1"
api_key_env = "ABSENT"
headers = { "no name" = "x" }

[[provider]]
name = "unused"
kind = "anthropic"
api_key_secret = "not a name"

[[provider]]
name = "bedrock"
kind = "bedrock"
region = "eu-west-1"

[[model]]
name = "free"
kind = "chat"
price = { input = 0.0, output = 1.0 }
context_tokens = 10
max_output_tokens = 10
targets = [{ provider = "a", model = "x" }, { provider = "a", model = "x" }, { provider = "gone", model = "x" }]

[[model]]
name = "unpriced"
kind = "embedding"
targets = [{ provider = "bedrock", model = "us.cohere.embed-v4:0" }]
"#;

    #[tokio::test]
    async fn everything_is_told_at_once_with_its_line_and_what_to_do() {
        let found: Vec<String> = check(FILE, false).await.iter().map(ToString::to_string).collect();
        let expected = [
            "2: warning: provider `a` has its key in `ABSENT`, which deployed functions do not have; use `api_key_secret` there",
            "2: warning: provider `a` is sent its key without encryption; use https",
            "2: error: provider `a` cannot be set up: `no name` is no name of a header",
            "9: warning: no model has provider `unused` as a target; remove it or use it",
            "9: error: `not a name` is no name of a secret; names have letters, digits and /_+=.@-",
            "19: warning: `max_output_tokens` of model `free` leaves no room in `context_tokens` for the input; lower it",
            "19: warning: model `free` has a price of 0: no budget limits it; write the provider's price",
            "19: warning: model `free` has the target `x` at `a` twice",
            "24: error: no [[provider]] is named `gone`; the file defines: a, unused, bedrock",
            "27: warning: `us.cohere.embed-v4:0` of model `unpriced` is an inference profile of another geography than `eu-west-1`; use one of that region's",
            "27: warning: model `unpriced` has no price: projects with a budget cannot use it; add `price`, in USD per million tokens",
        ];
        assert_eq!(found, expected);
    }

    #[tokio::test]
    async fn a_known_server_without_its_preset_is_told() {
        let check = async |url: &str, options: &str| {
            let text = format!(
                "[[provider]]\nname = \"a\"\nkind = \"openai\"\nbase_url = \"{url}\"\n{options}\n[[model]]\nname = \"m\"\n\
                 kind = \"moderation\"\ntargets = [{{ provider = \"a\", model = \"x\" }}]\n"
            );
            check(&text, false).await.iter().map(ToString::to_string).collect::<String>()
        };
        let told = |preset: &str| {
            format!(
                "2: warning: the server of provider `a` differs from OpenAI's API in known ways; add `preset = \"{preset}\"`"
            )
        };
        assert_eq!(check("https://api.mistral.ai/v1", "").await, told("mistral"));
        assert_eq!(check("http://10.0.0.7:11434/v1", "output_limit = \"max_completion_tokens\"").await, told("ollama"));
        let same = "output_limit = \"max_tokens\"\ndeveloper_role = \"system\"";
        for (url, options) in [
            ("https://api.mistral.ai/v1", "preset = \"mistral\""),
            ("https://api.mistral.ai/v1", "preset = \"openai\""),
            ("http://10.0.0.7:11434/v1", same),
            ("https://api.openai.com/v1", ""),
            ("https://example.openai.azure.com/openai/v1", ""),
            ("http://vllm:8000/v1", ""),
        ] {
            assert_eq!(check(url, options).await, "", "{url} {options}");
        }
    }

    #[tokio::test]
    async fn a_file_without_models_is_wrong() {
        let found: Vec<String> = check("# none\n", false).await.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["error: the file defines no model; add a [[model]]"]);
    }

    #[tokio::test]
    async fn the_deployed_file_has_no_findings() {
        let text = include_str!("../../models/models.toml");
        assert_eq!(check(text, false).await, []);
    }

    #[tokio::test]
    async fn a_provider_that_no_process_serves_is_unreachable() {
        let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let text = format!(
            "[[provider]]\nname = \"a\"\nkind = \"openai\"\nbase_url = \"http://{unused}\"\n[[model]]\nname = \"m\"\nkind = \"moderation\"\n\
             targets = [{{ provider = \"a\", model = \"x\" }}]\n"
        );
        let found = check(&text, true).await;
        assert!(found.len() == 1 && found[0].text.contains("cannot be reached"), "{found:?}");
        assert_eq!((found[0].line, found[0].is_error), (Some(2), true));
        assert_eq!(check(&text, false).await, []);
    }

    /// A server that wants its key in a header of the models file.
    #[tokio::test]
    async fn a_provider_is_asked_with_the_headers_of_its_calls() {
        use axum::http::{HeaderMap, StatusCode};
        let models = axum::routing::get(async |headers: HeaderMap| {
            if headers.get("api-key").is_some_and(|key| key == "right") {
                StatusCode::OK
            } else {
                StatusCode::UNAUTHORIZED
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = axum::serve(listener, axum::Router::new().route("/v1/models", models));
        let asked = async |path: &str, key: &str| {
            let text = format!(
                "[[provider]]\nname = \"a\"\nkind = \"openai\"\nbase_url = \"http://{address}{path}\"\nheaders = {{ api-key = \"{key}\" }}\n\
                 [[model]]\nname = \"m\"\nkind = \"moderation\"\ntargets = [{{ provider = \"a\", model = \"x\" }}]\n"
            );
            check(&text, true).await.into_iter().map(|finding| finding.text).collect::<String>()
        };
        let found = async { (asked("/v1", "right").await, asked("/v1", "wrong").await, asked("", "right").await) };
        let (right, refused, elsewhere) = tokio::select! {
            found = found => found,
            _ = server => panic!("the server ended"),
        };
        assert_eq!(right, "");
        assert!(refused.contains("refuses its key"), "{refused}");
        assert!(elsewhere.contains("has no `/models`"), "{elsewhere}");
    }
}
