//! How operations fail, in the caller's language.

use std::time::Duration;

use crate::data::StoreError;
use crate::model::catalog::Unaccountable;
use crate::model::invalid::Invalid;
use crate::model::keys::KeyError;
use crate::model::meter::Refusal;
use crate::model::provider::Failure;

/// Failure of an operation.
///
/// Every operation that reaches a store can fail with `Unavailable`, where a retry helps, or with `Internal`. The `# Errors`
/// of a method list its other failures. `Display` names this level only; the cause stays in `source()`, so that the log
/// prints the whole chain once.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No key, or none that is valid.
    #[error("{0}")]
    Unauthenticated(&'static str),
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error("The model `{0}` does not exist or you do not have access to it. GET /v1/models lists the models.")]
    UnknownModel(String),
    #[error("The admin key of this deployment cannot be read. The log of the function names the cause.")]
    NoAdminKey(#[source] KeyError),
    /// The models of the deployment cannot be read.
    #[error(
        "The models of this deployment cannot be served: {0}. Tell the operator: the log of the function names the place and the cause."
    )]
    NoModels(String),
    #[error(
        "The entry of the model `{model}` in the models file is wrong (line {line}). Tell the operator: `weir models check` shows the cause."
    )]
    WrongModel { model: String, line: usize },
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
    /// A store is throttled or cannot be reached; the same request may succeed in a moment.
    #[error("could not {action} for the moment")]
    Unavailable {
        action: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("could not {action}")]
    Internal {
        action: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The error of an earlier run of the same request, for the requests that waited for that run.
    #[error("the request this one waited for failed with {}", .0.status)]
    Repeated(RenderedError),
}

/// An error as its caller sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedError {
    pub status: u16,
    pub body: bytes::Bytes,
    pub retry_after: Option<Duration>,
    /// `false`: the same request will fail again.
    pub should_retry: bool,
}

impl Error {
    pub fn not_found(kind: &'static str, id: impl Into<String>) -> Self {
        Self::NotFound { kind, id: id.into() }
    }

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
        let action = "reach the store";
        match source.is_retryable() {
            true => Self::Unavailable { action, source: source.into() },
            false => Self::Internal { action, source: source.into() },
        }
    }
}

impl From<Unaccountable> for Error {
    fn from(reason: Unaccountable) -> Self {
        let param = match reason {
            Unaccountable::Unpriced(model) => return Self::Unpriced(model),
            Unaccountable::Beside(param) => param,
        };
        let message = format!(
            "`{param}` is billed beside the price per token, and this project has a budget: what a call costs must be \
             known before it is made. Remove `{param}`, or use a project without a budget."
        );
        Invalid { message, param: Some(param.to_owned()), code: Some("not_accountable") }.into()
    }
}
