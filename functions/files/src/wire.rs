//! Files and uploads as JSON, and the queries of lists.

use serde::Serialize;
use shared::app::{DirectPart, SentPart};
use shared::data::FileQuery;
use shared::edge::Params;
use shared::model::file::{File, Purpose};
use shared::model::id;
use shared::model::invalid::Invalid;
use shared::model::upload::Upload;

#[derive(Serialize)]
pub(crate) struct FileObject {
    id: String,
    object: &'static str,
    bytes: u64,
    created_at: u64,
    expires_at: Option<u64>,
    filename: String,
    purpose: Purpose,
    /// OpenAI's clients wait until it is `processed`. A file that can be read is.
    status: &'static str,
    status_details: Option<String>,
}

impl From<File> for FileObject {
    fn from(file: File) -> Self {
        Self {
            id: file.key.file_id,
            object: "file",
            bytes: file.bytes,
            created_at: file.created_at,
            expires_at: file.expires_at,
            filename: file.filename,
            purpose: file.purpose,
            status: "processed",
            status_details: None,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct DeletedFile {
    id: String,
    object: &'static str,
    deleted: bool,
}

impl DeletedFile {
    pub(crate) fn new(id: String) -> Self {
        Self { id, object: "file", deleted: true }
    }
}

#[derive(Serialize)]
pub(crate) struct UploadObject {
    id: String,
    object: &'static str,
    bytes: u64,
    created_at: u64,
    expires_at: u64,
    filename: String,
    purpose: Purpose,
    status: &'static str,
    /// Of a completed upload whose file was not deleted.
    file: Option<FileObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weir: Option<UploadExtension>,
}

/// The member `weir` of an upload whose client sends the parts to the bucket.
#[derive(Serialize)]
struct UploadExtension {
    parts: Vec<DirectPartObject>,
}

#[derive(Serialize)]
struct DirectPartObject {
    id: String,
    bytes: u64,
    method: &'static str,
    url: String,
}

impl UploadObject {
    pub(crate) fn new(upload: Upload, file: Option<File>) -> Self {
        Self {
            expires_at: upload.expires_at(),
            id: upload.key.upload_id,
            object: "upload",
            bytes: upload.bytes,
            created_at: upload.created_at,
            filename: upload.filename,
            purpose: upload.details.purpose,
            status: upload.status.name(),
            file: file.map(FileObject::from),
            weir: None,
        }
    }

    pub(crate) fn with_parts(mut self, parts: Vec<DirectPart>) -> Self {
        let parts = parts.into_iter();
        let parts = parts.map(|DirectPart { id, bytes, url }| DirectPartObject { id, bytes, method: "PUT", url });
        self.weir = Some(UploadExtension { parts: parts.collect() });
        self
    }
}

#[derive(Serialize)]
pub(crate) struct PartObject {
    id: String,
    object: &'static str,
    created_at: u64,
    upload_id: String,
}

impl From<SentPart> for PartObject {
    fn from(SentPart { id, upload_id, created_at }: SentPart) -> Self {
        Self { id, object: "upload.part", created_at, upload_id }
    }
}

/// The longest page, which is also the usual one, as OpenAI has it.
const MAX_LIMIT: u64 = 10_000;

/// Reads the parameters `purpose`, `after`, `order` and `limit`.
pub(crate) fn file_query(params: &Params) -> Result<FileQuery, Invalid> {
    let limit = params.number("limit")?.unwrap_or(MAX_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Invalid::field("limit", format!("`limit` is {limit}, expected 1 to 10000.")));
    }
    let oldest_first = match params.text("order") {
        None | Some("desc") => false,
        Some("asc") => true,
        Some(other) => {
            return Err(Invalid::field("order", format!("`order` is `{other}`, expected `asc` or `desc`.")));
        }
    };
    let after = params.text("after").map(str::to_owned);
    if after.as_ref().is_some_and(|after| after.len() > id::MAX_LENGTH) {
        return Err(Invalid::field("after", "`after` is no id of a file. Send the last id of the page before."));
    }
    Ok(FileQuery {
        purpose: params.text("purpose").map(Purpose::parse).transpose()?,
        after,
        oldest_first,
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
    })
}
