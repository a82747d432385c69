//! Why a message ended.

use shared::model::provider::Failure;

use crate::http::ended_with_error;

/// The `stop_reason` for a `finish_reason`. Some servers say `stop` although there are calls, and some say nothing. Which stop sequence
/// was found is not told.
///
/// # Errors
/// `Unavailable` if the provider says that the answer ended with an error.
pub(super) fn reason(finish: Option<&str>, was_refused: bool, has_calls: bool) -> Result<&'static str, Failure> {
    Ok(match finish {
        Some("error") => return Err(ended_with_error()),
        Some("length") => "max_tokens",
        Some("content_filter") => "refusal",
        _ if was_refused => "refusal",
        _ if has_calls => "tool_use",
        _ => "end_turn",
    })
}

/// Whether an answer that ends for this reason may end within a block: at the limit of its output, or at the word of a filter.
pub(super) fn is_cut(reason: &str) -> bool {
    matches!(reason, "max_tokens" | "refusal")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_counterpart() {
        for (finish, was_refused, has_calls, expected) in [
            (Some("stop"), false, false, "end_turn"),
            (Some("stop"), false, true, "tool_use"),
            (Some("tool_calls"), false, true, "tool_use"),
            (None, false, true, "tool_use"),
            (None, false, false, "end_turn"),
            (Some("a_later_one"), false, false, "end_turn"),
            (Some("length"), false, true, "max_tokens"),
            (Some("content_filter"), false, false, "refusal"),
            (Some("stop"), true, false, "refusal"),
        ] {
            assert_eq!(reason(finish, was_refused, has_calls).unwrap(), expected, "{finish:?}");
        }
        assert!(matches!(reason(Some("error"), false, false), Err(Failure::Unavailable { status: 500, .. })));
    }
}
