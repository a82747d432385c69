//! The usage of a response.

use serde_json::{Map, Value};
use shared::model::tokens::Usage;

use crate::openai::map;

/// The names that the counts have in a chat completion.
const NAMES: [(&str, &str); 5] = [
    ("input_tokens", "prompt_tokens"),
    ("input_tokens_details", "prompt_tokens_details"),
    ("output_tokens", "completion_tokens"),
    ("output_tokens_details", "completion_tokens_details"),
    ("total_tokens", "total_tokens"),
];

/// Reads the `usage` of a response; `None` if it has no counts. Its details have the names of a chat completion's.
pub(super) fn read(usage: &Value) -> Option<Usage> {
    let renamed: Map<String, Value> =
        NAMES.into_iter().filter_map(|(name, in_chat)| Some((in_chat.to_owned(), usage.get(name)?.clone()))).collect();
    map::usage(&Value::Object(renamed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_are_those_of_a_chat_completion() {
        let json = r#"{"input_tokens":20,"input_tokens_details":{"cached_tokens":4,"cache_write_tokens":5,"cache_write_tokens_details":{"ttl_30m_tokens":2,"ttl_12h_tokens":3}},"output_tokens":9,"output_tokens_details":{"reasoning_tokens":6},"total_tokens":29}"#;
        let expected = Usage {
            input: 20,
            cached_input: 4,
            cache_write: 5,
            cache_write_30m: 2,
            cache_write_12h: 3,
            output: 9,
            reasoning: 6,
            ..Usage::default()
        };
        assert_eq!(read(&serde_json::from_str(json).unwrap()), Some(expected));
        // xAI counts the thoughts beside the output.
        let beside =
            r#"{"input_tokens":20,"output_tokens":3,"output_tokens_details":{"reasoning_tokens":6},"total_tokens":29}"#;
        assert_eq!(read(&serde_json::from_str(beside).unwrap()).map(|usage| usage.output), Some(9));
        assert_eq!(read(&Value::Null), None);
        assert_eq!(read(&serde_json::json!({"prompt_tokens": 1})), None);
    }
}
