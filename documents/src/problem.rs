//! Why a file has no text for us.

/// The reason why a file cannot be read, in words for its owner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A kind of file that is not read.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The file is not of the kind that it says, or it was damaged.
    #[error("the file is damaged: {0}; open it in the program that wrote it, save it again and upload the new file")]
    Broken(&'static str),
    #[error("the file is too large: {what} exceed {limit}; split it into smaller files")]
    TooLarge { what: &'static str, limit: u64 },
    #[error("the file is encrypted; save it without a password and upload it again")]
    Encrypted,
    #[error("the file has no text; if its pages are images, run text recognition (OCR) over it first")]
    NoText,
    #[error("the file took too long to read; split it into smaller files")]
    OutOfTime,
    /// The parser panicked or could not be started. The file is to blame in all known cases.
    #[error("the file could not be read; save it again with another program and upload the new file")]
    Unreadable,
}

impl Problem {
    /// `OpenAI`'s code for a file of a vector store that failed: `last_error.code`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unsupported(_) => "unsupported_file",
            Self::Broken(_)
            | Self::TooLarge { .. }
            | Self::Encrypted
            | Self::NoText
            | Self::OutOfTime
            | Self::Unreadable => "invalid_file",
        }
    }

    /// Wraps the problem, so that it passes through a parser that knows only IO errors.
    pub(crate) fn into_io(self) -> std::io::Error {
        std::io::Error::other(self)
    }

    /// The problem in an IO error; an error that is none of ours means a damaged file.
    pub(crate) fn from_io(error: &std::io::Error, otherwise: &'static str) -> Self {
        let own = error.get_ref().and_then(|inner| inner.downcast_ref::<Self>());
        own.cloned().unwrap_or(Self::Broken(otherwise))
    }
}
