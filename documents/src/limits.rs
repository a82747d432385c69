//! The bounds of one extraction.

use std::time::{Duration, Instant};

/// The bounds of one extraction. The defaults are for a function with 2 GB of memory.
///
/// Memory beside the content and the text: honest files of 100 MB need a few megabytes. The worst that we could build within the
/// defaults needs 100 MB for a document of Word, 210 MB for a workbook, and 700 MB for a pdf, whose parser keeps all objects that are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of text. 32 MB are about 8 million tokens of English; `OpenAI` takes 5 million tokens of a file.
    pub text_bytes: usize,
    /// The most bytes that the packed parts of a document may unpack to, all together. Parts are streamed and not held, except for
    /// an eighth of this for the shared strings of a workbook, and a quarter for the packed objects of a pdf.
    pub unpacked_bytes: u64,
    /// The most pages of a pdf, slides of a presentation, or sheets of a workbook.
    pub pages: usize,
    /// When the caller gets its answer, whatever the document does.
    pub deadline: Instant,
}

impl Limits {
    /// The default bounds, and so much time from now.
    #[must_use]
    pub fn within(time: Duration) -> Self {
        let deadline = Instant::now() + time;
        Self { text_bytes: 32 * 1024 * 1024, unpacked_bytes: 256 * 1024 * 1024, pages: 5_000, deadline }
    }
}

impl Default for Limits {
    /// The default bounds, and a minute from now.
    fn default() -> Self {
        Self::within(Duration::from_secs(60))
    }
}
