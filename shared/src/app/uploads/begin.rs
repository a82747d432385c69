//! Uploads begin, once for each key. Those whose parts go to the bucket have them from the beginning.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Uploads;
use super::errors::no_direct_parts;
use crate::app::error::Error;
use crate::app::files::require_retention;
use crate::app::idempotency::{CreationKeys, Made, gone};
use crate::app::pipeline::CallOptions;
use crate::dialects::openai_uploads::CreateUpload;
use crate::model::file::File;
use crate::model::id;
use crate::model::project::Caller;
use crate::model::storage::Stored;
use crate::model::upload::{MAX_PART_BYTES, Upload, UploadKey, UploadPart, UploadStatus};

/// An upload that a request began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BegunUpload {
    pub upload: Upload,
    /// If it is completed since, and its file was not deleted.
    pub file: Option<File>,
    /// Those that the client sends to the bucket, if it asked for that and the upload waits for them.
    pub parts: Vec<DirectPart>,
}

/// A part that a client sends to the bucket itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectPart {
    pub id: String,
    /// Exactly so many bytes.
    pub bytes: u64,
    /// Where a `PUT` sends them. It is valid until the upload expires, for whoever has it.
    pub url: String,
}

impl Uploads {
    /// Begins an upload. The direct parts, if the client asked for them, are the file in its order. A repeated request gets the upload that
    /// the first one began.
    ///
    /// # Errors
    /// `Invalid` if the project keeps nothing, or if clients cannot reach the bucket and want to; `Refused` by a limit of requests per
    /// minute; `StorageFull`; `KeyReused`; `MadeAndGone` if the upload of an earlier request expired long ago.
    pub async fn create(
        &self,
        caller: &Caller,
        create: CreateUpload,
        options: &CallOptions,
    ) -> Result<Made<BegunUpload>, Error> {
        require_retention(&caller.project.policy)?;
        if create.is_direct && !self.records.takes_direct_parts() {
            return Err(no_direct_parts().into());
        }
        let key = options.idempotency_key.as_deref();
        let by = CreationKeys::plan(&caller.project, "/uploads", key, options.retry_count, &create.object);
        if let Some(upload_id) = self.creations.find(by.as_ref()).await? {
            return self.begun_before(caller, &upload_id).await;
        }
        self.admission.count(caller).await?;
        self.storage.require_room(&caller.project, Stored { bytes: create.bytes, objects: 1 }).await?;
        let now = self.clock.now();
        let direct = if create.is_direct { direct_parts(create.bytes) } else { BTreeMap::new() };
        let upload = Upload {
            key: UploadKey { project_id: caller.project.id.clone(), upload_id: id::new_ordered("upload_", now) },
            filename: create.filename,
            details: create.details,
            bytes: create.bytes,
            created_at: now.seconds(),
            status: UploadStatus::Pending,
            parts: direct,
        };
        // Another request with the key may have come first since the key was looked up.
        let outcome = self.records.create(&upload, by.as_ref(), now).await?;
        if let Some(upload_id) = CreationKeys::earlier(outcome, by.as_ref())? {
            return self.begun_before(caller, &upload_id).await;
        }
        let parts = self.signed_parts(&upload).await?;
        Ok(Made::now(BegunUpload { upload, file: None, parts }))
    }

    /// The upload that an earlier request began, as it is now.
    async fn begun_before(&self, caller: &Caller, upload_id: &str) -> Result<Made<BegunUpload>, Error> {
        let upload = self.get(caller, upload_id).await.map_err(gone)?;
        let status = upload.status_at(self.clock.now());
        let upload = Upload { status, ..upload };
        let file = self.file_of(caller, &upload).await?;
        let parts = self.signed_parts(&upload).await?;
        Ok(Made::before(BegunUpload { upload, file, parts }))
    }

    /// The direct parts of an upload that waits for them, in the order of its file, with URLs that are valid until it expires.
    async fn signed_parts(&self, upload: &Upload) -> Result<Vec<DirectPart>, Error> {
        let left = Duration::from_secs(upload.expires_at().saturating_sub(self.clock.now().seconds()));
        if upload.status != UploadStatus::Pending || left.is_zero() {
            return Ok(Vec::new());
        }
        let direct = upload.parts.iter().filter(|(_, part)| part.is_direct);
        let mut parts = Vec::new();
        for (id, UploadPart { bytes, .. }) in direct {
            let url = self.records.direct_url(&upload.key, id, *bytes, left).await?;
            parts.push(DirectPart { id: id.clone(), bytes: *bytes, url });
        }
        Ok(parts)
    }
}

/// Direct parts of a file with so many bytes. Their ids sort in its order.
fn direct_parts(bytes: u64) -> BTreeMap<String, UploadPart> {
    let mut ids: Vec<String> = (0..bytes.div_ceil(MAX_PART_BYTES)).map(|_| id::new("part_")).collect();
    ids.sort_unstable();
    let part = |(n, id): (u64, String)| {
        let bytes = (bytes - n * MAX_PART_BYTES).min(MAX_PART_BYTES);
        (id, UploadPart { bytes, objects: 1, is_direct: true })
    };
    (0..).zip(ids).map(part).collect()
}
