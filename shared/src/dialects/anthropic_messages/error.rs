//! Errors in Anthropic's envelope.

use bytes::Bytes;
use serde_json::json;

use super::overflow::in_words_of_anthropic;

/// The body of an error: `{"type": "error", "error": {"type", "message"}, "request_id"}`. A `code` tells what to do where the type
/// does not: Anthropic's clients read it from `details.error_code`. A spent budget has a type of its own, because Claude Code then
/// shows the message and sends nothing more.
#[must_use]
pub fn error(status: u16, message: &str, code: Option<&str>, budget_is_spent: bool, request_id: &str) -> Bytes {
    let kind = if budget_is_spent { "billing_error" } else { kind_of(status) };
    let mut error = json!({"type": kind, "message": in_words_of_anthropic(message, code)});
    if let Some(code) = code {
        error["details"] = json!({"error_code": code});
    }
    json!({"type": "error", "error": error, "request_id": request_id}).to_string().into()
}

/// Anthropic's type of an error with this status.
fn kind_of(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 | 405 => "not_found_error",
        409 => "conflict_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        408 | 504 => "timeout_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_follows_from_the_status_except_for_budgets() {
        let expected =
            r#"{"error":{"message":"No.","type":"invalid_request_error"},"request_id":"req_1","type":"error"}"#;
        assert_eq!(error(422, "No.", None, false, "req_1"), expected);
        let expected = r#"{"error":{"details":{"error_code":"budget_exceeded"},"message":"No.","type":"billing_error"},"request_id":"req_1","type":"error"}"#;
        assert_eq!(error(429, "No.", Some("budget_exceeded"), true, "req_1"), expected);
    }

    #[test]
    fn a_prompt_that_is_too_long_is_told_in_the_words_that_claude_code_reads() {
        let expected = r#"{"error":{"details":{"error_code":"context_length_exceeded"},"message":"prompt is too long. No.","type":"invalid_request_error"},"request_id":"req_1","type":"error"}"#;
        assert_eq!(error(400, "No.", Some("context_length_exceeded"), false, "req_1"), expected);
    }
}
