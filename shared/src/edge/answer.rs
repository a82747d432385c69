//! Answers of model calls as responses, with the headers that weir adds to them.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{StreamExt as _, unfold};

use super::keep_alive::{KeepAlive, kept_alive};
use super::reject::Rejection;
use crate::app::{CallAnswer, CallMetadata, Error, FinalUsage, Made, Rate, RateStatus};
use crate::dialects::ContentType;
use crate::model::catalog::Catalog;
use crate::model::tokens::Charge;

/// The header with the cost of a call.
pub const COST: HeaderName = HeaderName::from_static("x-weir-cost-usd");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The name of the requested model in the catalog. The log and the metrics use it for calls without an answer.
#[derive(Clone)]
pub(super) struct RequestedModel(pub(super) String);

/// The response to a call of `requested_model`: the answer or the error.
#[must_use]
pub fn respond_to(
    catalog: &Catalog,
    requested_model: &str,
    answer: Result<CallAnswer, Error>,
    keep_alive: KeepAlive,
) -> Response {
    let mut response = match answer {
        Ok(answer) => respond(answer, keep_alive),
        Err(error) => refuse(error),
    };
    // A name that is not in the catalog is text of the client, and would be a new metric each time.
    if let Some(model) = catalog.model(requested_model) {
        response.extensions_mut().insert(RequestedModel(model.name.clone()));
    }
    response
}

/// The response to a call that failed: the error, and the charge if there is one.
fn refuse(error: Error) -> Response {
    let charge = error.charge();
    let mut response = Rejection::from(error).into_response();
    if let Some(Charge { usage, cost, .. }) = charge {
        set(response.headers_mut(), COST, &cost.to_string());
        response.extensions_mut().insert(FinalUsage { usage, cost, failed: true });
    }
    response
}

/// The response to a call that was answered and charged, and whose answer is of no use to the client: the error, with the facts
/// about the call.
#[must_use]
pub fn refuse_answer(metadata: CallMetadata, error: impl Into<Error>) -> Response {
    let mut response = Rejection::from(error.into()).into_response();
    let length = response.body().size_hint().exact();
    let headers = response.headers_mut();
    // The log takes a body without a length for a stream.
    headers.extend(length.map(|length| (header::CONTENT_LENGTH, HeaderValue::from(length))));
    set_metadata(headers, &metadata);
    set_rates(headers, &metadata.rates);
    response.extensions_mut().insert(metadata);
    response
}

/// The response to a call, with status 200. Its body never fails, because Lambda's runtime would write the error's text
/// into it.
#[must_use]
pub fn respond(answer: CallAnswer, keep_alive: KeepAlive) -> Response {
    let body = match answer.content_type {
        ContentType::EventStream => Body::from_stream(kept_alive(answer.body, keep_alive)),
        _ => {
            let pieces = unfold(answer.body, async |mut body| Some((body.recv().await?, body)));
            Body::from_stream(pieces.map(Ok::<_, std::convert::Infallible>))
        }
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type.name()));
    if let Some(length) = answer.length {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    if answer.content_type == ContentType::EventStream {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache")); // As OpenAI sends it.
    }
    set_metadata(headers, &answer.metadata);
    set_rates(headers, &answer.metadata.rates);
    response.extensions_mut().insert(answer.metadata);
    response
}

/// The response to a request that made an object. It says if an earlier request with the same key did.
pub fn made<T, R: IntoResponse>(made: Made<T>, answer: impl FnOnce(T) -> R) -> Response {
    let mut response = answer(made.object).into_response();
    if made.is_repeated {
        set(response.headers_mut(), REPLAYED, "true");
    }
    response
}

fn set_metadata(headers: &mut HeaderMap, metadata: &CallMetadata) {
    if let Some(cost) = metadata.cost {
        set(headers, COST, &cost.to_string());
    }
    if let Some(provider) = &metadata.provider {
        set(headers, HeaderName::from_static("x-weir-provider"), provider);
        set(headers, HeaderName::from_static("x-weir-attempts"), &metadata.attempts.to_string());
    }
    if metadata.replayed {
        set(headers, REPLAYED, "true");
    }
    set(headers, HeaderName::from_static("x-weir-cache"), metadata.cache.name());
    let millis = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1_000.0);
    let (admission, provider) = (millis(metadata.admission), millis(metadata.provider_time));
    let timing = format!("admission;dur={admission}, provider;dur={provider}");
    set(headers, HeaderName::from_static("server-timing"), &timing);
}

/// Sets `x-ratelimit-{limit,remaining,reset}-{requests,tokens}` for each limit that the project has.
pub(super) fn set_rates(headers: &mut HeaderMap, rates: &RateStatus) {
    let mut put = |rate: Option<Rate>, [limit, remaining, reset]: [&'static str; 3]| {
        let Some(rate) = rate else { return };
        headers.insert(limit, HeaderValue::from(rate.limit));
        headers.insert(remaining, HeaderValue::from(rate.remaining));
        set(headers, HeaderName::from_static(reset), &format_duration(rate.reset));
    };
    put(rates.requests, ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"]);
    put(rates.tokens, ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"]);
}

/// A duration in OpenAI's format: `12ms`, `1.5s`, `6m0s`.
fn format_duration(time: Duration) -> String {
    let ms = time.as_millis();
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..60_000 => format!("{}s", time.as_secs_f64()),
        _ => format!("{}m{}s", ms / 60_000, (ms % 60_000) / 1_000),
    }
}

/// Sets a header. Leaves it out if HTTP cannot carry the value, such as a provider's name with a line break.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::invalid::Invalid;
    use crate::model::money::MicroUsd;

    #[test]
    fn a_charged_answer_that_is_refused_tells_its_cost() {
        let metadata =
            CallMetadata { cost: Some(MicroUsd(20)), provider: Some("first".to_owned()), ..Default::default() };
        let response = refuse_answer(metadata, Invalid::field("input", "No."));
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(response.status(), 400);
        assert_eq!([header("x-weir-cost-usd"), header("x-weir-provider")], ["0.000020", "first"]);
        assert!(response.headers().contains_key("content-length"));
        assert!(response.extensions().get::<CallMetadata>().is_some_and(|metadata| metadata.cost.is_some()));
    }

    #[test]
    fn durations_have_the_format_of_openai() {
        for (ms, text) in [(12, "12ms"), (1_500, "1.5s"), (59_999, "59.999s"), (360_000, "6m0s")] {
            assert_eq!(format_duration(Duration::from_millis(ms)), text);
        }
    }
}
