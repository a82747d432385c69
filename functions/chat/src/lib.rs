//! Text from models: `/v1/chat/completions`, the legacy `/v1/completions`, and `/v1/moderations`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::http::request::Parts;
use axum::routing::post;
use shared::app::{Auth, Calls};
use shared::edge::{SentBody, serve};
use shared::model::project::Caller;
use shared::model::provider::Endpoint;

#[derive(Clone, FromRef)]
struct Chat {
    auth: Arc<Auth>,
    calls: Arc<Calls>,
}

/// The routes of this function.
pub fn router(auth: Arc<Auth>, calls: Arc<Calls>) -> Router {
    let serve = |endpoint| {
        post(async move |State(calls): State<Arc<Calls>>, caller: Caller, parts: Parts, body: SentBody| {
            serve(calls, endpoint, caller, parts, body).await
        })
    };
    Router::new()
        .route("/v1/chat/completions", serve(Endpoint::ChatCompletions))
        .route("/v1/completions", serve(Endpoint::Completions))
        .route("/v1/moderations", serve(Endpoint::Moderations))
        .with_state(Chat { auth, calls })
}
