//! The price and the limits of one entry of the list.

use std::fmt::{self, Write as _};

use serde_json::{Map, Value};

use super::ImportError;

/// The service tiers whose prices are taken, by the value of `service_tier`.
const TIERS: [&str; 3] = ["flex", "priority", "ultrafast"];

/// The rates beside the one of input, and their fields. Anthropic stores input for an hour, OpenAI for twelve.
const FURTHER_RATES: [(&str, &[&str]); 5] = [
    ("cached_input", &["cache_read_input_token_cost"]),
    ("cache_write", &["cache_creation_input_token_cost"]),
    ("cache_write_1h", &["cache_creation_input_token_cost_above_1hr", "cache_creation_input_token_cost_above_12hr"]),
    ("output", &["output_cost_per_token"]),
    ("reasoning", &["output_cost_per_reasoning_token"]),
];

/// An entry of the list.
pub(super) struct Entry<'a> {
    pub(super) name: &'a str,
    pub(super) fields: &'a Map<String, Value>,
}

impl Entry<'_> {
    pub(super) fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field)?.as_str()
    }

    /// Why a price per token does not cover the cost of a call; `None` if it does.
    pub(super) fn skip_reason(&self) -> Option<&'static str> {
        // The translation for Gemini passes no sounds.
        let hears_none = self.text("litellm_provider") == Some("gemini");
        let is_audio = |field: &String| field.contains("audio_token") && !(hears_none && field.contains("input"));
        if self.fields.keys().any(is_audio) {
            return Some("audio is priced apart");
        }
        if self.name.split('-').any(|word| word == "search") {
            return Some("searches are priced apart");
        }
        let endpoints = self.fields.get("supported_endpoints").and_then(Value::as_array);
        let chat_only_elsewhere = self.text("mode") == Some("chat")
            && endpoints.is_some_and(|paths| !paths.iter().any(|path| path == "/v1/chat/completions"));
        chat_only_elsewhere.then_some("it does not serve chat completions")
    }

    pub(super) fn price(&self, kind: &str) -> Result<Option<String>, ImportError> {
        let Some(mut text) = self.rates(kind, "")? else { return Ok(None) };
        let tiers = TIERS.iter().filter(|_| kind == "chat");
        let tiers =
            tiers.map(|name| Ok(self.rates(kind, &format!("_{name}"))?.map(|rates| format!("{name} = {{ {rates} }}"))));
        let tiers: Vec<String> = tiers.filter_map(Result::transpose).collect::<Result<_, _>>()?;
        if !tiers.is_empty() {
            let _ = write!(text, ", tiers = {{ {} }}", tiers.join(", "));
        }
        Ok(Some(text))
    }

    /// The rates of a service tier, or of the default one (`""`); `None` if the list does not have them.
    fn rates(&self, kind: &str, tier: &str) -> Result<Option<String>, ImportError> {
        let Some(input) = self.highest_rate(&["input_cost_per_token"], tier)? else { return Ok(None) };
        let mut text = format!("input = {input}");
        for (name, fields) in FURTHER_RATES {
            match self.highest_rate(fields, tier)? {
                Some(rate) if kind == "chat" => {
                    let _ = write!(text, ", {name} = {rate}");
                }
                None if kind == "chat" && name == "output" => return Ok(None),
                _ => {}
            }
        }
        Ok(Some(text))
    }

    /// `context_tokens` and `max_output_tokens`; `None` if a chat model has none.
    pub(super) fn limits(&self, kind: &str) -> Result<Option<String>, ImportError> {
        let (input, output) = (self.count("max_input_tokens")?, self.count("max_output_tokens")?);
        if kind != "chat" {
            return Ok(Some(input.map_or(String::new(), |input| format!("context_tokens = {input}\n"))));
        }
        let (Some(input), Some(output)) = (input, output) else { return Ok(None) };
        // The list does not say whether the output counts against the limit of the input. The sum is never too low.
        let context = input.saturating_add(output);
        Ok(Some(format!("context_tokens = {context}\nmax_output_tokens = {output}\n")))
    }

    /// A comment with the lower price of short prompts; empty if the price does not depend on the length. weir has one price
    /// per model and takes the highest.
    pub(super) fn lower_tier(&self) -> Result<String, ImportError> {
        let Some(thousands) = self.fields.keys().filter_map(|field| longer("input_cost_per_token", field)).min() else {
            return Ok(String::new());
        };
        let (input, output) = (self.rate("input_cost_per_token")?, self.rate("output_cost_per_token")?);
        let (input, output) = (input.unwrap_or_default(), output.unwrap_or_default());
        Ok(format!(
            "# Up to {thousands}000 tokens of input the provider takes less: input = {input}, output = {output}.\n"
        ))
    }

    /// The highest rate of these fields, over all lengths of input. With a lower one, a charge could be below the provider's
    /// bill.
    fn highest_rate(&self, fields: &[&str], tier: &str) -> Result<Option<Rate>, ImportError> {
        let is_rate = |name: &&String| {
            let of_tier = name.strip_suffix(tier);
            of_tier.is_some_and(|name| fields.iter().any(|field| name == *field || longer(field, name).is_some()))
        };
        let rates = self.fields.keys().filter(is_rate).map(|name| self.rate(name)).collect::<Result<Vec<_>, _>>()?;
        Ok(rates.into_iter().flatten().max_by(|one, other| one.0.total_cmp(&other.0)))
    }

    /// Reads US dollars per token.
    fn rate(&self, field: &str) -> Result<Option<Rate>, ImportError> {
        let Some(value) = self.fields.get(field).filter(|value| !value.is_null()) else { return Ok(None) };
        let dollars = value.as_f64().filter(|dollars| (0.0..=1.0).contains(dollars));
        let dollars = dollars.ok_or_else(|| self.field_error(field, value, "US dollars per token, from 0 to 1"))?;
        Ok(Some(Rate(dollars * 1e6)))
    }

    fn count(&self, field: &str) -> Result<Option<u64>, ImportError> {
        let Some(value) = self.fields.get(field).filter(|value| !value.is_null()) else { return Ok(None) };
        match value.as_u64() {
            Some(0) => Ok(None),
            Some(count) => Ok(Some(count)),
            None => Err(self.field_error(field, value, "a whole number of tokens")),
        }
    }

    fn field_error(&self, field: &str, value: &Value, expected: &'static str) -> ImportError {
        let (model, field) = (self.name.to_owned(), field.to_owned());
        ImportError::Field { model, field, value: value.to_string(), expected }
    }
}

/// The 272 of `input_cost_per_token_above_272k_tokens`; `None` if `name` is not `field` for longer inputs.
fn longer(field: &str, name: &str) -> Option<u64> {
    name.strip_prefix(field)?.strip_prefix("_above_")?.strip_suffix("k_tokens")?.parse().ok()
}

/// US dollars per million tokens. Written to the micro-dollar, with at least one decimal.
#[derive(Debug, Clone, Copy, Default)]
struct Rate(f64);

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.6}", self.0);
        let text = text.trim_end_matches('0');
        write!(f, "{text}{}", if text.ends_with('.') { "0" } else { "" })
    }
}
