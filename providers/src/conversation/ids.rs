//! The ids of tool calls in a history.

use shared::model::id;

/// Bedrock's limit.
const MAX_LENGTH: usize = 64;

/// The id under which a provider is told of a tool call. Anthropic and Bedrock take letters, digits, `_` and `-` only;
/// other providers also make ids such as `functions.weather:0`. An id that they would refuse becomes a hash of it: the
/// same for the call and its result, and another for each id.
pub(crate) fn accepted(id: String) -> String {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if (1..=MAX_LENGTH).contains(&id.len()) && id.bytes().all(fits) {
        return id;
    }
    id::derive("call_", &[&id])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_is_accepted() {
        for id in ["a", "call_1", "toolu_01-B", &"a".repeat(64)] {
            assert_eq!(accepted(id.to_owned()), id);
        }
    }

    #[test]
    fn other_ids_become_a_hash_that_is_accepted_and_their_own() {
        let long = "a".repeat(65);
        let ids = ["", "functions.weather:0", "functions.weather:1", "functions_weather:0", "é", "a b", &long];
        let mapped: std::collections::BTreeSet<_> = ids.iter().map(|id| accepted((*id).to_owned())).collect();
        assert_eq!(mapped.len(), ids.len());
        assert!(mapped.iter().all(|id| accepted(id.clone()) == *id && id.starts_with("call_")), "{mapped:?}");
    }
}
