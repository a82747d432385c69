//! Files of a project: uploaded, also in parts, listed, read and deleted. Every route requires an API key of the project.

mod upload;
mod uploads;
mod wire;

use std::sync::Arc;

use axum::extract::{FromRef, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use shared::app::{Auth, Files, Uploads};
use shared::edge::{ContentHeaders, List, Params, Path, Rejection, Wanted, with_content, without_content};
use shared::model::project::Caller;

use wire::{DeletedFile, FileObject};

#[derive(Clone, FromRef)]
struct FilesApi {
    auth: Arc<Auth>,
    files: Arc<Files>,
    uploads: Arc<Uploads>,
}

/// The routes of this function.
pub fn router(auth: Arc<Auth>, files: Arc<Files>, uploads: Arc<Uploads>) -> Router {
    Router::new()
        .route("/v1/files", get(list).post(upload::create))
        .route("/v1/files/{file_id}", get(retrieve).delete(delete))
        .route("/v1/files/{file_id}/content", get(content))
        .route("/v1/uploads", post(uploads::create))
        .route("/v1/uploads/{upload_id}/parts", post(uploads::add_part))
        .route("/v1/uploads/{upload_id}/complete", post(uploads::complete))
        .route("/v1/uploads/{upload_id}/cancel", post(uploads::cancel))
        .with_state(FilesApi { auth, files, uploads })
}

async fn list(
    State(files): State<Arc<Files>>,
    caller: Caller,
    params: Params,
) -> Result<Json<List<FileObject>>, Rejection> {
    let page = files.list(&caller, &wire::file_query(&params)?).await?;
    Ok(Json(List::of(page, |file| &file.key.file_id, FileObject::from)))
}

async fn retrieve(
    State(files): State<Arc<Files>>,
    caller: Caller,
    Path(file_id): Path<String>,
) -> Result<Json<FileObject>, Rejection> {
    Ok(Json(files.get(&caller, &file_id).await?.into()))
}

async fn delete(
    State(files): State<Arc<Files>>,
    caller: Caller,
    Path(file_id): Path<String>,
) -> Result<Json<DeletedFile>, Rejection> {
    files.delete(&caller, &file_id).await?;
    Ok(Json(DeletedFile::new(file_id)))
}

async fn content(
    State(files): State<Arc<Files>>,
    caller: Caller,
    Path(file_id): Path<String>,
    headers: ContentHeaders,
) -> Result<Response, Rejection> {
    let file = files.get(&caller, &file_id).await?;
    let part = match headers.wanted(&file) {
        Wanted::Whole => None,
        Wanted::Part(part) => Some(part),
        nothing @ (Wanted::Nothing | Wanted::OutOfRange) => return Ok(without_content(&file, nothing)),
    };
    Ok(with_content(&file, part, files.read(&file, part).await?).into_response())
}
