//! Scopes: the families of routes that an API key may use, in OpenAI's words.

use serde::{Deserialize, Serialize};

/// A family of routes and whether it reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    #[serde(rename = "api.model.read")]
    ModelRead,
    /// Calls of models that keep nothing: chat, legacy completions, embeddings, moderations, images, sound, messages.
    #[serde(rename = "api.model.request")]
    ModelRequest,
    #[serde(rename = "api.responses.read")]
    ResponsesRead,
    #[serde(rename = "api.responses.write")]
    ResponsesWrite,
    #[serde(rename = "api.conversations.read")]
    ConversationsRead,
    #[serde(rename = "api.conversations.write")]
    ConversationsWrite,
    #[serde(rename = "api.files.read")]
    FilesRead,
    #[serde(rename = "api.files.write")]
    FilesWrite,
    #[serde(rename = "api.batches.read")]
    BatchesRead,
    /// Also calls the models of the lines.
    #[serde(rename = "api.batches.write")]
    BatchesWrite,
    #[serde(rename = "api.vector_stores.read")]
    VectorStoresRead,
    /// Also calls the model that embeds files and queries.
    #[serde(rename = "api.vector_stores.write")]
    VectorStoresWrite,
    #[serde(rename = "api.webhooks.read")]
    WebhooksRead,
    #[serde(rename = "api.webhooks.write")]
    WebhooksWrite,
}

/// The begin of the routes, and the scopes for reading (`GET`) and for everything else.
const FAMILIES: [(&str, Scope, Scope); 17] = [
    ("/v1/models", Scope::ModelRead, Scope::ModelRequest),
    // A quote calls no model and writes nothing.
    ("/v1/quote", Scope::ModelRead, Scope::ModelRead),
    ("/v1/chat/completions", Scope::ModelRequest, Scope::ModelRequest),
    ("/v1/completions", Scope::ModelRequest, Scope::ModelRequest),
    ("/v1/embeddings", Scope::ModelRequest, Scope::ModelRequest),
    ("/v1/moderations", Scope::ModelRequest, Scope::ModelRequest),
    ("/v1/images", Scope::ModelRequest, Scope::ModelRequest),
    ("/v1/audio", Scope::ModelRequest, Scope::ModelRequest),
    ("/v1/messages", Scope::ModelRequest, Scope::ModelRequest),
    ("/v1/responses", Scope::ResponsesRead, Scope::ResponsesWrite),
    ("/v1/conversations", Scope::ConversationsRead, Scope::ConversationsWrite),
    ("/v1/files", Scope::FilesRead, Scope::FilesWrite),
    ("/v1/uploads", Scope::FilesRead, Scope::FilesWrite),
    ("/v1/batches", Scope::BatchesRead, Scope::BatchesWrite),
    ("/v1/vector_stores", Scope::VectorStoresRead, Scope::VectorStoresWrite),
    ("/v1/webhook_endpoints", Scope::WebhooksRead, Scope::WebhooksWrite),
    ("/v1/webhook_event_types", Scope::WebhooksRead, Scope::WebhooksWrite),
];

impl Scope {
    pub const ALL: [Self; 14] = [
        Self::ModelRead,
        Self::ModelRequest,
        Self::ResponsesRead,
        Self::ResponsesWrite,
        Self::ConversationsRead,
        Self::ConversationsWrite,
        Self::FilesRead,
        Self::FilesWrite,
        Self::BatchesRead,
        Self::BatchesWrite,
        Self::VectorStoresRead,
        Self::VectorStoresWrite,
        Self::WebhooksRead,
        Self::WebhooksWrite,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ModelRead => "api.model.read",
            Self::ModelRequest => "api.model.request",
            Self::ResponsesRead => "api.responses.read",
            Self::ResponsesWrite => "api.responses.write",
            Self::ConversationsRead => "api.conversations.read",
            Self::ConversationsWrite => "api.conversations.write",
            Self::FilesRead => "api.files.read",
            Self::FilesWrite => "api.files.write",
            Self::BatchesRead => "api.batches.read",
            Self::BatchesWrite => "api.batches.write",
            Self::VectorStoresRead => "api.vector_stores.read",
            Self::VectorStoresWrite => "api.vector_stores.write",
            Self::WebhooksRead => "api.webhooks.read",
            Self::WebhooksWrite => "api.webhooks.write",
        }
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }

    /// The scope that a route needs; `None` if it is in no family. No key may use such a route.
    #[must_use]
    pub fn of(reads: bool, route: &str) -> Option<Self> {
        let is_in =
            |family: &str| route.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let (_, read, write) = FAMILIES.into_iter().find(|(family, ..)| is_in(family))?;
        Some(if reads { read } else { write })
    }
}

/// Names between commas.
#[must_use]
pub fn scope_names(scopes: &[Scope]) -> String {
    scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scope_reads_back_and_is_stored_by_its_name() {
        for scope in Scope::ALL {
            assert_eq!(Scope::parse(scope.name()), Some(scope));
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.name());
        }
        assert_eq!(Scope::parse("api.assistants.read"), None);
    }

    #[test]
    fn a_route_is_in_a_family_by_whole_parts_of_its_path() {
        assert_eq!(Scope::of(true, "/v1/responses/{id}/input_items"), Some(Scope::ResponsesRead));
        assert_eq!(Scope::of(false, "/v1/responses"), Some(Scope::ResponsesWrite));
        assert_eq!(Scope::of(true, "/v1/responses_of_another_kind"), None);
        assert_eq!(Scope::of(true, "/v1/files/{file_id}/content"), Some(Scope::FilesRead));
        assert_eq!(Scope::of(true, "/v1/assistants"), None);
    }
}
