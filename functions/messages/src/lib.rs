//! Anthropic's Messages API: `/v1/messages` and `/v1/messages/count_tokens`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use shared::app::{Auth, Calls};
use shared::dialects::anthropic_messages::CountTokens;
use shared::edge::{Rejection, SentBody, read_body, serve};
use shared::model::long_work::long_work;
use shared::model::object::Object;
use shared::model::project::Caller;
use shared::model::provider::Endpoint;

#[derive(Clone, FromRef)]
struct Messages {
    auth: Arc<Auth>,
    calls: Arc<Calls>,
}

/// The routes of this function.
pub fn router(auth: Arc<Auth>, calls: Arc<Calls>) -> Router {
    Router::new()
        .route("/v1/messages", post(create))
        .route("/v1/messages/count_tokens", post(count_tokens))
        .with_state(Messages { auth, calls })
}

async fn create(
    State(calls): State<Arc<Calls>>,
    caller: Caller,
    parts: Parts,
    body: SentBody,
) -> Result<Response, Rejection> {
    serve(calls, Endpoint::Messages, caller, parts, body).await
}

async fn count_tokens(State(calls): State<Arc<Calls>>, caller: Caller, body: SentBody) -> Result<Response, Rejection> {
    let (mut request, bytes) = read_body(body, |json| Ok((CountTokens::parse(json)?, json.len())))?;
    calls.models().current().await?.model_for(&caller, &request.model)?;
    calls.find_counted_files(&caller, &mut request).await?;
    let count = long_work(bytes, || request.count());
    let counted = Object::default().with("input_tokens", &count).to_bytes();
    Ok(([(header::CONTENT_TYPE, "application/json")], counted).into_response())
}
