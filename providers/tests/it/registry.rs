//! Providers from a catalog.

use shared::model::catalog::{Catalog, KeySource};
use shared::model::clock::Clock;
use shared::model::secret::Secret;

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
"#;

fn names(toml: &str, key: Option<&str>) -> Result<Vec<String>, String> {
    let key = |_: &KeySource| key.map(Secret::new);
    let providers = providers::registry(&Catalog::parse(toml).unwrap(), &key, &Clock::system());
    let mut names: Vec<_> = providers.map_err(|error| error.to_string())?.into_keys().collect();
    names.sort();
    Ok(names)
}

#[test]
fn every_provider_is_there_even_without_its_key() {
    assert_eq!(names(ALL, None).unwrap(), ["a", "b", "c", "d"]);
}

/// Gives the first provider `line` and compares why it cannot be set up.
#[track_caller]
fn check(line: &str, key: &str, expected: &str) {
    let toml = ALL.replacen("api_key_env", &format!("{line}\napi_key_env"), 1);
    assert_eq!(names(&toml, Some(key)), Err(expected.to_owned()));
}

#[test]
fn names_headers_and_urls_that_cannot_be_sent() {
    check("headers = { \"no name\" = \"x\" }", "k", "provider `a`: `no name` is no name of a header");
    check("headers = { x-a = \"a\\nb\" }", "k", "provider `a`: the value of header `x-a` cannot be sent");
    check("", "line\nbreak", "provider `a`: the key has characters that a header cannot carry");
}
