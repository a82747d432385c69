//! Why a valid key may not do what its request asks for.

use super::admin_key::AdminScope;
use super::scope::{Scope, scope_names};

/// Why a valid key may not do what its request asks for, in words for its holder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    #[error(
        "You have insufficient permissions for this operation. Missing scopes: {}. This API key has: {}. An administrator changes them with POST /v1/organization/projects/{{id}}/api_keys/{{key}}.",
        .missing.name(), scope_names(.has)
    )]
    Scope { missing: Scope, has: Vec<Scope> },
    #[error(
        "You have insufficient permissions for this operation. Missing scopes: {needed} (one of them). This admin key has: {}.", .has.name()
    )]
    AdminScope { needed: String, has: AdminScope },
    #[error("This API key does not have access to the model `{model}`. It may use: {allowed}.")]
    ModelOfKey { model: String, allowed: String },
    #[error(
        "Project `{project_id}` does not have access to the model `{model}`. GET /v1/models lists the models that this key may use."
    )]
    ModelOfProject { model: String, project_id: String },
}

impl Forbidden {
    /// The field of the request that is the cause.
    #[must_use]
    pub fn param(&self) -> Option<&'static str> {
        match self {
            Self::Scope { .. } | Self::AdminScope { .. } => None,
            Self::ModelOfKey { .. } | Self::ModelOfProject { .. } => Some("model"),
        }
    }
}
