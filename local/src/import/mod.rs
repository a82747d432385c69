//! Writes a `models.toml` from `LiteLLM`'s public price list.
//!
//! The list is one JSON object. It maps the name of a model to its prices, in US dollars per token, and its limits. The
//! package of that project contains it as `model_prices_and_context_window.json`.

mod bedrock;
mod entry;
mod rates;

pub use bedrock::BEDROCK_PROFILES;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use entry::{Entry, Price, flattened, resident};

/// The entries to take from the list.
#[derive(Debug, Clone, Copy)]
pub struct Import<'a> {
    /// `litellm_provider` of the entries to take, such as `anthropic`.
    pub litellm_provider: &'a str,
    /// Name of the `[[provider]]` that the targets of the models name.
    pub provider: &'a str,
    /// The date, such as `2026-11-22`. Models that are withdrawn by then are left out.
    pub today: &'a str,
    /// For Amazon Bedrock: the prefix of the inference profiles to take, such as `us`, or `none` for the ids without one.
    /// It replaces `litellm_provider`.
    pub bedrock_profile: Option<&'a str>,
    /// For OpenAI: where the data of the provider's project resides, `eu` or `us`. Most models cost more there.
    pub residency: Option<&'a str>,
}

/// An entry to take.
struct Wanted {
    /// The name of the model.
    name: String,
    /// The provider's name of the model.
    id: String,
    fields: Map<String, Value>,
}

/// Why a price list cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("the price list is not a JSON object")]
    NotJson(#[source] serde_json::Error),
    #[error("`{field}` of model `{model}` is {value}; expected {expected}")]
    Field { model: String, field: String, value: String, expected: &'static str },
    #[error("the price list has no model of provider `{0}` that weir can call")]
    Nothing(String),
}

impl Import<'_> {
    /// The `[[model]]` tables for the chat, embedding and moderation models of one provider, sorted by name.
    ///
    /// A comment names each model that weir cannot account for, with the reason: its price is per image, second or search,
    /// or the list has no limits for it.
    ///
    /// # Errors
    /// `NotJson` and `Field` if the list is not understood. `Nothing` if no model remains.
    pub fn models_toml(&self, json: &str) -> Result<String, ImportError> {
        let list: BTreeMap<String, Value> = serde_json::from_str(json).map_err(ImportError::NotJson)?;
        let mut models = BTreeMap::new();
        let mut left_out = BTreeMap::new();
        for wanted in self.wanted(&list) {
            match self.model(&wanted)? {
                Taken::Model(text) => drop(models.insert(wanted.name, text)),
                Taken::Skipped(reason) => drop(left_out.insert(wanted.name, reason)),
            }
        }
        if models.is_empty() {
            return Err(ImportError::Nothing(self.litellm_provider.to_owned()));
        }
        let mut text = format!("# Made by `weir models import` on {} from LiteLLM's price list.\n", self.today);
        for (name, reason) in left_out {
            let _ = writeln!(text, "# Not imported: {} ({reason}).", quoted(&name));
        }
        for model in models.values() {
            let _ = write!(text, "\n{model}");
        }
        Ok(text)
    }

    fn wanted(&self, list: &BTreeMap<String, Value>) -> Vec<Wanted> {
        if let Some(profile) = self.bedrock_profile {
            let entries = bedrock::entries(list, profile).into_iter();
            return entries.filter(|wanted| !self.is_withdrawn(&wanted.fields)).collect();
        }
        let entries = list.iter().filter_map(|(key, entry)| Some((key, entry.as_object()?)));
        let prefix = format!("{}/", self.litellm_provider);
        let wanted = entries.filter(|(key, entry)| self.takes(key, entry)).map(|(key, entry)| {
            let name = key.strip_prefix(&prefix).unwrap_or(key).to_owned();
            Wanted { id: name.clone(), name, fields: entry.clone() }
        });
        wanted.collect()
    }

    fn is_withdrawn(&self, entry: &Map<String, Value>) -> bool {
        entry.get("deprecation_date").and_then(Value::as_str).is_some_and(|date| date <= self.today)
    }

    fn takes(&self, key: &str, entry: &Map<String, Value>) -> bool {
        let is = |field: &str, wanted: &str| entry.get(field).is_some_and(|value| value == wanted);
        let tuned = key.starts_with("ft:");
        let callable = ["chat", "embedding", "moderation"].iter().any(|mode| is("mode", mode));
        is("litellm_provider", self.litellm_provider) && callable && !self.is_withdrawn(entry) && !tuned
    }

    fn model(&self, wanted: &Wanted) -> Result<Taken, ImportError> {
        let fields = resident(flattened(wanted.fields.clone()), self.residency);
        let entry = Entry { name: &wanted.name, fields: &fields };
        if let Some(reason) = entry.skip_reason() {
            return Ok(Taken::Skipped(reason));
        }
        let kind = entry.text("mode").unwrap_or_default();
        let Some(limits) = entry.limits(kind)? else { return Ok(Taken::Skipped("its limits are not in the list")) };
        let Some(price) = entry.price(kind)? else { return Ok(Taken::Skipped("its price is not in the list")) };
        let (name, id, provider) = (quoted(&wanted.name), quoted(&wanted.id), quoted(self.provider));
        let alias = if name == id { String::new() } else { format!("aliases = [{id}]\n") };
        let (inline, table) = match price {
            Price::Inline(members) => (format!("price = {{ {members} }}\n"), String::new()),
            Price::Table(lines) => (String::new(), format!("[model.price]\n{lines}")),
        };
        Ok(Taken::Model(format!(
            "[[model]]\nname = {name}\n{alias}kind = \"{kind}\"\n{inline}{limits}\
             targets = [{{ provider = {provider}, model = {id} }}]\n{table}"
        )))
    }
}

enum Taken {
    Model(String),
    Skipped(&'static str),
}

/// A TOML basic string. TOML has all escapes of JSON.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use shared::model::catalog::Catalog;

    use super::*;

    const IMPORT: Import<'_> = Import {
        litellm_provider: "acme",
        provider: "acme-eu",
        today: "2026-11-22",
        bedrock_profile: None,
        residency: None,
    };

    #[test]
    fn prices_become_dollars_per_million_tokens() {
        let list = r#"{
            "sample_spec": {"max_output_tokens": "a description"},
            "acme/big": {"litellm_provider": "acme", "mode": "chat", "input_cost_per_token": 2.5e-06, "cache_read_input_token_cost": 2.5e-07,
                "cache_creation_input_token_cost": 3.125e-06, "cache_creation_input_token_cost_above_1hr": 4e-06,
                "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 9e-06,
                "input_cost_per_token_batches": 1.25e-06, "output_cost_per_token_batches": 5e-06,
                "input_cost_per_token_priority": 5e-06, "input_cost_per_token_above_200k_tokens_priority": 9e-06,
                "output_cost_per_token_priority": 2e-05, "output_cost_per_token": 1e-05, "output_cost_per_reasoning_token": 1.2e-05,
                "input_cost_per_token_above_200k_tokens": 5e-06, "provider_specific_entry": {"us": 1.1, "fast": 2, "other": 3},
                "max_input_tokens": 1000000, "max_output_tokens": 64000},
            "acme/halves": {"litellm_provider": "acme", "mode": "chat", "max_input_tokens": 9, "max_output_tokens": 9,
                "tiered_pricing": [{"range": [0, 32000.0], "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06},
                    {"range": [32000.0, 99000], "input_cost_per_token": 2e-06, "output_cost_per_token": 3e-06}]},
            "acme/voice": {"litellm_provider": "acme", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06,
                "input_cost_per_audio_token": 1e-05, "output_cost_per_audio_token": 2e-05, "cache_read_input_audio_token_cost": 1e-06,
                "input_cost_per_image_token": 3e-06, "output_cost_per_image_token": 3e-05, "provider_specific_entry": {"us": 1.1},
                "max_input_tokens": 9, "max_output_tokens": 9},
            "acme/words": {"litellm_provider": "acme", "mode": "embedding", "input_cost_per_token": 2e-08, "output_cost_per_token": 0.0, "max_input_tokens": 8191},
            "acme/old": {"litellm_provider": "acme", "mode": "chat", "deprecation_date": "2026-11-22"},
            "acme/film": {"litellm_provider": "acme", "mode": "chat", "input_cost_per_video_token": 1e-05},
            "acme/heard": {"litellm_provider": "acme", "mode": "embedding", "input_cost_per_audio_token": 1e-05},
            "acme/vague": {"litellm_provider": "acme", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06},
            "acme/paint": {"litellm_provider": "acme", "mode": "image_generation"},
            "other": {"litellm_provider": "other", "mode": "chat"}
        }"#;
        let expected = r#"# Made by `weir models import` on 2026-11-22 from LiteLLM's price list.
# Not imported: "film" (video is priced apart).
# Not imported: "heard" (audio is priced apart).
# Not imported: "vague" (its limits are not in the list).

[[model]]
name = "big"
kind = "chat"
context_tokens = 1064000
max_output_tokens = 64000
targets = [{ provider = "acme-eu", model = "big" }]
[model.price]
input = 2.5
cached_input = 0.25
cache_write = 3.125
cache_write_1h = 4.0
output = 10.0
reasoning = 12.0
longer = [{ above = 200000, input = 5.0, cached_input = 0.5, cache_write = 6.25, cache_write_1h = 9.0, output = 20.0, reasoning = 24.0 }]
inference_geo = { us = 1.1 }
speed = { fast = 2.0 }
tiers.priority = { input = 5.0, cached_input = 0.5, cache_write = 6.25, cache_write_1h = 8.0, output = 20.0, reasoning = 24.0, longer = [{ above = 200000, input = 9.0, cached_input = 1.0, cache_write = 12.5, cache_write_1h = 18.0, output = 40.0, reasoning = 48.0 }] }
tiers.batch = { input = 1.25, cached_input = 0.25, cache_write = 3.125, cache_write_1h = 4.0, output = 5.0, reasoning = 12.0, longer = [{ above = 200000, input = 5.0, cached_input = 0.5, cache_write = 6.25, cache_write_1h = 9.0, output = 20.0, reasoning = 24.0 }] }

[[model]]
name = "halves"
kind = "chat"
context_tokens = 18
max_output_tokens = 9
targets = [{ provider = "acme-eu", model = "halves" }]
[model.price]
input = 1.0
output = 2.0
longer = [{ above = 32000, input = 2.0, output = 3.0 }]

[[model]]
name = "voice"
kind = "chat"
price = { input = 1.0, audio_input = 10.0, cached_audio_input = 1.0, image_input = 3.0, output = 2.0, audio_output = 20.0, image_output = 30.0, inference_geo = { us = 1.1 } }
context_tokens = 18
max_output_tokens = 9
targets = [{ provider = "acme-eu", model = "voice" }]

[[model]]
name = "words"
kind = "embedding"
price = { input = 0.02 }
context_tokens = 8191
targets = [{ provider = "acme-eu", model = "words" }]
"#;
        let written = IMPORT.models_toml(list).unwrap();
        assert_eq!(written, expected);
        let provider = "[[provider]]\nname = 'acme-eu'\nkind = 'openai'\nbase_url = 'http://a.example'\n";
        let catalog = Catalog::parse(&format!("{provider}{written}")).unwrap();
        assert_eq!(catalog.model("big").unwrap().tiers["priority"].longer[0].rates.cache_write_1h, 18_000_000);
    }

    #[test]
    fn data_that_resides_somewhere_costs_more_where_the_list_says_so() {
        let list = r#"{"acme/a": {"litellm_provider": "acme", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06,
            "output_cost_per_token_above_200k_tokens": 4e-06, "input_cost_per_token_above_200k_tokens": 2e-06,
            "regional_processing_uplift_multiplier_eu": 1.1, "max_input_tokens": 9, "max_output_tokens": 9}}"#;
        let price = |residency| {
            let written = Import { residency, ..IMPORT }.models_toml(list).unwrap();
            written.split_once("[model.price]").unwrap().1.replace('\n', " ").trim().to_owned()
        };
        let plain = "input = 1.0 output = 2.0 longer = [{ above = 200000, input = 2.0, output = 4.0 }]";
        assert_eq!((price(None).as_str(), price(Some("us")).as_str()), (plain, plain));
        let resident = "input = 1.1 output = 2.2 longer = [{ above = 200000, input = 2.2, output = 4.4 }]";
        assert_eq!(price(Some("eu")), resident);
    }

    #[test]
    fn at_xai_a_prompt_of_the_length_itself_is_long() {
        let list = r#"{"xai/g": {"litellm_provider": "xai", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06,
            "input_cost_per_token_above_200k_tokens": 2e-06, "max_input_tokens": 9, "max_output_tokens": 9}}"#;
        let import = Import { litellm_provider: "xai", ..IMPORT };
        let written = import.models_toml(list).unwrap();
        assert!(written.contains("longer = [{ above = 199999, input = 2.0, output = 2.0 }]"), "{written}");
    }

    #[test]
    fn a_price_of_sounds_that_gemini_is_never_sent_does_not_matter() {
        let list = r#"{
            "gemini/hears": {"litellm_provider": "gemini", "mode": "embedding", "input_cost_per_token": 2e-07, "input_cost_per_audio_token": 6.5e-06},
            "gemini/speaks": {"litellm_provider": "gemini", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_audio_token": 2e-05}
        }"#;
        let toml = Import { litellm_provider: "gemini", provider: "gemini", ..IMPORT }.models_toml(list).unwrap();
        assert!(toml.contains("name = \"hears\"") && toml.contains("# Not imported: \"speaks\" (audio"), "{toml}");
    }

    #[track_caller]
    fn check(list: &str, expected: &str) {
        assert_eq!(IMPORT.models_toml(list).unwrap_err().to_string(), expected);
    }

    #[test]
    fn errors_name_the_model_and_the_field() {
        check("[]", "the price list is not a JSON object");
        check("{}", "the price list has no model of provider `acme` that weir can call");
        check(
            r#"{"m": {"litellm_provider": "acme", "mode": "chat", "max_input_tokens": "many"}}"#,
            "`max_input_tokens` of model `m` is \"many\"; expected a whole number of tokens",
        );
        check(
            r#"{"m": {"litellm_provider": "acme", "mode": "embedding", "input_cost_per_token": -1}}"#,
            "`input_cost_per_token` of model `m` is -1; expected US dollars per token, from 0 to 1",
        );
    }
}
