//! Calls whose requests or answers are whole and may be large: embeddings, images and sound.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::post;
use shared::app::{Auth, Calls};
use shared::edge::{Rejection, SentBody, SentForm, serve, serve_form};
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
        .route("/v1/images/edits", post(image_edits))
        .route("/v1/audio/speech", post(speech))
        .route("/v1/audio/transcriptions", post(transcriptions))
        .route("/v1/audio/translations", post(translations))
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

async fn image_edits(
    State(calls): State<Arc<Calls>>,
    caller: Caller,
    parts: Parts,
    form: SentForm,
) -> Result<Response, Rejection> {
    serve_form(calls, Endpoint::ImageEdits, caller, parts, form).await
}

async fn transcriptions(
    State(calls): State<Arc<Calls>>,
    caller: Caller,
    parts: Parts,
    form: SentForm,
) -> Result<Response, Rejection> {
    serve_form(calls, Endpoint::Transcriptions, caller, parts, form).await
}

async fn translations(
    State(calls): State<Arc<Calls>>,
    caller: Caller,
    parts: Parts,
    form: SentForm,
) -> Result<Response, Rejection> {
    serve_form(calls, Endpoint::Translations, caller, parts, form).await
}
