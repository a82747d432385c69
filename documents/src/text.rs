//! The text of a document.

/// The text of a document: paragraphs with blank lines between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    text: String,
    has_headings: bool,
}

impl Text {
    /// A text in which a line that begins with `#` is a line like any other: a comment of a program, for example.
    #[must_use]
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), has_headings: false }
    }

    /// A text with headings in Markdown's form: one to six `#` and a space before the words.
    #[must_use]
    pub fn with_headings(text: impl Into<String>) -> Self {
        Self { text: text.into(), has_headings: true }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether lines that begin with `#` are headings.
    #[must_use]
    pub fn has_headings(&self) -> bool {
        self.has_headings
    }

    #[must_use]
    pub fn into_string(self) -> String {
        self.text
    }
}
