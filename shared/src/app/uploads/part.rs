//! A part of an upload that arrives.

use super::errors::{contended, require_pending};
use crate::app::error::Error;
use crate::data::{AddedPart, PartWriter, UploadRecords};
use crate::model::clock::{Clock, Timestamp};
use crate::model::error_chain::ErrorChain;
use crate::model::id;
use crate::model::invalid::Invalid;
use crate::model::upload::{MAX_PART_BYTES, MAX_PARTS, Upload, UploadStatus};

/// A part that arrives. The sweeper removes what is left of one that is neither completed nor discarded.
pub struct PartUpload {
    records: UploadRecords,
    upload: Upload,
    writer: PartWriter,
    begun_at: Timestamp,
    clock: Clock,
}

/// A part that an upload has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentPart {
    pub id: String,
    pub upload_id: String,
    /// Unix seconds.
    pub created_at: u64,
}

impl PartUpload {
    pub(super) fn new(records: UploadRecords, upload: Upload, now: Timestamp, clock: Clock) -> Self {
        let writer = records.part_writer(&upload.key, id::new_ordered("part_", now));
        Self { records, upload, writer, begun_at: now, clock }
    }

    /// Takes the next piece of the part.
    ///
    /// # Errors
    /// `Invalid` above [`MAX_PART_BYTES`], or above the bytes of the upload. Discard the part then.
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), Error> {
        let bytes = self.writer.part().bytes + piece.len() as u64;
        if bytes > MAX_PART_BYTES.min(self.upload.bytes) {
            return Err(self.too_large().into());
        }
        Ok(self.writer.write(piece).await?)
    }

    /// Adds the part to its upload.
    ///
    /// # Errors
    /// `Invalid` if the upload has ended meanwhile, or has as many parts as it may.
    pub async fn complete(mut self) -> Result<SentPart, Error> {
        self.writer.finish().await?;
        let (key, now) = (&self.upload.key, self.clock.now());
        // Each part can be sent twice: its answer may be lost.
        let most_bytes = self.upload.bytes.saturating_mul(2);
        let added = self.records.add_part(key, self.writer.part_id(), self.writer.part(), most_bytes, now).await?;
        let error = match added {
            AddedPart::Added => {
                return Ok(SentPart {
                    id: self.writer.part_id().to_owned(),
                    upload_id: key.upload_id.clone(),
                    created_at: self.begun_at.seconds(),
                });
            }
            AddedPart::Full => self.full().into(),
            AddedPart::Ended => self.ended().await,
        };
        self.discard().await;
        Err(error)
    }

    /// Removes what arrived so far.
    pub async fn discard(self) {
        let (part_id, part) = (self.writer.part_id(), self.writer.part());
        if let Err(error) = self.records.delete_part(&self.upload.key, part_id, part.objects).await {
            tracing::warn!(error = %ErrorChain(&error), "part not discarded, the sweeper will");
        }
    }

    /// The error for an upload that ended while its part arrived.
    async fn ended(&self) -> Error {
        let upload = match self.records.get(&self.upload.key).await {
            Ok(upload) => upload,
            Err(error) => return error.into(),
        };
        // Nothing follows the end of an upload; one that is gone had expired long before.
        let status = upload.map_or(UploadStatus::Expired, |upload| upload.status_at(self.clock.now()));
        match require_pending(&self.upload, &status) {
            Err(ended) => ended.into(),
            Ok(()) => contended(&self.upload).into(),
        }
    }

    fn too_large(&self) -> Invalid {
        let message = if self.upload.bytes < MAX_PART_BYTES {
            format!("The part has more bytes than the whole upload, which was created for {}.", self.upload.bytes)
        } else {
            format!(
                "The part is larger than {} MB, the most that a part may have. Send smaller ones.",
                MAX_PART_BYTES >> 20
            )
        };
        Invalid { code: Some("part_too_large"), ..Invalid::field("data", message) }
    }

    fn full(&self) -> Invalid {
        let message = format!(
            "Upload '{}' takes no more parts: it may have {MAX_PARTS}, and all of them together {} bytes, twice as many as the file. Complete it \
             with those that it has, or create another upload with larger parts.",
            self.upload.key.upload_id,
            self.upload.bytes.saturating_mul(2)
        );
        Invalid { code: Some("too_many_parts"), ..Invalid::field("data", message) }
    }
}
