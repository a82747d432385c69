//! From a provider's HTTP error to a [`Failure`].

use std::time::Duration;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use serde_json::Value;
use shared::model::clock::Timestamp;
use shared::model::provider::{Failure, Refusal};

/// Longest text taken from an error that is not JSON.
const MAX_TEXT_CHARS: usize = 300;

/// The inner object of an error, as OpenAI, Anthropic and those who imitate them write it.
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
    /// Reads the value of an `error` member: an object, or the message alone. `None` if it says that there is no error.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Null | Value::Bool(false) => None,
            Value::Object(_) => serde_json::from_value(value.clone()).ok(),
            other => Some(Self { message: other.clone(), ..Self::default() }),
        }
    }

    fn refusal(&self) -> Refusal {
        Refusal {
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

/// The provider's own words may quote the key, and callers read them.
pub(crate) fn key_refused() -> Failure {
    Failure::Unauthorized { message: "it was refused; tell the operator".to_owned() }
}

/// What an answer with an error status means.
pub(super) fn failure_of_status(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Failure {
    let refusal = refusal(status, body);
    match status {
        401 => key_refused(),
        429 => Failure::Throttled { message: refusal.message, retry_after },
        408 | 500.. => Failure::Unavailable { status, message: refusal.message, retry_after },
        400.. => Failure::Refused { status, refusal },
        _ => Failure::Malformed(format!("status {status}")),
    }
}

/// What an error inside a stream or inside an answer with status 200 means.
pub(crate) fn failure_of_event(error: &ErrorBody) -> Failure {
    let refusal = error.refusal();
    let is = |words: &[&str]| {
        let matches = |text: &Option<String>| text.as_ref().is_some_and(|text| words.contains(&text.as_str()));
        matches(&refusal.kind) || matches(&refusal.code)
    };
    if is(&["rate_limit_error", "rate_limit_exceeded", "insufficient_quota", "429"]) {
        return Failure::Throttled { message: refusal.message, retry_after: None };
    }
    if is(&["authentication_error", "invalid_api_key", "401"]) {
        return key_refused();
    }
    if is(&["invalid_request_error", "content_filter", "context_length_exceeded", "400"]) {
        return Failure::Refused { status: 400, refusal };
    }
    let status = if is(&["overloaded_error", "529"]) { 529 } else { 500 };
    Failure::Unavailable { status, message: refusal.message, retry_after: None }
}

fn refusal(status: u16, body: &[u8]) -> Refusal {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let inner = json.as_ref().map(|json| json.get("error").unwrap_or(json));
    if let Some(error) = inner.filter(|inner| !inner.is_array()).and_then(ErrorBody::of) {
        return error.refusal();
    }
    Refusal { message: short(status, body), ..Refusal::default() }
}

/// The beginning of a body that is not JSON, on one line.
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

/// When the provider wants to be asked again: `retry-after-ms`, else `retry-after` in seconds or as a date.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let header = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let millis = header("retry-after-ms").and_then(|text| text.parse::<f64>().ok()).map(|ms| ms / 1_000.0);
    let text = header(RETRY_AFTER.as_str());
    let seconds = millis.or_else(|| text?.parse().ok()).or_else(|| until(text?, now))?;
    Duration::try_from_secs_f64(seconds.max(0.0)).ok()
}

fn until(date: &str, now: Timestamp) -> Option<f64> {
    let date = DateTime::from_str(date, Format::HttpDate).ok()?;
    let date = Timestamp(u64::try_from(date.to_millis().ok()?).ok()?);
    Some(Duration::from_millis(now.until(date)).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn reads_when_to_come_back_in_three_spellings() {
        let now = Timestamp(1_445_412_470_000); // Wed, 21 Oct 2015 07:27:50 GMT
        let check = |name, value, expected: Option<u64>| {
            assert_eq!(retry_after(&headers(name, value), now), expected.map(Duration::from_millis), "{value}");
        };
        check("retry-after-ms", "250", Some(250));
        check("retry-after", "1.5", Some(1_500));
        check("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT", Some(10_000));
        check("retry-after", "Wed, 21 Oct 2015 07:00:00 GMT", Some(0));
        check("retry-after", "-3", Some(0));
        check("retry-after", "soon", None);
        check("retry-after", "NaN", Some(0));
    }

    #[track_caller]
    fn check(status: u16, body: &str, expected: &str) {
        assert_eq!(failure_of_status(status, None, body.as_bytes()).to_string(), expected);
    }

    #[test]
    fn says_what_the_provider_said() {
        check(
            400,
            r#"{"error":{"message":"no","type":"t","param":null,"code":7}}"#,
            "the provider refused with 400: no",
        );
        check(404, r#"{"error":"model not found"}"#, "the provider refused with 404: model not found");
        check(422, r#"{"message":"flat","type":"x"}"#, "the provider refused with 422: flat");
        check(
            401,
            r#"{"error":{"message":"bad key"}}"#,
            "the provider does not accept its key: it was refused; tell the operator",
        );
        check(
            429,
            r#"{"error":{"message":"slow down","code":"insufficient_quota"}}"#,
            "the provider throttles: slow down",
        );
        check(408, "", "the provider answered 408: status 408 without a body");
        check(502, "<html>\n <b>Bad\tGateway</b>", "the provider answered 502: <html> <b>Bad Gateway</b>");
        check(307, "", "the provider's answer is not understood: status 307");
        check(400, "[1]", "the provider refused with 400: [1]");
    }

    #[test]
    fn cuts_a_long_page_between_characters() {
        let page = "ä".repeat(1_000);
        assert_eq!(short(500, page.as_bytes()), format!("{}...", "ä".repeat(300)));
    }
}
