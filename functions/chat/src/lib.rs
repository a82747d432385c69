//! Text from models: `/v1/chat/completions`, the legacy `/v1/completions`, and `/v1/moderations`.

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
    Router::new()
        .route("/v1/chat/completions", post(chat_completions))
        .route("/v1/completions", post(completions))
        .route("/v1/moderations", post(moderations))
        .with_state(gateway)
}

type Sent = Result<Bytes, BytesRejection>;

async fn chat_completions(
    State(gateway): State<Deps>,
    caller: Caller,
    parts: Parts,
    body: Sent,
) -> Result<Response, Rejection> {
    serve(gateway, Endpoint::ChatCompletions, caller, parts, body).await
}

async fn completions(
    State(gateway): State<Deps>,
    caller: Caller,
    parts: Parts,
    body: Sent,
) -> Result<Response, Rejection> {
    serve(gateway, Endpoint::Completions, caller, parts, body).await
}

async fn moderations(
    State(gateway): State<Deps>,
    caller: Caller,
    parts: Parts,
    body: Sent,
) -> Result<Response, Rejection> {
    serve(gateway, Endpoint::Moderations, caller, parts, body).await
}
