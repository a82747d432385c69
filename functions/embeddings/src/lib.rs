//! Calls whose requests or answers are whole and may be large: embeddings, images and sound.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::http::request::Parts;
use axum::routing::post;
use shared::app::{Auth, Calls};
use shared::edge::{SentBody, SentForm, serve, serve_form};
use shared::model::project::Caller;
use shared::model::provider::Endpoint;

#[derive(Clone, FromRef)]
struct Embeddings {
    auth: Arc<Auth>,
    calls: Arc<Calls>,
}

/// The routes of this function.
pub fn router(auth: Arc<Auth>, calls: Arc<Calls>) -> Router {
    let json = |endpoint| {
        post(async move |State(calls): State<Arc<Calls>>, caller: Caller, parts: Parts, body: SentBody| {
            serve(calls, endpoint, caller, parts, body).await
        })
    };
    let form = |endpoint| {
        post(async move |State(calls): State<Arc<Calls>>, caller: Caller, parts: Parts, form: SentForm| {
            serve_form(calls, endpoint, caller, parts, form).await
        })
    };
    Router::new()
        .route("/v1/embeddings", json(Endpoint::Embeddings))
        .route("/v1/images/generations", json(Endpoint::Images))
        .route("/v1/images/edits", form(Endpoint::ImageEdits))
        .route("/v1/audio/speech", json(Endpoint::Speech))
        .route("/v1/audio/transcriptions", form(Endpoint::Transcriptions))
        .route("/v1/audio/translations", form(Endpoint::Translations))
        .with_state(Embeddings { auth, calls })
}
