//! Turns a provider's HTTP errors into a [`Failure`].

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use serde_json::Value;
use shared::model::clock::Timestamp;
use shared::model::provider::{Failure, ProviderRefusal};
use shared::model::retry_after::{retry_after_ms, retry_after_ms_header};

use super::google::GoogleError;
use super::overflow;

/// The longest text that is taken from an error that is not JSON.
const MAX_TEXT_CHARS: usize = 300;

/// The inner object of an error, as OpenAI, Anthropic and their imitators write it.
///
/// Members are values because imitators put numbers where OpenAI has strings.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ErrorBody {
    #[serde(default)]
    message: Value,
    #[serde(default, rename = "type")]
    kind: Value,
    #[serde(default)]
    param: Value,
    #[serde(default)]
    code: Value,
}

impl ErrorBody {
    /// Reads the value of an `error` member: an object, or only the message. `None` for `null` and `false`.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Null | Value::Bool(false) => None,
            Value::Object(_) => serde_json::from_value(value.clone()).ok(),
            other => Some(Self { message: other.clone(), ..Self::default() }),
        }
    }

    fn refusal(&self) -> ProviderRefusal {
        ProviderRefusal {
            message: text(&self.message).unwrap_or_else(|| "the provider gave no reason".to_owned()),
            kind: text(&self.kind),
            param: text(&self.param),
            code: text(&self.code),
        }
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// A refused key. Leaves out the provider's message: callers would read it, and it may quote the key.
pub(crate) fn unauthorized_failure() -> Failure {
    Failure::Unauthorized { message: "it was refused; tell the operator".to_owned() }
}

/// A refused request. The words of the provider are for callers only if they are about the request. With another status
/// they may name the operator's account: "organization org-1 has no access to this model".
pub(crate) fn refused_failure(status: u16, refusal: ProviderRefusal) -> Failure {
    let refusal = match status {
        400 | 413 | 422 => overflow::with_code(refusal),
        _ => {
            let message = format!("The provider refused the request with status {status}; tell the operator.");
            ProviderRefusal { message, kind: refusal.kind, ..ProviderRefusal::default() }
        }
    };
    Failure::Refused { status, refusal }
}

/// The failure for an answer with an error status.
pub(super) fn failure_of_status(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Failure {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let inner = inner(&json);
    let google = GoogleError::of(inner);
    let retry_after = retry_after.or_else(|| google.as_ref()?.retry_after());
    let refusal = match &google {
        Some(google) if google.refuses_key() => return unauthorized_failure(),
        Some(google) => google.refusal(),
        None => refusal(status, inner, body),
    };
    match status {
        401 => unauthorized_failure(),
        429 => Failure::Throttled { message: refusal.message, retry_after },
        408 | 500.. => Failure::Unavailable { status, message: refusal.message, retry_after },
        400.. => refused_failure(status, refusal),
        _ => Failure::Unavailable { status, message: "a redirect, which weir does not follow".to_owned(), retry_after },
    }
}

/// The failure for an error inside a stream, or inside an answer with status 200.
pub(crate) fn failure_of_event(error: &ErrorBody) -> Failure {
    let refusal = overflow::with_code(error.refusal());
    let is = |words: &[&str]| {
        let matches = |text: &Option<String>| text.as_ref().is_some_and(|text| words.contains(&text.as_str()));
        matches(&refusal.kind) || matches(&refusal.code)
    };
    if is(&["rate_limit_error", "rate_limit_exceeded", "insufficient_quota", "429"]) {
        return Failure::Throttled { message: refusal.message, retry_after: None };
    }
    if is(&["authentication_error", "invalid_api_key", "401"]) {
        return unauthorized_failure();
    }
    if is(&["invalid_request_error", "content_filter", "context_length_exceeded", "400"]) {
        return Failure::Refused { status: 400, refusal };
    }
    let status = match refusal.code.as_ref().and_then(|code| code.parse().ok()) {
        _ if is(&["overloaded_error"]) => 529,
        Some(status @ 500..600) => status,
        _ => 500,
    };
    Failure::Unavailable { status, message: refusal.message, retry_after: None }
}

/// The failure for an answer whose `finish_reason` is `error`.
pub(crate) fn ended_with_error() -> Failure {
    Failure::Unavailable { status: 500, message: "the answer ended with an error".to_owned(), retry_after: None }
}

/// The failure for an error of Google's APIs inside a stream, or inside an answer with status 200. It has the status that
/// the answer would have had.
pub(crate) fn failure_of_google(error: &Value) -> Failure {
    let status = error["code"].as_u64().and_then(|code| u16::try_from(code).ok()).filter(|code| *code >= 400);
    failure_of_status(status.unwrap_or(500), None, error.to_string().as_bytes())
}

/// The inner object of an error. Google's APIs also send a list with one error.
fn inner(json: &Value) -> &Value {
    let error = json.get(0).unwrap_or(json);
    error.get("error").unwrap_or(error)
}

fn refusal(status: u16, inner: &Value, body: &[u8]) -> ProviderRefusal {
    match ErrorBody::of(inner).filter(|_| inner.is_object() || inner.is_string()) {
        Some(error) => error.refusal(),
        None => ProviderRefusal { message: short(status, body), ..ProviderRefusal::default() },
    }
}

/// The start of a body that is not JSON, on one line.
fn short(status: u16, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() {
        return format!("status {status} without a body");
    }
    match text.char_indices().nth(MAX_TEXT_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// The time that the provider asks to wait: `retry-after-ms`, else `retry-after`.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let header = |name: &str| headers.get(name)?.to_str().ok();
    let wait_ms = header("retry-after-ms").and_then(retry_after_ms_header);
    wait_ms.or_else(|| retry_after_ms(header(RETRY_AFTER.as_str())?, now)).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderName;

    use super::*;

    #[test]
    fn prefers_retry_after_in_milliseconds() {
        let check = |headers: &[(&'static str, &str)], expected: Option<u64>| {
            let headers = headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
            let found = retry_after(&headers.collect(), Timestamp(0));
            assert_eq!(found, expected.map(Duration::from_millis));
        };
        check(&[("retry-after-ms", "250"), ("retry-after", "9")], Some(250));
        check(&[("retry-after-ms", "soon"), ("retry-after", "1.5")], Some(1_500));
        check(&[("retry-after", "Thu, 01 Jan 1970 00:00:10 GMT")], Some(10_000));
        check(&[], None);
    }

    #[track_caller]
    fn check(status: u16, body: &str, expected: &str) {
        assert_eq!(failure_of_status(status, None, body.as_bytes()).to_string(), expected);
    }

    #[test]
    fn words_about_the_request_are_passed_on_and_words_about_the_account_are_not() {
        for status in [403, 404, 409, 424] {
            let told = format!(
                "the provider refused with {status}: The provider refused the request with status {status}; tell the operator."
            );
            check(
                status,
                r#"{"error":{"message":"org-1 has no access to x","type":"t","param":"p","code":"c"}}"#,
                &told,
            );
        }
        check(
            400,
            r#"{"error":{"message":"no","type":"t","param":null,"code":7}}"#,
            "the provider refused with 400: no",
        );
        check(422, r#"{"message":"flat","type":"x"}"#, "the provider refused with 422: flat");
        check(
            401,
            r#"{"error":{"message":"bad key"}}"#,
            "the provider does not accept its key: it was refused; tell the operator",
        );
        check(429, r#"{"error":{"message":"slow down","code":"insufficient_quota"}}"#, "the provider throttles");
        check(400, r#"[{"error":{"message":"in a list"}}]"#, "the provider refused with 400: in a list");
        check(408, "", "the provider answered 408");
        check(502, "<html>\n <b>Bad\tGateway</b>", "the provider answered 502");
        check(307, "", "the provider answered 307");
        check(400, "[1]", "the provider refused with 400: [1]");
    }

    #[test]
    fn cuts_a_long_page_between_characters() {
        let page = "ä".repeat(1_000);
        assert_eq!(short(500, page.as_bytes()), format!("{}...", "ä".repeat(300)));
    }
}
