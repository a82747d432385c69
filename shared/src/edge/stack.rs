//! The layers that every function shares, and the answers to requests that match no route.

use axum::Router;
use axum::extract::OriginalUri;
use axum::http::{HeaderMap, Method};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;

use super::anthropic;
use super::config::HttpConfig;
use super::copies::forbid_copies;
use super::input::finish_body;
use super::log::log;
use super::reject::Rejection;
use super::spelling::tolerate;

/// Wraps a router, or several that were merged, in the layers that every function shares.
///
/// A request meets them in this order. `Router::layer` nests inside out, so the calls below are in reverse.
/// 1. `BasePath::strip`: removes the base path of a custom domain, before a route is chosen
/// 2. `tolerate`: gives a path that no route has the spelling of a route
/// 3. `forbid_copies`: sets `cache-control` and `vary` of every answer
/// 4. `AllowedOrigins::share`: lets pages in browsers read every answer, and answers their preflights
/// 5. `log`: gives every request an id and one log line, also if an inner layer refuses it
/// 6. `anthropic::speak`: writes errors and headers for Anthropic's clients as Anthropic does
/// 7. `CatchPanicLayer`: answers a panic with 500 in OpenAI's envelope instead of closing the connection
/// 8. `finish_body`: refuses a body that is declared to be larger than its route takes, with 413, and reads what the handler
///    left of a body
///
/// No layer checks keys: the extractors `Caller` and `Admin` do, which handlers take before the body. So no body is kept in
/// memory before the key is known.
pub fn stack(router: Router, http: &HttpConfig) -> Router {
    let refusing = router.fallback(refuse_unknown_route).method_not_allowed_fallback(refuse_method);
    let logged = refusing
        .layer(middleware::from_fn(finish_body))
        .layer(CatchPanicLayer::custom(|_| Rejection::Panicked.into_response()))
        .layer(middleware::from_fn(anthropic::speak))
        .layer(middleware::from_fn(log));
    let shared = http.allowed_origins.share(logged);
    http.base_path.strip(tolerate(forbid_copies(shared, http.allowed_origins.vary())))
}

async fn refuse_unknown_route(method: Method, OriginalUri(uri): OriginalUri) -> Response {
    Rejection::UnknownRoute { method: method.to_string(), path: uri.path().to_owned() }.into_response()
}

async fn refuse_method(method: Method, OriginalUri(uri): OriginalUri, headers: HeaderMap) -> Response {
    if wants_websocket(&headers) {
        return Rejection::WebSocket.into_response();
    }
    Rejection::WrongMethod { method: method.to_string(), path: uri.path().to_owned() }.into_response()
}

/// Whether a request begins a WebSocket, or would on a server that is reached without a proxy: API Gateway removes `upgrade`.
fn wants_websocket(headers: &HeaderMap) -> bool {
    let has = |name: &str, part: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|value| value.trim().to_ascii_lowercase().starts_with(part))
    };
    has("upgrade", "websocket") || has("openai-beta", "responses_websockets")
}
