//! The tokens of an answer that Anthropic counts apart: `usage.iterations`, a beta.

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use shared::model::tokens::Usage;

use super::wire::Counts;

/// The sum of the entries of the type `compaction`, which the counts beside the list do not have. They have the other entries, also those
/// of another model such as `advisor_message`: these cost what the called model costs, because a call has one price.
pub(super) fn compactions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Usage>, D::Error> {
    let Value::Array(entries) = Value::deserialize(deserializer)? else { return Ok(None) };
    let mut sum = Usage::default();
    for entry in entries.into_iter().filter(|entry| entry["type"] == "compaction") {
        if let Ok(counts) = Counts::deserialize(entry) {
            sum += counts.usage();
        }
    }
    Ok(Some(sum))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_compactions_are_added() {
        let counts = json!({
            "input_tokens": 10, "output_tokens": 5, "iterations": [
                {"type": "compaction", "input_tokens": 100, "cache_read_input_tokens": 20, "output_tokens": 30},
                {"type": "message", "input_tokens": 10, "output_tokens": 5},
                {"type": "advisor_message", "model": "other", "input_tokens": 7, "output_tokens": 7},
                {"type": "compaction", "input_tokens": 1, "cache_creation_input_tokens": 4,
                    "cache_creation": {"ephemeral_1h_input_tokens": 3}},
            ],
        });
        let usage = serde_json::from_value::<Counts>(counts).unwrap().usage();
        let expected = Usage {
            input: 135,
            cached_input: 20,
            cache_write: 4,
            cache_write_1h: 3,
            output: 35,
            reasoning: 0,
            pieces: 0,
        };
        assert_eq!(usage, expected);
    }

    #[test]
    fn other_lists_are_none() {
        for iterations in [json!(null), json!("a"), json!([1, {"type": "compaction", "input_tokens": "a"}])] {
            let counts = json!({"input_tokens": 1, "iterations": iterations});
            assert_eq!(serde_json::from_value::<Counts>(counts).unwrap().usage().input, 1);
        }
    }
}
