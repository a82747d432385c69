//! Text from models: `/v1/chat/completions`, the legacy `/v1/completions`, and `/v1/moderations`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::post;
use shared::app::{Auth, Calls};
use shared::edge::{Rejection, SentBody, serve};
use shared::model::project::Caller;
use shared::model::provider::Endpoint;

#[derive(Clone, FromRef)]
struct Chat {
    auth: Arc<Auth>,
    calls: Arc<Calls>,
}

/// The routes of this function.
pub fn router(auth: Arc<Auth>, calls: Arc<Calls>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(chat_completions))
        .route("/v1/completions", post(completions))
        .route("/v1/moderations", post(moderations))
        .with_state(Chat { auth, calls })
}

async fn chat_completions(
    State(calls): State<Arc<Calls>>,
    caller: Caller,
    parts: Parts,
    body: SentBody,
) -> Result<Response, Rejection> {
    serve(calls, Endpoint::ChatCompletions, caller, parts, body).await
}

async fn completions(
    State(calls): State<Arc<Calls>>,
    caller: Caller,
    parts: Parts,
    body: SentBody,
) -> Result<Response, Rejection> {
    serve(calls, Endpoint::Completions, caller, parts, body).await
}

async fn moderations(
    State(calls): State<Arc<Calls>>,
    caller: Caller,
    parts: Parts,
    body: SentBody,
) -> Result<Response, Rejection> {
    serve(calls, Endpoint::Moderations, caller, parts, body).await
}
