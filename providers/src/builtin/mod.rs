//! The models that weir serves without a `models.toml`, and those of Amazon Bedrock, which it serves beside one.

mod bedrock;

pub use bedrock::bedrock;
use shared::model::catalog::Catalog;

const SIMULATOR: &str = include_str!("simulator.toml");

/// Providers that need a key, each with its `[[provider]]` and its models.
///
/// The models are made by `weir models import`; see `docs/models.md`.
const WITH_KEY: [(&str, &str, &str); 3] = [
    (
        "OPENAI_API_KEY",
        "[[provider]]\nname = \"openai\"\nkind = \"openai\"\nbase_url = \"https://api.openai.com/v1\"\napi_key_env = \"OPENAI_API_KEY\"\n",
        include_str!("openai.toml"),
    ),
    (
        "ANTHROPIC_API_KEY",
        "[[provider]]\nname = \"anthropic\"\nkind = \"anthropic\"\napi_key_env = \"ANTHROPIC_API_KEY\"\n",
        include_str!("anthropic.toml"),
    ),
    (
        "GEMINI_API_KEY",
        "[[provider]]\nname = \"gemini\"\nkind = \"gemini\"\napi_key_env = \"GEMINI_API_KEY\"\n",
        include_str!("gemini.toml"),
    ),
];

/// The simulator, and the current models of each provider whose key is in the environment.
#[must_use]
pub fn builtin_catalog(has_env: &dyn Fn(&str) -> bool) -> Catalog {
    let with_key = WITH_KEY.iter().filter(|(variable, ..)| has_env(variable));
    with_key.fold(read(SIMULATOR), |catalog, (_, provider, models)| {
        catalog.merged_with(read(&format!("{provider}{models}")))
    })
}

/// Reads a file of this folder. The tests read all of them, so none is invalid. An invalid file would be skipped.
fn read(text: &str) -> Catalog {
    Catalog::parse(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use shared::model::catalog::ModelKind;

    use super::*;

    #[test]
    fn without_keys_there_is_the_simulator() {
        let catalog = builtin_catalog(&|_| false);
        let names: Vec<_> = catalog.models().iter().map(|model| model.name.as_str()).collect();
        let makers = ["simulator-image", "simulator-speech", "simulator-transcription"];
        let all =
            ["simulator", "simulator-slow", "simulator-embedding", "simulator-moderation"].into_iter().chain(makers);
        assert_eq!(names, all.collect::<Vec<_>>());
    }

    #[test]
    fn every_file_is_a_catalog_and_every_chat_model_has_a_price() {
        for (_, provider, models) in WITH_KEY {
            let catalog = Catalog::parse(&format!("{provider}{models}")).unwrap();
            assert!(catalog.models().len() > 5);
            let chat = catalog.models().iter().filter(|model| model.kind == ModelKind::Chat);
            assert!(chat.into_iter().all(|model| model.price.as_ref().is_some_and(|price| price.rates.input > 0)));
        }
        assert!(Catalog::parse(SIMULATOR).is_ok());
    }

    #[test]
    fn a_key_brings_its_providers_models() {
        let catalog = builtin_catalog(&|name| name == "ANTHROPIC_API_KEY");
        assert!(catalog.provider("anthropic").is_some() && catalog.provider("openai").is_none());
        assert!(catalog.model("claude-haiku-4-5").is_some() && catalog.model("simulator").is_some());
    }
}
