//! The entries of Amazon Bedrock in the price list.
//!
//! The list has an entry for each id by which Bedrock is called: a model's own id, and one for each inference profile
//! with the profile's prefix. Some entries name a region instead, because a model costs more there.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Wanted;

/// The prefixes of the profiles that stay within one geography, or go everywhere.
const PROFILES: [&str; 8] = ["us", "eu", "apac", "jp", "au", "in", "ca", "global"];
/// The profile of another partition, in which other ids are called without a profile.
const GOV: &str = "us-gov";

/// The profiles to import: all of these, and `none` for the models that are called without one.
pub const BEDROCK_PROFILES: [&str; 10] = ["us", "eu", "apac", "jp", "au", "in", "ca", "global", GOV, "none"];

/// Words in the ids of models that are withdrawn for new customers, are previews, or do not answer text with text.
const NOT_CURRENT: [&str; 13] = [
    "claude-3",
    "claude-opus-4-2",
    "claude-sonnet-4-2",
    "preview",
    "safeguard",
    "voxtral",
    "vision-7b",
    "embed-text-v1",
    "embed-g1",
    "embed-image",
    "kimi-k2-thinking",
    "nova-premier",
    "@",
];

/// The entries that are called through the profile `profile`, or without one if it is `none`.
pub(super) fn entries(list: &BTreeMap<String, Value>, profile: &str) -> Vec<Wanted> {
    let wanted = list.iter().filter_map(|(id, entry)| Some((id, entry.as_object()?)));
    let wanted = wanted.filter(|(id, entry)| is_callable(id, entry));
    match profile {
        "none" => wanted.filter(|(id, _)| has_no_profile(list, id)).map(|(id, entry)| own(list, id, entry)).collect(),
        profile => wanted.filter_map(|(id, entry)| through(profile, id, entry)).collect(),
    }
}

fn is_callable(id: &str, entry: &Map<String, Value>) -> bool {
    let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default();
    let embeds = id.contains("amazon.titan-embed") || id.contains("cohere.embed");
    let is_known = match (text("litellm_provider"), text("mode")) {
        ("bedrock_converse", "chat") => true,
        ("bedrock", "embedding") => embeds,
        _ => false,
    };
    is_known && !id.contains('/') && !NOT_CURRENT.iter().any(|word| id.contains(word))
}

/// Whether Bedrock is called by this id itself. A model that has a profile anywhere is not called without one.
fn has_no_profile(list: &BTreeMap<String, Value>, id: &str) -> bool {
    let is_profile = PROFILES.into_iter().chain([GOV]).any(|prefix| split(prefix, id).is_some());
    !is_profile && !PROFILES.iter().any(|prefix| list.contains_key(&format!("{prefix}.{id}")))
}

fn split<'a>(prefix: &str, id: &'a str) -> Option<&'a str> {
    id.strip_prefix(prefix)?.strip_prefix('.')
}

fn through(profile: &str, id: &str, entry: &Map<String, Value>) -> Option<Wanted> {
    let model = simple_name(split(profile, id)?);
    // Only a name that says so may send data around the world.
    let name = if profile == "global" { format!("{model}-global") } else { model };
    Some(Wanted { name, id: id.to_owned(), fields: entry.clone() })
}

/// An id without a profile, at the highest price of all regions: the catalog has one price for each model.
fn own(list: &BTreeMap<String, Value>, id: &str, entry: &Map<String, Value>) -> Wanted {
    let mut fields = entry.clone();
    for (key, regional) in list {
        let region = key.strip_prefix("bedrock/").and_then(|rest| rest.strip_suffix(id)?.strip_suffix('/'));
        if region.is_some_and(|region| !region.contains('/') && !region.contains("gov")) {
            raise(&mut fields, regional);
        }
    }
    Wanted { name: simple_name(id), id: id.to_owned(), fields }
}

fn raise(fields: &mut Map<String, Value>, regional: &Value) {
    for (name, value) in regional.as_object().into_iter().flatten().filter(|(name, _)| name.contains("_cost")) {
        let known = fields.get(name).and_then(Value::as_f64);
        if value.as_f64() > known {
            fields.insert(name.clone(), value.clone());
        }
    }
}

/// The name of a model without its maker, date and version, as callers write it.
fn simple_name(id: &str) -> String {
    let (maker, model) = id.split_once('.').unwrap_or(("", id));
    let model = model.strip_suffix("-1:0").or_else(|| Some(model.split_once(':')?.0)).unwrap_or(model);
    let model = model.strip_suffix("-v1").unwrap_or(model);
    let model = match model.rsplit_once('-') {
        Some((before, date)) if date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit()) => before,
        _ => model,
    };
    // What these makers call their models says little without the maker.
    match maker {
        "cohere" | "deepseek" if !model.starts_with(maker) => format!("{maker}-{model}"),
        _ => model.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_callers_write_them() {
        for (id, name) in [
            ("anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
            ("anthropic.claude-opus-4-6-v1", "claude-opus-4-6"),
            ("amazon.nova-pro-v1:0", "nova-pro"),
            ("amazon.titan-embed-text-v2:0", "titan-embed-text-v2"),
            ("openai.gpt-oss-120b-1:0", "gpt-oss-120b"),
            ("deepseek.v3.2", "deepseek-v3.2"),
            ("cohere.embed-v4:0", "cohere-embed-v4"),
            ("zai.glm-5", "glm-5"),
        ] {
            assert_eq!(simple_name(id), name, "{id}");
        }
    }

    #[test]
    fn an_id_is_taken_with_its_profile_and_only_without_one_if_it_has_none() {
        let chat = |price: f64| serde_json::json!({"litellm_provider": "bedrock_converse", "mode": "chat", "input_cost_per_token": price});
        let list: BTreeMap<String, Value> = [
            ("amazon.nova-pro-v1:0", chat(1e-6)),
            ("us.amazon.nova-pro-v1:0", chat(2e-6)),
            ("global.amazon.nova-pro-v1:0", chat(1e-6)),
            ("qwen.qwen3-32b-v1:0", chat(1e-6)),
            ("us-gov.qwen.qwen3-32b-v1:0", chat(3e-6)),
            ("bedrock/eu-west-2/qwen.qwen3-32b-v1:0", chat(2e-6)),
            ("bedrock/us-gov-west-1/qwen.qwen3-32b-v1:0", chat(9e-6)),
            ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", chat(1e-6)),
        ]
        .map(|(id, entry)| (id.to_owned(), entry))
        .into();
        let taken = |profile: &str| -> Vec<(String, String, f64)> {
            let found = entries(&list, profile).into_iter();
            found
                .map(|wanted| (wanted.name, wanted.id, wanted.fields["input_cost_per_token"].as_f64().unwrap()))
                .collect()
        };
        let own = |name: &str, id: &str, price| vec![(name.to_owned(), id.to_owned(), price)];
        assert_eq!(taken("us"), own("nova-pro", "us.amazon.nova-pro-v1:0", 2e-6));
        assert_eq!(taken("global"), own("nova-pro-global", "global.amazon.nova-pro-v1:0", 1e-6));
        assert_eq!(taken("none"), own("qwen3-32b", "qwen.qwen3-32b-v1:0", 2e-6));
        assert_eq!(taken("us-gov"), own("qwen3-32b", "us-gov.qwen.qwen3-32b-v1:0", 3e-6));
        assert_eq!(taken("eu"), Vec::new());
    }
}
