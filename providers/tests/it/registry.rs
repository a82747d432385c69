//! Providers from a catalog.

use std::sync::Arc;

use shared::model::catalog::Catalog;
use shared::model::clock::Clock;
use shared::model::keys::{FixedKey, Keys};
use shared::model::provider::{Endpoint, Failure};
use shared::model::secret::Secret;

use crate::play::call;

const ALL: &str = r#"
[[provider]]
name = "a"
kind = "openai"
base_url = "https://api.openai.com/v1"
api_key_env = "ABSENT"
[[provider]]
name = "b"
kind = "anthropic"
api_key_secret = "absent"
[[provider]]
name = "c"
kind = "bedrock"
region = "eu-central-1"
[[provider]]
name = "d"
kind = "simulator"
[[provider]]
name = "e"
kind = "gemini"
"#;

fn keys() -> Arc<dyn Keys> {
    Arc::new(FixedKey(Secret::new("k")))
}

#[test]
fn every_kind_of_provider_can_be_made() {
    let catalog = Catalog::parse(ALL).unwrap();
    for config in catalog.providers() {
        assert_eq!(providers::check(config, &keys()), Ok(()), "{}", config.name);
    }
}

/// Gives the first provider `line`. Compares why it cannot be set up, and how its calls fail.
async fn check(line: &str, expected: &str) {
    let toml = ALL.replacen("api_key_env", &format!("{line}\napi_key_env"), 1);
    let catalog = Catalog::parse(&toml).unwrap();
    let config = catalog.provider("a").unwrap();
    assert_eq!(providers::check(config, &keys()), Err(expected.to_owned()));
    let provider = providers::connect(keys(), &Clock::system())(config);
    let failure = provider.send(&call(Endpoint::ChatCompletions, "{}", false)).await.err().unwrap();
    let Failure::NotSetUp { reason, .. } = &failure else { panic!("{failure}") };
    assert_eq!((reason.as_str(), failure.to_string().as_str()), (expected, "its settings are wrong"));
    assert!(failure.may_fall_back());
}

#[tokio::test]
async fn a_provider_with_wrong_settings_fails_its_calls_and_says_why() {
    check("headers = { \"no name\" = \"x\" }", "`no name` is no name of a header").await;
    check("headers = { x-a = \"a\\nb\" }", "the value of header `x-a` cannot be sent").await;
}
