//! `/v1/uploads`: a file in parts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::request::Parts;
use axum::response::Response;
use shared::app::{BegunUpload, PartUpload, Uploads};
use shared::dialects::openai_uploads::{CompleteUpload, CreateUpload, missing_data, second_data, unknown_field};
use shared::edge::{Part, Path, Rejection, SentBody, SentForm, call_options, made, read_body};
use shared::model::project::Caller;

use crate::wire::{PartObject, UploadObject};

pub(crate) async fn create(
    State(uploads): State<Arc<Uploads>>,
    caller: Caller,
    parts: Parts,
    body: SentBody,
) -> Result<Response, Rejection> {
    let create = read_body(body, CreateUpload::parse)?;
    let (is_direct, options) = (create.is_direct, call_options(&parts, &caller)?);
    Ok(made(uploads.create(&caller, create, &options).await?, |BegunUpload { upload, file, parts }| {
        let object = UploadObject::new(upload, file);
        Json(if is_direct { object.with_parts(parts) } else { object })
    }))
}

pub(crate) async fn complete(
    State(uploads): State<Arc<Uploads>>,
    caller: Caller,
    Path(upload_id): Path<String>,
    body: SentBody,
) -> Result<Json<UploadObject>, Rejection> {
    let complete = read_body(body, CompleteUpload::parse)?;
    let (upload, file) = uploads.complete(&caller, &upload_id, &complete).await?;
    Ok(Json(UploadObject::new(upload, file)))
}

pub(crate) async fn cancel(
    State(uploads): State<Arc<Uploads>>,
    caller: Caller,
    Path(upload_id): Path<String>,
) -> Result<Json<UploadObject>, Rejection> {
    Ok(Json(UploadObject::new(uploads.cancel(&caller, &upload_id).await?, None)))
}

pub(crate) async fn add_part(
    State(uploads): State<Arc<Uploads>>,
    caller: Caller,
    Path(upload_id): Path<String>,
    form: SentForm,
) -> Result<Json<PartObject>, Rejection> {
    let mut part = uploads.begin_part(&caller, &upload_id).await?;
    match read(&mut part, form).await {
        Ok(()) => Ok(Json(part.complete().await?.into())),
        Err(rejection) => {
            part.discard().await;
            Err(rejection)
        }
    }
}

/// Reads a form to its end, and writes its field `data` into `part`.
async fn read(part: &mut PartUpload, mut form: SentForm) -> Result<(), Rejection> {
    let mut has_data = false;
    while let Some(field) = form.next().await? {
        if field.name() != "data" {
            return Err(unknown_field(field.name()).into());
        }
        if std::mem::replace(&mut has_data, true) {
            return Err(second_data().into());
        }
        receive(part, field).await?;
    }
    if has_data { Ok(()) } else { Err(missing_data().into()) }
}

async fn receive(part: &mut PartUpload, mut field: Part) -> Result<(), Rejection> {
    while let Some(piece) = field.chunk().await? {
        part.write(&piece).await?;
    }
    Ok(())
}
