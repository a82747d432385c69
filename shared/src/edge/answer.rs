//! What weir says about a call in the headers of its answer.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{StreamExt as _, unfold};

use super::reject::Rejection;
use crate::app::{Answer, CallMetadata, Error, Gateway, Rate, RateStatus};

/// The model that a request asked for, as the catalog names it: for the log and the metrics of calls that got no answer.
#[derive(Clone)]
pub(super) struct Asked(pub(super) String);

/// The answer to a call of the model `asked`, or why there is none.
#[must_use]
pub fn respond_to(gateway: &Gateway, asked: &str, answer: Result<Answer, Error>) -> Response {
    let mut response = match answer {
        Ok(answer) => respond(answer),
        Err(error) => Rejection::from(error).into_response(),
    };
    // A name that is in no catalog could be anything.
    if let Some(model) = gateway.catalog().model(asked) {
        response.extensions_mut().insert(Asked(model.name.clone()));
    }
    response
}

/// The answer to a model call. Its body never fails: Lambda's runtime would write the error's text into it.
#[must_use]
pub fn respond(answer: Answer) -> Response {
    let chunks = unfold(answer.body, async |mut body| Some((body.recv().await?, body)));
    let body = Body::from_stream(chunks.map(Ok::<_, std::convert::Infallible>));
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    set(headers, header::CONTENT_TYPE, &answer.content_type);
    if let Some(length) = answer.length {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    } else {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
    fact_headers(headers, &answer.facts);
    rate_headers(headers, &answer.facts.rates);
    response.extensions_mut().insert(answer.facts);
    response
}

fn fact_headers(headers: &mut HeaderMap, facts: &CallMetadata) {
    if let Some(cost) = facts.cost {
        set(headers, HeaderName::from_static("x-weir-cost-usd"), &cost.to_string());
    }
    if let Some(provider) = &facts.provider {
        set(headers, HeaderName::from_static("x-weir-provider"), provider);
        set(headers, HeaderName::from_static("x-weir-attempts"), &facts.attempts.to_string());
    }
    if facts.replayed {
        set(headers, HeaderName::from_static("idempotent-replayed"), "true");
    }
    set(headers, HeaderName::from_static("x-weir-cache"), facts.cache.name());
    let millis = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1_000.0);
    let timing = format!("admission;dur={}, provider;dur={}", millis(facts.admission), millis(facts.provider_time));
    set(headers, HeaderName::from_static("server-timing"), &timing);
}

/// `x-ratelimit-{limit,remaining,reset}-{requests,tokens}` where the project has that limit.
pub(super) fn rate_headers(headers: &mut HeaderMap, rates: &RateStatus) {
    let mut put = |rate: Option<Rate>, [limit, remaining, reset]: [&'static str; 3]| {
        let Some(rate) = rate else { return };
        headers.insert(limit, HeaderValue::from(rate.limit));
        headers.insert(remaining, HeaderValue::from(rate.remaining));
        set(headers, HeaderName::from_static(reset), &duration(rate.reset));
    };
    put(rates.requests, ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"]);
    put(rates.tokens, ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"]);
}

/// A duration as OpenAI writes it: `12ms`, `1.5s`, `6m0s`.
fn duration(time: Duration) -> String {
    let ms = time.as_millis();
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..60_000 => format!("{}s", time.as_secs_f64()),
        _ => format!("{}m{}s", ms / 60_000, (ms % 60_000) / 1_000),
    }
}

/// Sets a header; a value that HTTP cannot carry (a provider's name with a line break) is left out.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_openai_does() {
        for (ms, text) in [(12, "12ms"), (1_500, "1.5s"), (59_999, "59.999s"), (360_000, "6m0s")] {
            assert_eq!(duration(Duration::from_millis(ms)), text);
        }
    }
}
