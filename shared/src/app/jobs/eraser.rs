//! Deletions that are due: those whose process may have died, or that other processes may have added to, and those of files and uploads
//! that expired.

use crate::app::error::Error;
use crate::app::files::due_of;
use crate::app::generation::{LOST_AFTER_MS, QUIET_AFTER_MS};
use crate::data::{
    ConversationKey, ConversationRecords, Deletion, DueFile, FileRecords, LONGEST_DUE_MS, ResponseRecords,
    UploadRecords,
};
use crate::model::clock::Timestamp;
use crate::model::file::FileKey;
use crate::model::message::ResponseKey;
use crate::model::upload::{UploadKey, UploadStatus};

/// Ends deletions.
pub(in crate::app) struct Eraser {
    pub(in crate::app) responses: ResponseRecords,
    pub(in crate::app) conversations: ConversationRecords,
    pub(in crate::app) files: FileRecords,
    pub(in crate::app) uploads: UploadRecords,
}

impl Eraser {
    /// Erases a response that was deleted, with all that was added to it since. Any number of sweepers may do so at once.
    ///
    /// # Errors
    /// If a store fails; the deletion stays due.
    pub(super) async fn erase_response(&self, key: &ResponseKey, now: Timestamp) -> Result<(), Error> {
        // The index lags behind the table by moments.
        let Some(erasure) = self.responses.erasures().due(key, now).await? else { return Ok(()) };
        let found = self.responses.get(key).await?;
        // Whoever ends a background response would add its end: it is erased after that.
        if found.is_some_and(|record| record.background && !record.status.is_terminal()) {
            return Ok(());
        }
        self.responses.erase(&erasure, now).await?;
        self.responses.erase_lost_bodies(key).await?;
        Ok(self.responses.erasures().end(key).await?)
    }

    /// Ends the deletion of a conversation: only one that is marked as deleted is due.
    ///
    /// # Errors
    /// If a store fails; the deletion stays due.
    pub(super) async fn erase_conversation(&self, key: &ConversationKey, now: Timestamp) -> Result<(), Error> {
        Ok(self.conversations.delete(key, now, now.plus_ms(LOST_AFTER_MS)).await.map(drop)?)
    }

    /// Deletes a file that has expired, was not completed, or whose deletion did not end.
    ///
    /// # Errors
    /// If a store fails; the file stays due.
    pub(super) async fn erase_file(&self, key: &FileKey, now: Timestamp) -> Result<(), Error> {
        match self.files.due(key, now).await? {
            DueFile::Nothing => Ok(()),
            DueFile::Later(expires_at) => Ok(self.files.put_off(key, due_of(expires_at, now), now).await?),
            DueFile::Delete => {
                let due_at = now.plus_ms(LOST_AFTER_MS);
                Ok(self.files.delete(key, Deletion::Due, now, due_at).await.map(drop)?)
            }
        }
    }

    /// Deletes the parts of an upload that has ended or expired, and its record when nothing can be added any more: its URLs are not valid
    /// then, and every process has ended that was at work before it expired.
    ///
    /// # Errors
    /// If a store fails; the upload stays due.
    pub(super) async fn erase_upload(&self, key: &UploadKey, now: Timestamp) -> Result<(), Error> {
        let Some(upload) = self.uploads.due(key, now).await? else { return Ok(()) };
        if upload.status == UploadStatus::Pending {
            self.uploads.end(key, &UploadStatus::Expired, now.plus_ms(LOST_AFTER_MS)).await?;
        }
        self.uploads.delete_all_parts(key).await?;
        let quiet_at = Timestamp(upload.expires_at() * 1_000).plus_ms(QUIET_AFTER_MS);
        // A clock that was set back shows an end that is far ahead.
        if now.is_before(quiet_at, LONGEST_DUE_MS) {
            Ok(self.uploads.put_off(key, quiet_at).await?)
        } else {
            Ok(self.uploads.remove(key).await?)
        }
    }
}
