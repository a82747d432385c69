//! `POST /v1/files`: the content goes to the bucket as it arrives.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use shared::app::{FileUpload, Files};
use shared::dialects::openai_files::{FileForm, missing_file, second_file};
use shared::edge::{Part, Rejection, SentForm};
use shared::model::file::FileDetails;
use shared::model::project::Caller;

use crate::wire::FileObject;

pub(crate) async fn create(
    State(files): State<Arc<Files>>,
    caller: Caller,
    form: SentForm,
) -> Result<Json<FileObject>, Rejection> {
    let mut upload = None;
    let details = read(&files, &caller, form, &mut upload).await;
    match (details, upload) {
        (Ok(details), Some(upload)) => Ok(Json(upload.complete(details).await?.into())),
        (Ok(_), None) => Err(missing_file().into()),
        (Err(rejection), upload) => {
            if let Some(upload) = upload {
                upload.discard().await;
            }
            Err(rejection)
        }
    }
}

/// Reads a form to its end, and writes its file into `upload`. Clients send the fields in any order.
async fn read(
    files: &Files,
    caller: &Caller,
    mut form: SentForm,
    upload: &mut Option<FileUpload>,
) -> Result<FileDetails, Rejection> {
    let mut fields = FileForm::default();
    while let Some(part) = form.next().await? {
        match part.file_name().filter(|_| part.name() == "file").map(str::to_owned) {
            Some(_) if upload.is_some() => return Err(second_file().into()),
            Some(filename) => receive(upload.insert(files.begin_upload(caller, filename).await?), part).await?,
            None => {
                let name = part.name().to_owned();
                fields.take(&name, part.text().await?)?;
            }
        }
    }
    Ok(fields.details()?)
}

async fn receive(upload: &mut FileUpload, mut part: Part) -> Result<(), Rejection> {
    while let Some(piece) = part.chunk().await? {
        upload.write(&piece).await?;
    }
    Ok(())
}
