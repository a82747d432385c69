//! Vectors from models: `/v1/embeddings`.

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
    Router::new().route("/v1/embeddings", post(embeddings)).with_state(Embeddings { auth, calls })
}

async fn embeddings(
    State(calls): State<Arc<Calls>>,
    caller: Caller,
    parts: Parts,
    body: SentBody,
) -> Result<Response, Rejection> {
    serve(calls, Endpoint::Embeddings, caller, parts, body).await
}
