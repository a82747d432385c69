//! How operations fail, in the caller's language.

use std::time::Duration;

use crate::data::StoreError;
use crate::model::catalog::Unaccountable;
use crate::model::forbidden::Forbidden;
use crate::model::invalid::Invalid;
use crate::model::key_refusal::KeyRefusal;
use crate::model::keys::KeyError;
use crate::model::meter::Refusal;
use crate::model::provider::Failure;
use crate::model::storage::StorageFull;
use crate::model::tokens::Charge;

/// Failure of an operation.
///
/// Every operation that reaches a store can fail with `Unavailable`, where a retry helps, or with `Internal`. The `# Errors`
/// of a method list its other failures. `Display` names this level only; the cause stays in `source()`, so that the log
/// prints the whole chain once.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No key, or none that is valid.
    #[error(transparent)]
    Unauthenticated(KeyRefusal),
    /// The key is valid, and may not do this.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
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
    /// A request is repeated whose object is not there any more.
    #[error("The {kind} that this request made before, '{id}', is gone. For another one, send a new Idempotency-Key.")]
    MadeAndGone { kind: &'static str, id: String },
    /// A request is repeated whose response was deleted.
    #[error("The response of this Idempotency-Key, '{0}', was deleted. Use a new key for a new request.")]
    ResponseDeleted(String),
    #[error("The {kind} was changed by another request; read it again and repeat the change.")]
    Conflict { kind: &'static str },
    /// A limit of the project.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The project stores as much as it may.
    #[error(transparent)]
    StorageFull(#[from] StorageFull),
    #[error("This Idempotency-Key was used before with another request body. Use a new key for a new request.")]
    KeyReused,
    #[error("provider `{}` failed", tried.provider)]
    Provider {
        tried: Box<Attempts>,
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

/// The attempts of a call that no provider answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempts {
    /// The provider of the last one.
    pub provider: String,
    pub count: u32,
    /// For those that the provider may bill; nothing if there are none.
    pub charge: Charge,
}

impl Attempts {
    /// Attempts that cost nothing.
    pub(super) fn free(provider: impl Into<String>, count: u32) -> Box<Self> {
        Box::new(Self { provider: provider.into(), count, charge: Charge::default() })
    }
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

    /// The error with the charge for its attempts, if a provider failed.
    #[must_use]
    pub(super) fn charged(mut self, of_call: Charge) -> Self {
        if let Self::Provider { tried, .. } = &mut self {
            tried.charge = of_call;
        }
        self
    }

    /// The charge for the attempts of a call that no provider answered.
    pub(crate) fn charge(&self) -> Option<Charge> {
        let Self::Provider { tried, .. } = self else { return None };
        Some(tried.charge).filter(|charge| *charge != Charge::default())
    }

    /// Says that no provider answered, why, and what that costs. `None` for other errors.
    pub(crate) fn no_answer(&self) -> Option<String> {
        let Self::Provider { tried, source } = self else { return None };
        let Attempts { provider, count, .. } = &**tried;
        let message = format!("The provider `{provider}` gave no answer after {count} attempts: {source}.");
        Some(match self.charge() {
            None => message,
            Some(Charge { cost, .. }) => {
                format!("{message} It may bill for that: {cost} USD are charged, and weir does not try again.")
            }
        })
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
        let why = "this project has a budget: what a call costs must be known before it is made";
        let (message, param) = match reason {
            Unaccountable::Unpriced(model) => return Self::Unpriced(model),
            Unaccountable::Tier { model, tier } => {
                let message = format!(
                    "The service tier `{tier}` has no price for the model `{model}`, and {why}. Ask for another \
                     `service_tier`, use a project without a budget, or add `price.tiers.{tier}` to the model in models.toml."
                );
                (message, "service_tier".to_owned())
            }
            Unaccountable::Beside { name, path } => {
                let message = format!(
                    "`{path}` may be billed beside the price per token, and {why}. Remove it, or use a project without a \
                     budget. If the price covers it, the operator adds \"{name}\" to `allow_members` of the provider in \
                     models.toml."
                );
                (message, path)
            }
        };
        Invalid { message, param: Some(param), code: Some("not_accountable") }.into()
    }
}
