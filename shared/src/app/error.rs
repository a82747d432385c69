//! How operations fail, in the caller's language.

use crate::app::admission::Refusal;
use crate::data::StoreError;
use crate::model::invalid::Invalid;
use crate::model::provider::Failure;

/// Failure of an operation.
///
/// `Display` names this level only; the cause stays in `source()`, so that the log prints the whole chain once.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No key, or none that is valid.
    #[error("{0}")]
    Unauthenticated(&'static str),
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error("The model `{0}` does not exist or you do not have access to it. GET /v1/models lists the models.")]
    UnknownModel(String),
    #[error(
        "The model `{0}` has no price, and this project has a budget: what a call costs must be known before it is made. Add a price to models.toml."
    )]
    Unpriced(String),
    #[error("No {kind} found with id '{id}'.")]
    NotFound { kind: &'static str, id: String },
    #[error("The {kind} was changed by another request; read it again and repeat the change.")]
    Conflict { kind: &'static str },
    /// A limit of the project.
    #[error("{0}")]
    Refused(Box<Refusal>),
    #[error("This Idempotency-Key was used before with another request body. Use a new key for a new request.")]
    KeyReused,
    #[error("provider `{provider}` failed")]
    Provider {
        provider: Box<str>,
        attempts: u32,
        #[source]
        source: Failure,
    },
    /// Too many instances change the same thing at once.
    #[error("Too many concurrent changes of {0}; try again.")]
    Contended(&'static str),
    #[error("could not {action}")]
    Internal {
        action: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A failure that an earlier run of the same request met, given again to those who waited for it.
    #[error("the request this one waited for failed with {}", .0.status)]
    Repeated(RenderedError),
}

/// An error as its caller sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedError {
    pub status: u16,
    pub body: bytes::Bytes,
    pub retry_after: Option<std::time::Duration>,
    /// `false`: repeating does not mend it.
    pub should_retry: bool,
}

impl Error {
    /// `table.get().await.map_err(Error::internal("load the project"))`
    pub fn internal<E>(action: &'static str) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |source| Self::Internal { action, source: source.into() }
    }
}

impl From<StoreError> for Error {
    fn from(source: StoreError) -> Self {
        Self::Internal { action: "reach the store", source: source.into() }
    }
}
