//! Batches of a project: made, listed, read and cancelled. Every route requires an API key of the project.

mod wire;

use std::sync::Arc;

use axum::extract::{FromRef, State};
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use shared::app::{Auth, Batches};
use shared::dialects::openai_batches::CreateBatch;
use shared::edge::{List, Params, Path, Rejection, SentBody, call_options, made, read_body};
use shared::model::project::Caller;

use wire::BatchObject;

#[derive(Clone, FromRef)]
struct BatchesApi {
    auth: Arc<Auth>,
    batches: Arc<Batches>,
}

/// The routes of this function.
pub fn router(auth: Arc<Auth>, batches: Arc<Batches>) -> Router {
    Router::new()
        .route("/v1/batches", get(list).post(create))
        .route("/v1/batches/{batch_id}", get(retrieve))
        .route("/v1/batches/{batch_id}/cancel", post(cancel))
        .with_state(BatchesApi { auth, batches })
}

async fn create(
    State(batches): State<Arc<Batches>>,
    caller: Caller,
    parts: Parts,
    body: SentBody,
) -> Result<Response, Rejection> {
    let create = read_body(body, CreateBatch::parse)?;
    let options = call_options(&parts, &caller)?;
    Ok(made(batches.create(&caller, create, &options).await?, |batch| Json(BatchObject::from(batch))))
}

async fn list(
    State(batches): State<Arc<Batches>>,
    caller: Caller,
    params: Params,
) -> Result<Json<List<BatchObject>>, Rejection> {
    let (after, limit) = wire::page(&params)?;
    let page = batches.list(&caller, after.as_deref(), limit).await?;
    Ok(Json(List::of(page, |batch| &batch.key.batch_id, BatchObject::from)))
}

async fn retrieve(
    State(batches): State<Arc<Batches>>,
    caller: Caller,
    Path(batch_id): Path<String>,
) -> Result<Json<BatchObject>, Rejection> {
    Ok(Json(batches.get(&caller, &batch_id).await?.into()))
}

async fn cancel(
    State(batches): State<Arc<Batches>>,
    caller: Caller,
    Path(batch_id): Path<String>,
) -> Result<Json<BatchObject>, Rejection> {
    Ok(Json(batches.cancel(&caller, &batch_id).await?.into()))
}
