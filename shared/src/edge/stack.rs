//! The layers that every function shares, and the answers to requests that match no route.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, OriginalUri};
use axum::http::Method;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use tower_http::catch_panic::CatchPanicLayer;

use super::input::MAX_BODY_BYTES;
use super::log::log;
use super::reject::Rejection;
use crate::app::Models;

/// Wraps a router, or several that were merged, in the layers that every function shares.
///
/// A request meets them in this order. `Router::layer` nests inside out, so the calls below are in reverse.
/// 1. `log`: gives every request an id and one log line, also if an inner layer refuses it
/// 2. `CatchPanicLayer`: answers a panic with 500 in OpenAI's envelope instead of closing the connection
/// 3. `DefaultBodyLimit`: refuses a body that Lambda would not accept, with 413
///
/// No layer checks keys: the extractors `Caller` and `Admin` do, which handlers take before the body.
pub fn stack(router: Router) -> Router {
    router
        .route("/healthz", get(health))
        .fallback(refuse_unknown_route)
        .method_not_allowed_fallback(refuse_method)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(CatchPanicLayer::custom(|_| Rejection::Panicked.into_response()))
        .layer(middleware::from_fn(log))
}

/// Lets `/healthz` say whether the models of a process can be served.
pub fn with_health(stack: Router, models: Arc<Models>) -> Router {
    stack.layer(Extension(models))
}

async fn health(models: Option<Extension<Arc<Models>>>) -> Result<String, Rejection> {
    let Some(Extension(models)) = models else { return Ok("ok\n".to_owned()) };
    let wrong = models.current().await?.catalog.problems().len();
    Ok(match wrong {
        0 => "ok\n".to_owned(),
        wrong => format!("ok, but the models file has {wrong} errors; `weir models check` shows them\n"),
    })
}

async fn refuse_unknown_route(method: Method, OriginalUri(uri): OriginalUri) -> Response {
    Rejection::UnknownRoute { method: method.to_string(), path: uri.path().to_owned() }.into_response()
}

async fn refuse_method(method: Method, OriginalUri(uri): OriginalUri) -> Response {
    Rejection::WrongMethod { method: method.to_string(), path: uri.path().to_owned() }.into_response()
}
