//! What a provider takes of a chat completion beyond OpenAI's API.

use shared::model::catalog::{Preset, ProviderConfig, ProviderKind, Thoughts};

/// Members that some providers read and others refuse.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Accepts {
    /// `cache_control` on parts and tools. OpenAI's own API and others refuse members of a part that they do not know, so only providers
    /// that are known to read it get it.
    pub marks: bool,
    /// The thoughts of the assistant's messages.
    pub thoughts: bool,
    /// The efforts `none` and `max`, whatever the model has. Other servers pass them to models that may not have them.
    pub every_effort: bool,
}

impl Accepts {
    /// What the provider of an entry takes. An `openai` provider is known by its preset, else by its host.
    #[must_use]
    pub fn of(config: &ProviderConfig) -> Self {
        if config.kind != ProviderKind::Openai {
            // Gemini caches by itself.
            return Self { marks: config.kind != ProviderKind::Gemini, thoughts: true, every_effort: true };
        }
        let by_name = config.preset.as_deref().and_then(Preset::named);
        let known = by_name.or_else(|| config.base_url.as_deref().and_then(Preset::of_url)).map(|preset| preset.name);
        let thoughts = config.quirks.reasoning_in != Thoughts::Nowhere;
        Self { marks: known == Some("openrouter"), thoughts, every_effort: false }
    }
}

#[cfg(test)]
mod tests {
    use shared::model::catalog::Catalog;

    use super::*;

    #[track_caller]
    fn check(entry: &str, marks: bool, thoughts: bool, every_effort: bool) {
        let catalog = Catalog::parse(&format!("[[provider]]\nname = \"a\"\n{entry}\n")).unwrap();
        let accepts = Accepts::of(catalog.provider("a").unwrap());
        assert_eq!(accepts, Accepts { marks, thoughts, every_effort }, "{entry}");
    }

    #[test]
    fn a_provider_is_sent_what_it_is_known_to_take() {
        check("kind = \"bedrock\"\nregion = \"eu-central-1\"", true, true, true);
        check("kind = \"gemini\"", false, true, true);
        check("kind = \"openai\"\nbase_url = \"https://api.openai.com/v1\"", false, false, false);
        check("kind = \"openai\"\nbase_url = \"https://a.openai.azure.com/openai/v1\"", false, false, false);
        check("kind = \"openai\"\nbase_url = \"https://openrouter.ai/api/v1\"", true, true, false);
        check("kind = \"openai\"\nbase_url = \"http://vllm:8000/v1\"", false, true, false);
        check("kind = \"openai\"\nbase_url = \"http://proxy/v1\"\npreset = \"openrouter\"", true, true, false);
    }
}
