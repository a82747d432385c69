//! Calls whose answers are whole and may be large: `/v1/embeddings`, `/v1/images/generations` and `/v1/audio/speech`.

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
struct Embeddings {
    auth: Arc<Auth>,
    calls: Arc<Calls>,
}

/// The routes of this function.
pub fn router(auth: Arc<Auth>, calls: Arc<Calls>) -> Router {
    Router::new()
        .route("/v1/embeddings", post(embeddings))
        .route("/v1/images/generations", post(images))
        .route("/v1/audio/speech", post(speech))
        .with_state(Embeddings { auth, calls })
}

async fn embeddings(
    State(calls): State<Arc<Calls>>,
    caller: Caller,
    parts: Parts,
    body: SentBody,
) -> Result<Response, Rejection> {
    serve(calls, Endpoint::Embeddings, caller, parts, body).await
}

async fn images(
    State(calls): State<Arc<Calls>>,
    caller: Caller,
    parts: Parts,
    body: SentBody,
) -> Result<Response, Rejection> {
    serve(calls, Endpoint::Images, caller, parts, body).await
}

async fn speech(
    State(calls): State<Arc<Calls>>,
    caller: Caller,
    parts: Parts,
    body: SentBody,
) -> Result<Response, Rejection> {
    serve(calls, Endpoint::Speech, caller, parts, body).await
}
