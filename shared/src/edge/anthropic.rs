//! Answers for clients of Anthropic's API: its envelope of errors, its names of headers.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::log::RequestId;
use super::reject::LoggedRejection;
use crate::app::CallMetadata;
use crate::dialects::anthropic_messages;
use crate::model::clock::{Clock, Timestamp};
use crate::model::meter::{Rate, RateStatus};

/// The header by which a client tells that it speaks this API.
pub(super) const VERSION: &str = "anthropic-version";

/// The largest error that is written anew.
const MAX_ERROR_BYTES: usize = 1024 * 1024;

/// Whether the client of a request speaks Anthropic's API.
#[must_use]
pub fn is_anthropics(headers: &HeaderMap) -> bool {
    headers.contains_key(VERSION)
}

/// Writes the answers to Anthropic's clients as Anthropic does.
pub(super) async fn speak(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_its_route = path == "/v1/messages" || path.starts_with("/v1/messages/");
    if !is_its_route && !is_anthropics(request.headers()) {
        return next.run(request).await;
    }
    let request_id = request.extensions().get::<RequestId>().map(|RequestId(id)| id.clone()).unwrap_or_default();
    let mut response = next.run(request).await;
    if response.status().is_client_error() || response.status().is_server_error() {
        response = in_its_envelope(response, &request_id).await;
    }
    let of_call = response.extensions().get::<CallMetadata>().map(|metadata| metadata.rates);
    let rates = of_call.or_else(|| response.extensions().get::<LoggedRejection>()?.rates());
    let headers = response.headers_mut();
    set(headers, "request-id", &request_id);
    set_rates(headers, &rates.unwrap_or_default());
    response
}

/// The error in Anthropic's envelope. Its other members stay: the status, the headers, what the log reads.
async fn in_its_envelope(response: Response, request_id: &str) -> Response {
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, MAX_ERROR_BYTES).await.unwrap_or_default();
    let read: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |name: &str| read.pointer(&format!("/error/{name}")).and_then(Value::as_str);
    let Some(message) = text("message") else { return Response::from_parts(parts, Body::from(body)) };
    // Read from the answer, because a request that waits for another one with its key repeats that one's refusal.
    let budget_is_spent = parts.status == StatusCode::TOO_MANY_REQUESTS && text("code") == Some("budget_exceeded");
    if budget_is_spent {
        set_budget(&mut parts.headers, Clock::system().now());
    }
    let written = anthropic_messages::error(parts.status.as_u16(), message, text("code"), budget_is_spent, request_id);
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(written))
}

/// Tells Claude Code that no retry helps before the budget is filled again, with the next month.
fn set_budget(headers: &mut HeaderMap, now: Timestamp) {
    let reset = now.next_month();
    set(headers, "anthropic-ratelimit-unified-status", "rejected");
    set(headers, "anthropic-ratelimit-unified-overage-disabled-reason", "org_spend_cap_reached");
    set(headers, "anthropic-ratelimit-unified-reset", &reset.seconds().to_string());
    set(headers, "retry-after", &(now.until(reset) / 1_000).to_string());
}

/// Sets `anthropic-ratelimit-{requests,tokens}-{limit,remaining,reset}` for each limit that the project has.
fn set_rates(headers: &mut HeaderMap, rates: &RateStatus) {
    let now = Clock::system().now();
    let mut put = |rate: Option<Rate>, [limit, remaining, reset]: [&'static str; 3]| {
        let Some(rate) = rate else { return };
        set(headers, limit, &rate.limit.to_string());
        set(headers, remaining, &rate.remaining.to_string());
        set(headers, reset, &rfc3339(now, rate.reset));
    };
    put(
        rates.requests,
        [
            "anthropic-ratelimit-requests-limit",
            "anthropic-ratelimit-requests-remaining",
            "anthropic-ratelimit-requests-reset",
        ],
    );
    put(
        rates.tokens,
        [
            "anthropic-ratelimit-tokens-limit",
            "anthropic-ratelimit-tokens-remaining",
            "anthropic-ratelimit-tokens-reset",
        ],
    );
}

fn rfc3339(now: Timestamp, after: Duration) -> String {
    let seconds = i64::try_from(now.seconds().saturating_add(after.as_secs())).unwrap_or(i64::MAX);
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok();
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}
