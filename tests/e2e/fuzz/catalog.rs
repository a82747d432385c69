//! Models files: read, or refused with the line and the reason.

use std::sync::Arc;

use kit::mutated_text;
use proptest::prelude::*;
use shared::model::catalog::Catalog;
use shared::model::keys::{FixedKey, Keys};
use shared::model::secret::Secret;

#[test]
fn every_models_file_is_read_or_refused_with_its_line() {
    let mut corpus = super::files("models", "toml");
    corpus.extend(super::files("providers/src/builtin", "toml"));
    corpus.extend(super::files("providers/src/builtin/bedrock", "toml"));
    corpus.extend(super::files("tests/sdk", "toml"));
    assert!(corpus.len() >= 5);
    let keys: Arc<dyn Keys> = Arc::new(FixedKey(Secret::new("k")));
    let tried = super::runner("e2e/fuzz/corpus/catalog.txt").run(&mutated_text(corpus), |file| {
        let text = String::from_utf8_lossy(&file.0);
        match Catalog::parse(&text) {
            Err(error) => {
                prop_assert!(!error.reason.is_empty());
                prop_assert!((1..=text.lines().count() + 1).contains(&error.line), "{error}");
            }
            // What was read can be served: every model has a target, and the providers can be made or say why not.
            Ok(catalog) => {
                prop_assert!(catalog.models().iter().all(|model| !model.targets.is_empty()));
                for config in catalog.providers() {
                    if let Err(reason) = providers::check(config, &keys) {
                        prop_assert!(!reason.is_empty());
                    }
                }
            }
        }
        Ok(())
    });
    tried.unwrap_or_else(|failed| panic!("{failed}"));
}
