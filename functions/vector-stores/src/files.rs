//! `/v1/vector_stores/{vector_store_id}/files`: the files of a store.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use shared::app::StoreFiles;
use shared::dialects::openai_vector_stores::{AttachFile, parse_attributes};
use shared::edge::{List, Params, Path, Rejection, SentBody, read_body};
use shared::model::project::Caller;

use crate::POLL;
use crate::wire::{self, ContentPage, Deleted, StoreFileObject};

pub(crate) async fn attach(
    State(files): State<Arc<StoreFiles>>,
    caller: Caller,
    Path(store_id): Path<String>,
    body: SentBody,
) -> Result<Json<StoreFileObject>, Rejection> {
    let attach = read_body(body, AttachFile::parse)?;
    Ok(Json(files.attach(&caller, &store_id, attach).await?.into()))
}

pub(crate) async fn list(
    State(files): State<Arc<StoreFiles>>,
    caller: Caller,
    Path(store_id): Path<String>,
    params: Params,
) -> Result<Json<List<StoreFileObject>>, Rejection> {
    let (query, status) = (wire::list_query(&params)?, wire::file_filter(&params)?);
    let page = files.list(&caller, &store_id, status, &query).await?;
    Ok(Json(List::of(page, |file| &file.key.file_id, StoreFileObject::from)))
}

pub(crate) async fn retrieve(
    State(files): State<Arc<StoreFiles>>,
    caller: Caller,
    Path((store_id, file_id)): Path<(String, String)>,
) -> Result<Response, Rejection> {
    let file = files.get(&caller, &store_id, &file_id).await?;
    Ok(([POLL], Json(StoreFileObject::from(file))).into_response())
}

pub(crate) async fn update(
    State(files): State<Arc<StoreFiles>>,
    caller: Caller,
    Path((store_id, file_id)): Path<(String, String)>,
    body: SentBody,
) -> Result<Json<StoreFileObject>, Rejection> {
    let attributes = read_body(body, parse_attributes)?;
    Ok(Json(files.set_attributes(&caller, &store_id, &file_id, &attributes).await?.into()))
}

pub(crate) async fn content(
    State(files): State<Arc<StoreFiles>>,
    caller: Caller,
    Path((store_id, file_id)): Path<(String, String)>,
) -> Result<Json<ContentPage>, Rejection> {
    Ok(Json(ContentPage::new(files.content(&caller, &store_id, &file_id).await?)))
}

pub(crate) async fn detach(
    State(files): State<Arc<StoreFiles>>,
    caller: Caller,
    Path((store_id, file_id)): Path<(String, String)>,
) -> Result<Json<Deleted>, Rejection> {
    files.detach(&caller, &store_id, &file_id).await?;
    Ok(Json(Deleted::file(file_id)))
}
