//! Why a request cannot be used.

/// What is wrong with a request, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    pub message: String,
    /// Path of the field, `messages[0].role`.
    pub param: Option<String>,
    pub code: Option<&'static str>,
}

impl Invalid {
    /// A field whose value cannot be used.
    pub fn field(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { message: message.into(), param: Some(param.into()), code: None }
    }
}
