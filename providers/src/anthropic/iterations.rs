//! The tokens of an answer that Anthropic counts apart: `usage.iterations`, a beta.

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use shared::model::tokens::Usage;

use super::wire::Counts;

/// The entries of `usage.iterations`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Iterations {
    /// The sum of the entries of the type `compaction`, which the counts beside the list do not have. They have the other entries,
    /// also those of another model such as `advisor_message`: these cost what the called model costs, because a call has one price.
    pub(super) compactions: Usage,
    /// The longest prompt of the called model. Its length decides on the rates of all entries, so the shorter ones may cost more
    /// here than at Anthropic, and none less.
    pub(super) longest_prompt: u64,
}

/// Reads the list; `None` if it is none.
pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Iterations>, D::Error> {
    let Value::Array(entries) = Value::deserialize(deserializer)? else { return Ok(None) };
    let mut read = Iterations::default();
    for entry in entries {
        let is_compaction = entry["type"] == "compaction";
        if !is_compaction && entry["type"] != "message" {
            continue;
        }
        let Ok(usage) = Counts::deserialize(entry).map(|counts| counts.usage()) else { continue };
        read.longest_prompt = read.longest_prompt.max(usage.input);
        if is_compaction {
            read.compactions += usage;
        }
    }
    Ok(Some(read))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shared::model::tokens::Served;

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
            served: Served { longest_prompt: 120, ..Served::default() },
            ..Usage::default()
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
