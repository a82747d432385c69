//! Why a request cannot be used.

/// An error in a request, and its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    pub message: String,
    /// The path of the field, such as `messages[0].role`.
    pub param: Option<String>,
    pub code: Option<&'static str>,
}

impl Invalid {
    /// The error for a field whose value cannot be used.
    pub fn field(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { message: message.into(), param: Some(param.into()), code: Some("invalid_value") }
    }
}
