//! The price and the limits of one entry of the list.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::ImportError;
use super::rates::{Rate, Rates};

/// The service tiers whose prices are taken, by the value of `service_tier`, and their suffixes in the list. No request asks for `batch`.
const TIERS: [(&str, &str); 5] = [
    ("flex", "_flex"),
    ("priority", "_priority"),
    ("ultrafast", "_ultrafast"),
    ("balanced", "_balanced"),
    ("batch", "_batches"),
];

/// An entry of the list.
pub(super) struct Entry<'a> {
    pub(super) name: &'a str,
    pub(super) fields: &'a Map<String, Value>,
}

/// A price as members of a `[[model]]`.
#[derive(Debug, PartialEq)]
pub(super) enum Price {
    /// Rates only, for one line.
    Inline(String),
    /// The lines of a table.
    Table(String),
}

impl Entry<'_> {
    pub(super) fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field)?.as_str()
    }

    /// Why a price per token does not cover the cost of a call; `None` if it does.
    pub(super) fn skip_reason(&self) -> Option<&'static str> {
        let has = |part: &str| self.fields.keys().any(|field| field.contains(part));
        // The translation for Gemini sends neither sounds nor videos, and passes no sounds on.
        let is_gemini = self.text("litellm_provider") == Some("gemini");
        if has("video_token") && !is_gemini {
            return Some("video is priced apart");
        }
        let (is_apart, is_chat) = (has("audio_token"), self.text("mode") == Some("chat"));
        let is_uncovered = if is_gemini { has("output_cost_per_audio_token") } else { is_apart && !is_chat };
        if is_uncovered {
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

    /// The price; `None` if the list does not have it.
    pub(super) fn price(&self, kind: &str) -> Result<Option<Price>, ImportError> {
        let Some(own) = Rates::read(self, "")? else { return Ok(None) };
        if kind != "chat" {
            return Ok(Some(Price::Inline(own.input_only())));
        }
        if !own.has_output() {
            return Ok(None);
        }
        let lengths = self.lengths(&own)?;
        let tiers = TIERS.iter().map(|(name, suffix)| self.tier(name, suffix, &own, &lengths));
        let tiers: String = tiers.collect::<Result<_, _>>()?;
        let multipliers = self.multipliers()?;
        if lengths.is_empty() && tiers.is_empty() {
            let members: Vec<_> = std::iter::once(own.members()).chain(multipliers).collect();
            return Ok(Some(Price::Inline(members.join(", "))));
        }
        let mut lines = own.lines();
        if !lengths.is_empty() {
            let _ = writeln!(lines, "longer = [{}]", self.longer(&lengths));
        }
        for multiplier in multipliers {
            let _ = writeln!(lines, "{multiplier}");
        }
        Ok(Some(Price::Table(lines + &tiers)))
    }

    /// The rates of longer prompts, each with the number of thousands above which it begins.
    fn lengths(&self, own: &Rates) -> Result<Vec<(u64, Rates)>, ImportError> {
        let mut lengths: Vec<u64> = self.fields.keys().filter_map(|field| thousands(field)).collect();
        lengths.sort_unstable();
        let read = lengths.into_iter().map(|length| {
            let rates = Rates::read(self, &format!("_above_{length}k_tokens"))?.unwrap_or_default();
            Ok((length, rates.completed_by(own)))
        });
        read.collect()
    }

    /// The line of a service tier; empty if the list has no price for it.
    fn tier(&self, name: &str, suffix: &str, own: &Rates, lengths: &[(u64, Rates)]) -> Result<String, ImportError> {
        let Some(rates) = Rates::read(self, suffix)?.filter(Rates::has_output) else { return Ok(String::new()) };
        let dearer = rates.dearer_than(own);
        let rates = rates.completed_by(own);
        let longer = lengths.iter().map(|(length, default)| {
            let read = Rates::read(self, &format!("_above_{length}k_tokens{suffix}"))?.unwrap_or_default();
            Ok((*length, read.or(default, dearer)))
        });
        let longer: Vec<_> = longer.collect::<Result<_, _>>()?;
        let mut members = rates.members();
        if !longer.is_empty() {
            let _ = write!(members, ", longer = [{}]", self.longer(&longer));
        }
        Ok(format!("tiers.{name} = {{ {members} }}\n"))
    }

    /// The elements of `longer`. At xAI a prompt of exactly so many tokens is a long one.
    fn longer(&self, lengths: &[(u64, Rates)]) -> String {
        let less = u64::from(self.text("litellm_provider") == Some("xai"));
        let each = lengths.iter().map(|(length, rates)| {
            let above = length.saturating_mul(1_000).saturating_sub(less);
            format!("{{ above = {above}, {} }}", rates.members())
        });
        each.collect::<Vec<_>>().join(", ")
    }

    /// The multipliers of places and speeds.
    fn multipliers(&self) -> Result<Vec<String>, ImportError> {
        let Some(Value::Object(entries)) = self.fields.get("provider_specific_entry") else { return Ok(Vec::new()) };
        let known = [("us", "inference_geo"), ("fast", "speed")].into_iter();
        let read =
            known.filter_map(|(word, member)| Some((word, member, entries.get(word)?))).map(|(word, member, value)| {
                let times = value.as_f64().filter(|times| (0.0..=100.0).contains(times));
                let times = times.ok_or_else(|| self.field_error(word, value, "a multiplier from 0 to 100"))?;
                Ok(format!("{member} = {{ {word} = {} }}", Rate(times)))
            });
        read.collect()
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

    /// Reads US dollars per token.
    pub(super) fn rate(&self, field: &str) -> Result<Option<Rate>, ImportError> {
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

/// The 272 of `input_cost_per_token_above_272k_tokens`; `None` for another field.
fn thousands(field: &str) -> Option<u64> {
    field.strip_prefix("input_cost_per_token_above_")?.strip_suffix("k_tokens")?.parse().ok()
}

/// The fields of an entry, with those of `tiered_pricing` as other entries have them: a list of rates, each with the `range` of the
/// prompt's length in tokens.
pub(super) fn flattened(mut fields: Map<String, Value>) -> Map<String, Value> {
    let Some(Value::Array(ranges)) = fields.remove("tiered_pricing") else { return fields };
    for range in ranges.iter().filter_map(Value::as_object) {
        let begin = range.get("range").and_then(|range| range.get(0)?.as_f64()).unwrap_or(0.0);
        let suffix =
            if begin < 1_000.0 { String::new() } else { format!("_above_{}k_tokens", (begin / 1_000.0).floor()) };
        for (name, rate) in range.iter().filter(|(name, _)| name.contains("_cost")) {
            fields.entry(format!("{name}{suffix}")).or_insert_with(|| rate.clone());
        }
    }
    fields
}

/// The fields of an entry with the rates of a project whose data resides in `place`.
pub(super) fn resident(mut fields: Map<String, Value>, place: Option<&str>) -> Map<String, Value> {
    let times = |place| fields.get(&format!("regional_processing_uplift_multiplier_{place}"))?.as_f64();
    let Some(times) = place.and_then(times) else { return fields };
    for (_, rate) in fields.iter_mut().filter(|(name, _)| name.contains("_cost")) {
        if let Some(dollars) = rate.as_f64() {
            *rate = Value::from(dollars * times);
        }
    }
    fields
}
