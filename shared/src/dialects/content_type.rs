//! The two forms of an answer.

/// The form of an answer's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentType {
    Json,
    EventStream,
}

impl ContentType {
    /// The value of the `Content-Type` header; stores keep it with an answer.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::EventStream => "text/event-stream; charset=utf-8",
        }
    }

    /// The content type that was stored under this name.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        if name == Self::EventStream.name() { Self::EventStream } else { Self::Json }
    }
}
