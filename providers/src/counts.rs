//! Counts of tokens in answers.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Counts above this are not exact as floats. No answer has as many tokens.
const MAX: f64 = 9_007_199_254_740_992.0;

/// Reads a count. Some servers write counts as floats, `12.0`. A part of a token counts as a whole one.
pub(crate) fn read(value: &Value) -> Option<u64> {
    let float = || value.as_f64().filter(|count| (0.0..=MAX).contains(count));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
    let whole = |count: f64| count.ceil() as u64;
    value.as_u64().or_else(|| float().map(whole))
}

/// Reads the member of a struct; `None` if it is no count.
pub(crate) fn member<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(read(&Value::deserialize(deserializer)?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn floats_are_counts() {
        for (value, expected) in [
            (json!(12), Some(12)),
            (json!(12.0), Some(12)),
            (json!(12.5), Some(13)),
            (json!(0.0), Some(0)),
            (json!(u64::MAX), Some(u64::MAX)),
            (json!(-1), None),
            (json!(1e300), None),
            (json!("12"), None),
            (json!(null), None),
        ] {
            assert_eq!(read(&value), expected, "{value}");
        }
    }
}
