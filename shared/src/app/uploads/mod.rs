//! Uploads: files that clients send in parts, through weir or, with URLs that are signed for them, to the bucket itself.
//!
//! Completing an upload copies its parts into a new file as a stream. The file and the upload are completed in one transaction: several calls may
//! copy at the same moment, and one of them makes the file. A process that dies leaves a file that waits for its content, which the sweeper
//! deletes, and an upload that can be completed again.

mod begin;
mod errors;
mod part;

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::StreamExt as _;
use md5::{Digest as _, Md5};

use super::admission::Admission;
use super::error::Error;
use super::files::{FileUpload, Files};
use super::generation::LOST_AFTER_MS;
use super::idempotency::CreationKeys;
use super::storage::Storage;
use crate::data::{Stores, UploadRecords};
use crate::dialects::openai_uploads::CompleteUpload;
use crate::model::clock::Clock;
use crate::model::error_chain::ErrorChain;
use crate::model::file::File;
use crate::model::id;
use crate::model::invalid::Invalid;
use crate::model::project::Caller;
use crate::model::storage::Stored;
use crate::model::upload::{Upload, UploadKey, UploadPart, UploadStatus};

pub use begin::{BegunUpload, DirectPart};
use errors::{contended, not_arrived, not_found, require_pending, wrong_md5};
pub use part::{PartUpload, SentPart};

/// Operations on the uploads of a project.
pub struct Uploads {
    records: UploadRecords,
    files: Arc<Files>,
    creations: CreationKeys,
    admission: Arc<Admission>,
    storage: Storage,
    clock: Clock,
}

impl Uploads {
    pub(super) fn new(stores: &Stores, creations: CreationKeys, admission: Arc<Admission>, files: Arc<Files>) -> Self {
        let clock = creations.clock.clone();
        let storage = Storage::new(stores, clock.clone());
        Self { records: stores.uploads(), files, creations, admission, storage, clock }
    }

    /// Begins a part of an upload.
    ///
    /// # Errors
    /// `NotFound` if the caller's project has no upload with that id; `Invalid` if it has ended; `Refused` by a limit of requests per minute.
    pub async fn begin_part(&self, caller: &Caller, upload_id: &str) -> Result<PartUpload, Error> {
        let upload = self.get(caller, upload_id).await?;
        let now = self.clock.now();
        require_pending(&upload, &upload.status_at(now))?;
        self.admission.count(caller).await?;
        Ok(PartUpload::new(self.records.clone(), upload, now, self.clock.clone()))
    }

    /// Completes an upload: makes a file of the parts that are named, in that order. An upload that is completed is answered again, with its
    /// file unless that was deleted.
    ///
    /// # Errors
    /// As [`Uploads::begin_part`]; `Invalid` if a part is unknown, named twice or not there, if the bytes are not as many as the upload
    /// said, or if they have another MD5; `StorageFull`; `Unavailable` if it took too long.
    pub async fn complete(
        &self,
        caller: &Caller,
        upload_id: &str,
        complete: &CompleteUpload,
    ) -> Result<(Upload, Option<File>), Error> {
        let upload = self.get(caller, upload_id).await?;
        if upload.status_at(self.clock.now()) != UploadStatus::Pending {
            return self.ended(caller, upload).await;
        }
        let parts = named_parts(&upload, &complete.part_ids)?;
        // Before the bucket is asked: a client may ask often whether its parts have arrived.
        self.admission.count(caller).await?;
        self.require_arrived(&upload, &parts).await?;
        self.storage.require_room(&caller.project, Stored { bytes: upload.bytes, objects: 1 }).await?;
        let mut file = self.files.begin_counted(caller, upload.filename.clone()).await?;
        let copied = self.copy(&upload, &parts, complete.md5, &mut file).await;
        let failure = match copied {
            Ok(()) => file.complete_upload(&self.records, &upload).await.err(),
            Err(error) => {
                file.discard().await;
                Some(error)
            }
        };
        // Another call may have ended the upload, and deleted the parts, while this one copied them.
        let upload = self.get(caller, upload_id).await?;
        match failure {
            Some(error) if upload.status_at(self.clock.now()) == UploadStatus::Pending => Err(error),
            _ => self.ended(caller, upload).await,
        }
    }

    /// Cancels an upload and deletes its parts. A cancelled upload is answered again.
    ///
    /// # Errors
    /// `NotFound` if the caller's project has no upload with that id; `Invalid` if it is completed or has expired.
    pub async fn cancel(&self, caller: &Caller, upload_id: &str) -> Result<Upload, Error> {
        let upload = self.get(caller, upload_id).await?;
        let now = self.clock.now();
        let upload = match upload.status_at(now) {
            UploadStatus::Pending => {
                let due_at = now.plus_ms(LOST_AFTER_MS);
                let ended = self.records.end(&upload.key, &UploadStatus::Cancelled, due_at).await?;
                ended.ok_or_else(|| not_found(upload_id))?
            }
            _ => upload,
        };
        match upload.status_at(now) {
            UploadStatus::Cancelled => {
                self.delete_parts(&upload).await;
                Ok(upload)
            }
            status => Err(require_pending(&upload, &status).err().unwrap_or_else(|| contended(&upload)).into()),
        }
    }

    async fn get(&self, caller: &Caller, upload_id: &str) -> Result<Upload, Error> {
        let is_id = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !upload_id.strip_prefix("upload_").is_some_and(is_id) || upload_id.len() > id::MAX_LENGTH {
            return Err(not_found(upload_id));
        }
        let key = UploadKey { project_id: caller.project.id.clone(), upload_id: upload_id.to_owned() };
        self.records.get(&key).await?.ok_or_else(|| not_found(upload_id))
    }

    /// The answer for an upload that has ended.
    async fn ended(&self, caller: &Caller, upload: Upload) -> Result<(Upload, Option<File>), Error> {
        if !matches!(upload.status, UploadStatus::Completed { .. }) {
            require_pending(&upload, &upload.status_at(self.clock.now()))?;
            return Err(contended(&upload).into());
        }
        let file = self.file_of(caller, &upload).await?;
        Ok((upload, file))
    }

    /// The file of a completed upload; `None`: there is none yet, or it was deleted.
    async fn file_of(&self, caller: &Caller, upload: &Upload) -> Result<Option<File>, Error> {
        let UploadStatus::Completed { file_id } = &upload.status else { return Ok(None) };
        match self.files.get(caller, file_id).await {
            Ok(file) => Ok(Some(file)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Checks that direct parts are in the bucket as a whole.
    async fn require_arrived(&self, upload: &Upload, parts: &[(&str, UploadPart)]) -> Result<(), Error> {
        if !parts.iter().any(|(_, part)| part.is_direct) {
            return Ok(());
        }
        let arrived = self.records.arrived(&upload.key).await?;
        match parts.iter().find(|(id, part)| part.is_direct && arrived.get(*id) != Some(&part.bytes)) {
            Some((id, part)) => Err(not_arrived(id, part.bytes).into()),
            None => Ok(()),
        }
    }

    /// Copies parts into a file, one after the other.
    async fn copy(
        &self,
        upload: &Upload,
        parts: &[(&str, UploadPart)],
        md5: Option<[u8; 16]>,
        file: &mut FileUpload,
    ) -> Result<(), Error> {
        let mut hasher = Md5::default();
        for (id, part) in parts {
            let mut bytes = 0;
            for n in 0..part.objects {
                let mut content = self.records.read(&upload.key, id, n).await?;
                while let Some(piece) = content.next().await {
                    let piece = piece?;
                    bytes += piece.len() as u64;
                    if md5.is_some() {
                        hasher.update(&piece);
                    }
                    file.write(&piece).await?;
                }
            }
            if bytes != part.bytes {
                return Err(not_arrived(id, part.bytes).into());
            }
        }
        match md5 {
            Some(md5) if <[u8; 16]>::from(hasher.finalize()) != md5 => Err(wrong_md5().into()),
            _ => Ok(()),
        }
    }

    /// Deletes the parts of an upload that has ended.
    async fn delete_parts(&self, upload: &Upload) {
        if let Err(error) = self.records.delete_parts(upload).await {
            tracing::warn!(error = %ErrorChain(&error), "parts not deleted, the sweeper will");
        }
    }
}

/// The parts with some ids, in that order.
fn named_parts<'a>(upload: &Upload, part_ids: &'a [String]) -> Result<Vec<(&'a str, UploadPart)>, Invalid> {
    let (mut named, mut parts) = (HashSet::new(), Vec::with_capacity(part_ids.len()));
    for (n, id) in part_ids.iter().enumerate() {
        let param = format!("part_ids[{n}]");
        let shown = shortened(id);
        let Some(part) = upload.parts.get(id) else {
            let message = format!("Upload '{}' has no part '{shown}'.", upload.key.upload_id);
            return Err(Invalid { code: Some("part_not_found"), ..Invalid::field(param, message) });
        };
        if !named.insert(id) {
            return Err(Invalid::field(param, format!("`part_ids` names the part '{shown}' more than once.")));
        }
        parts.push((&**id, *part));
    }
    let bytes: u64 = parts.iter().map(|(_, part)| part.bytes).sum();
    if bytes != upload.bytes {
        let message = format!(
            "The named parts have {bytes} bytes, and the upload was created for {}. Name every part of the file, or add those that are missing.",
            upload.bytes
        );
        return Err(Invalid { code: Some("wrong_number_of_bytes"), ..Invalid::field("part_ids", message) });
    }
    Ok(parts)
}

/// The begin of an id that a client sent, which can be any text.
fn shortened(id: &str) -> &str {
    &id[..id.floor_char_boundary(id::MAX_LENGTH)]
}
