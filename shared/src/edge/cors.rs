//! Pages in browsers: which origins may read answers, and the answers to preflights.

use std::str::FromStr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::uri::Uri;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use futures_util::stream;
use tower::{Layer as _, ServiceExt as _};
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer};

/// The longest time for which browsers keep the answer to a preflight. Each one that they save is one invocation less.
const KEPT: Duration = Duration::from_secs(7_200);

/// The headers of answers that scripts may read. Without this list a browser hides them. Browsers show `content-type`,
/// `cache-control` and the like to every script.
const EXPOSED: [HeaderName; 21] = [
    header::ALLOW,
    header::ETAG,
    header::RETRY_AFTER,
    HeaderName::from_static("idempotent-replayed"),
    HeaderName::from_static("openai-processing-ms"),
    HeaderName::from_static("openai-version"),
    HeaderName::from_static("retry-after-ms"),
    HeaderName::from_static("server-timing"),
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-should-retry"),
    HeaderName::from_static("x-weir-attempts"),
    HeaderName::from_static("x-weir-cache"),
    HeaderName::from_static("x-weir-cost-usd"),
    HeaderName::from_static("x-weir-provider"),
    // API Gateway adds it.
    HeaderName::from_static("x-amzn-requestid"),
];

/// The origins whose pages may read answers. The key still decides which requests are answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// No page may: answers have no `access-control-*` headers.
    #[default]
    None,
    Any,
    Listed(Vec<HeaderValue>),
}

/// A text that is no origin as browsers send it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{origin}` is no origin: {reason}")]
pub struct OriginError {
    origin: String,
    reason: &'static str,
}

impl FromStr for AllowedOrigins {
    type Err = OriginError;

    /// Reads `*`, or origins between commas. The empty text allows none.
    fn from_str(text: &str) -> Result<Self, OriginError> {
        let origins: Vec<&str> = text.split(',').map(str::trim).filter(|origin| !origin.is_empty()).collect();
        match origins[..] {
            [] => Ok(Self::None),
            ["*"] => Ok(Self::Any),
            _ => Ok(Self::Listed(origins.into_iter().map(parse_origin).collect::<Result<_, _>>()?)),
        }
    }
}

/// Browsers compare whole origins, so one that no browser would send is an error of the operator.
fn parse_origin(origin: &str) -> Result<HeaderValue, OriginError> {
    let wrong = |reason| OriginError { origin: origin.to_owned(), reason };
    if origin == "*" {
        return Err(wrong("`*` allows every origin and stands alone"));
    }
    let expected = "expected a scheme and a host, such as `https://app.example.com`";
    let uri: Uri = origin.parse().map_err(|_| wrong(expected))?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(wrong(expected)) };
    if authority.as_str().contains('@') || authority.host().is_empty() {
        return Err(wrong(expected));
    }
    if authority.as_str().contains('*') {
        return Err(wrong("origins are compared as a whole, so list each host"));
    }
    if format!("{scheme}://{authority}").len() != origin.len() {
        return Err(wrong("leave out everything after the host and the port, the slash too"));
    }
    if origin.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(wrong("browsers send scheme and host in lower case"));
    }
    if matches!((scheme, authority.port_u16()), ("http", Some(80)) | ("https", Some(443))) {
        return Err(wrong("browsers leave out the port that the scheme has by default"));
    }
    HeaderValue::from_str(origin).map_err(|_| wrong(expected))
}

impl AllowedOrigins {
    /// The request headers on which answers depend: `vary`.
    pub(super) fn vary(&self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::None => "authorization, x-api-key",
            Self::Any | Self::Listed(_) => "authorization, x-api-key, origin",
        })
    }

    fn layer(&self) -> Option<CorsLayer> {
        let origins = match self {
            Self::None => return None,
            Self::Any => AllowOrigin::any(),
            Self::Listed(origins) => AllowOrigin::list(origins.iter().cloned()),
        };
        // The SDKs send many headers of their own, and more with each version. No cookie or password is among them, so
        // a page can send nothing that its script does not know. `*` would leave out `authorization`. Each method is
        // allowed, so that scripts can read the 405.
        let layer = CorsLayer::new().allow_headers(AllowHeaders::mirror_request());
        let layer = layer.allow_methods(AllowMethods::mirror_request()).expose_headers(EXPOSED).max_age(KEPT);
        Some(layer.allow_origin(origins))
    }

    /// Lets pages of these origins read every answer of `router`, and answers their preflights.
    pub(super) fn share(&self, router: Router) -> Router {
        let Some(layer) = self.layer() else { return router };
        router.layer(middleware::from_fn(move |request, next| answer(layer.clone(), request, next)))
    }
}

/// A preflight is answered here. It has no key, and it is no request of a client: it gets no log line and no metric.
/// Requests without an origin come from no page.
async fn answer(cors: CorsLayer, mut request: Request, next: Next) -> Response {
    if !request.headers().contains_key(header::ORIGIN) {
        return next.run(request).await;
    }
    let method = request.method().clone();
    let is_preflight =
        method == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if method == Method::OPTIONS && !is_preflight {
        *request.method_mut() = Method::GET; // The layer takes every OPTIONS for a preflight.
    }
    let inner = next.map_request(move |mut request: Request| {
        *request.method_mut() = method.clone();
        request
    });
    let answered = cors.layer(inner).oneshot(request).await;
    let mut response = answered.unwrap_or_else(|never| match never {});
    if is_preflight {
        *response.status_mut() = StatusCode::NO_CONTENT;
        *response.body_mut() = no_body();
    }
    response
}

/// The body of an answer whose status permits none. axum would state the length of an empty one, 0, and HTTP forbids
/// that with 204 and 304.
pub(super) fn no_body() -> Body {
    Body::from_stream(stream::empty::<Result<bytes::Bytes, std::convert::Infallible>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_none_any_or_a_list() {
        let read = |text: &str| text.parse::<AllowedOrigins>();
        assert_eq!((read(""), read(" , ")), (Ok(AllowedOrigins::None), Ok(AllowedOrigins::None)));
        assert_eq!(read(" * "), Ok(AllowedOrigins::Any));
        let listed = ["https://app.example.com", "http://localhost:5173", "tauri://localhost", "http://[::1]:8080"];
        let values = listed.map(HeaderValue::from_static).to_vec();
        assert_eq!(read(&listed.join(" ,")), Ok(AllowedOrigins::Listed(values)));
    }

    #[test]
    fn an_origin_that_no_browser_sends_is_refused_by_name() {
        for (text, reason) in [
            ("*,https://a.example", "stands alone"),
            ("app.example.com", "expected a scheme"),
            ("https://", "expected a scheme"),
            ("https://a b.example", "expected a scheme"),
            ("https://bücher.example", "expected a scheme"),
            ("https://user@a.example", "expected a scheme"),
            ("null", "expected a scheme"),
            ("https://*.example.com", "list each host"),
            ("https://a.example/", "leave out"),
            ("https://a.example/app", "leave out"),
            ("https://a.example?x", "leave out"),
            ("https://A.example", "lower case"),
            ("https://a.example:443", "by default"),
            ("http://a.example:80", "by default"),
        ] {
            let error = text.parse::<AllowedOrigins>().unwrap_err().to_string();
            assert!(error.contains("` is no origin: ") && error.contains(reason), "{text}: {error}");
        }
    }
}
