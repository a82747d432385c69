//! Files that clients upload.

use serde::Serialize;

use super::clock::Timestamp;
use super::invalid::Invalid;
use super::retention::DAY_SECONDS;

/// The most bytes of a file: OpenAI's limit.
pub const MAX_FILE_BYTES: u64 = 512 * 1024 * 1024;

/// The most bytes of the files that one model call names, each as often as the call names it. A call has its files some nine times
/// over in memory while they are translated, and a function has 512 MB.
pub const MAX_INPUT_BYTES: u64 = 32 * 1024 * 1024;

/// The most places of one model call that name a file.
pub const MAX_NAMED_FILES: usize = 100;

/// The most characters of a title that Anthropic takes.
const MAX_TITLE: usize = 500;

/// The title of a document for Anthropic: the begin of the file's name, which may be longer than a title.
#[must_use]
pub fn title_of(filename: &str) -> &str {
    let end = filename.char_indices().nth(MAX_TITLE).map_or(filename.len(), |(end, _)| end);
    &filename[..end]
}

/// The key of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileKey {
    pub project_id: String,
    /// Ids of later files sort after those of earlier ones.
    pub file_id: String,
}

/// A file whose content is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub key: FileKey,
    pub filename: String,
    pub purpose: Purpose,
    /// Of the content, by its first bytes and its name.
    pub media_type: String,
    pub bytes: u64,
    /// SHA-256 of the content, in lower-case hexadecimal.
    pub sha256: String,
    /// Unix seconds.
    pub created_at: u64,
    /// Unix seconds; `None`: it is kept until it is deleted.
    pub expires_at: Option<u64>,
}

impl File {
    /// Whether its time is over. Such a file cannot be read, also before the sweeper deletes it.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= now.seconds())
    }
}

/// Whether this is an id of an uploaded file as weir makes them: `file-` and 24 letters and digits. Providers' own ids have another
/// length (OpenAI) or another prefix (Anthropic).
#[must_use]
pub fn is_file_id(text: &str) -> bool {
    let rest = text.strip_prefix(ID_PREFIX).unwrap_or_default();
    rest.len() == 24 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Begins the ids of files.
pub const ID_PREFIX: &str = "file-";

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    Assistants,
    /// The requests of a batch.
    Batch,
    /// The results of a batch. Only weir makes such files.
    BatchOutput,
    Evals,
    UserData,
    Vision,
}

impl Purpose {
    const ALL: [Self; 6] =
        [Self::Assistants, Self::Batch, Self::BatchOutput, Self::Evals, Self::UserData, Self::Vision];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Assistants => "assistants",
            Self::Batch => "batch",
            Self::BatchOutput => "batch_output",
            Self::Evals => "evals",
            Self::UserData => "user_data",
            Self::Vision => "vision",
        }
    }

    /// After how many seconds a file expires whose client does not say it: those of batches after 30 days, as with OpenAI. `None`: not
    /// at all.
    #[must_use]
    pub fn usual_seconds(self) -> Option<u64> {
        matches!(self, Self::Batch | Self::BatchOutput).then_some(30 * DAY_SECONDS)
    }

    /// Reads a stored purpose.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.name() == name)
    }

    /// Reads the purpose that a client names for a list.
    ///
    /// # Errors
    /// `Invalid` with the purposes that there are.
    pub fn parse(name: &str) -> Result<Self, Invalid> {
        Self::from_name(name).ok_or_else(|| Self::not_one_of(name, |_| true))
    }

    /// Reads the purpose that a client names for a file that it uploads.
    ///
    /// # Errors
    /// `Invalid` with the purposes that an upload can have.
    pub fn parse_for_upload(name: &str) -> Result<Self, Invalid> {
        let is_uploaded = |purpose: &Self| *purpose != Self::BatchOutput;
        Self::from_name(name).filter(is_uploaded).ok_or_else(|| Self::not_one_of(name, is_uploaded))
    }

    fn not_one_of(name: &str, expected: impl Fn(&Self) -> bool) -> Invalid {
        let names: Vec<&str> =
            Self::ALL.iter().filter(|purpose| expected(purpose)).map(|purpose| purpose.name()).collect();
        Invalid::field("purpose", format!("`purpose` is `{name}`, expected one of: {}.", names.join(", ")))
    }
}

/// What a client says about the file that it uploads, beside its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileDetails {
    pub purpose: Purpose,
    /// Seconds after which the file expires. `None`: when the client deletes it, or the project's retention ends.
    pub expires_after: Option<u64>,
}

/// A part of a file, by the numbers of its first and its last byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    pub first: u64,
    pub last: u64,
}

impl ByteRange {
    #[must_use]
    pub fn length(self) -> u64 {
        self.last - self.first + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_weir_is_told_from_those_of_providers() {
        assert!(is_file_id(&crate::model::id::new_ordered(ID_PREFIX, Timestamp(1_767_225_600_000))));
        assert!(is_file_id(&crate::model::id::derive_ordered(ID_PREFIX, Timestamp(1_767_225_600_000), &["a"])));
        for other in [
            "file-6F2ksmvXxt4VdoqmHRw6kL",
            "file_011CNha8iCJcU1wXNR6q4V8w",
            "file-",
            "",
            "file-/2ksmvXxt4VdoqmHRw6kL12",
        ] {
            assert!(!is_file_id(other), "{other}");
        }
    }

    #[test]
    fn a_purpose_reads_back_and_others_are_refused_with_the_list() {
        for purpose in Purpose::ALL {
            assert_eq!(Purpose::parse(purpose.name()), Ok(purpose));
            assert_eq!(serde_json::to_value(purpose).unwrap(), purpose.name());
        }
        assert!(Purpose::parse_for_upload("batch").is_ok() && Purpose::parse_for_upload("batch_output").is_err());
        for other in ["fine-tune", "Batch", ""] {
            let error = Purpose::parse(other).unwrap_err();
            assert!(error.message.contains(other) && error.message.contains("user_data"), "{error:?}");
        }
    }
}
