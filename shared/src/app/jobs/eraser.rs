//! Deletions that are due: those whose process may have died, or that other processes may have added to, and those of files that
//! expired.

use crate::app::error::Error;
use crate::app::files::due_of;
use crate::app::generation::LOST_AFTER_MS;
use crate::data::{ConversationKey, ConversationRecords, Deletion, DueFile, FileRecords, ResponseRecords};
use crate::model::clock::Timestamp;
use crate::model::file::FileKey;
use crate::model::message::ResponseKey;

/// Ends deletions.
pub(in crate::app) struct Eraser {
    pub(in crate::app) responses: ResponseRecords,
    pub(in crate::app) conversations: ConversationRecords,
    pub(in crate::app) files: FileRecords,
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
}
