//! The layers every function shares, and what is answered where there is no route.

use axum::Router;
use axum::extract::{DefaultBodyLimit, OriginalUri};
use axum::http::Method;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;

use super::input::MAX_BODY_BYTES;
use super::log::log;
use super::reject::Rejection;

/// Wraps a router, or several that were merged, in the stack every function shares.
///
/// Outermost first, as a request meets them. `Router::layer` nests inside out, so the calls below are in reverse.
/// 1. `log`: an id and one line for every request, also for what inner layers refuse
/// 2. `CatchPanicLayer`: a bug is a 500 in our envelope, not a closed connection
/// 3. `DefaultBodyLimit`: 413 above what Lambda takes
///
/// Keys are checked by the extractors `Caller` and `Admin`, which handlers take before the body.
pub fn stack(router: Router) -> Router {
    router
        .route("/healthz", get(async || "ok\n"))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(CatchPanicLayer::custom(|_| Rejection::Panicked.into_response()))
        .layer(middleware::from_fn(log))
}

async fn unknown_route(method: Method, OriginalUri(uri): OriginalUri) -> Response {
    Rejection::UnknownRoute { method: method.to_string(), path: uri.path().to_owned() }.into_response()
}

async fn wrong_method(method: Method, OriginalUri(uri): OriginalUri) -> Response {
    Rejection::WrongMethod { method: method.to_string(), path: uri.path().to_owned() }.into_response()
}
