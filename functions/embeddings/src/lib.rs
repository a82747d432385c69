//! Vectors from models: `/v1/embeddings`.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::post;
use shared::edge::{Deps, Rejection, serve};
use shared::model::project::Caller;
use shared::model::provider::Endpoint;

/// The routes of this function.
pub fn router(gateway: Deps) -> Router {
    Router::new().route("/v1/embeddings", post(embeddings)).with_state(gateway)
}

async fn embeddings(
    State(gateway): State<Deps>,
    caller: Caller,
    parts: Parts,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Rejection> {
    serve(gateway, Endpoint::Embeddings, caller, parts, body).await
}
