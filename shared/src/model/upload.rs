//! Uploads: files that clients send in parts.

use std::collections::BTreeMap;

use super::clock::Timestamp;
use super::file::FileDetails;

/// Seconds after which an upload expires that is not completed: OpenAI's hour.
pub const UPLOAD_SECONDS: u64 = 3_600;

/// The most bytes of a part: OpenAI's limit.
pub const MAX_PART_BYTES: u64 = 64 * 1024 * 1024;

/// The most parts of an upload. Its record names them all, and is written with each.
pub const MAX_PARTS: usize = 1_000;

/// The key of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadKey {
    pub project_id: String,
    pub upload_id: String,
}

/// A file whose parts arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    pub key: UploadKey,
    pub filename: String,
    pub details: FileDetails,
    /// The bytes that the file is to have.
    pub bytes: u64,
    /// Unix seconds.
    pub created_at: u64,
    pub status: UploadStatus,
    /// By their ids.
    pub parts: BTreeMap<String, UploadPart>,
}

impl Upload {
    /// When the upload expires, in Unix seconds.
    #[must_use]
    pub fn expires_at(&self) -> u64 {
        self.created_at + UPLOAD_SECONDS
    }

    /// The status at a time. An upload expires to the second, also before the sweeper notes it.
    #[must_use]
    pub fn status_at(&self, now: Timestamp) -> UploadStatus {
        match &self.status {
            UploadStatus::Pending if self.expires_at() <= now.seconds() => UploadStatus::Expired,
            status => status.clone(),
        }
    }
}

/// How far an upload is. Nothing follows the last three.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploadStatus {
    Pending,
    /// Its parts are this file.
    Completed {
        file_id: String,
    },
    Cancelled,
    Expired,
}

impl UploadStatus {
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Completed { .. } => "completed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

/// A part of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadPart {
    pub bytes: u64,
    /// The objects of the bucket that hold it.
    pub objects: u32,
    /// The client sends it to the bucket itself. It may not have done so.
    pub is_direct: bool,
}
